"""What moves numbers, in C, and explicit reads and writes of state."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    ConstantValue,
    Lookup,
    ReadState,
    Rearrange,
    WriteState,
)
from firmware_export.emitters.c_loops import copy, count, elementwise
from firmware_export.emitters.calls import Emitter
from firmware_export.literals import C_TYPES, reader
from firmware_export.step import StepWriter

Indices: TypeAlias = NDArray[Any]


def rearrange(step: StepWriter, operation: Rearrange) -> list[str]:
    """Copies; with one input and constant indices through a table, with several the table's part of each input."""
    if step.place(operation.outputs[0]) == step.place(operation.inputs[0]) and operation.indices is None:
        return []  # a reshape
    y = step.place(operation.outputs[0])
    sizes = [step.value(name).size for name in operation.inputs]
    begins = np.cumsum([0, *sizes])
    if operation.indices is None:
        lines: list[str] = []
        for name, begin, size in zip(operation.inputs, begins[:-1], sizes, strict=True):
            lines += copy(size, f"{y} + {begin}" if begin else y, step.place(name))
        return lines
    indices = step.program.weights[operation.indices]  # (elements of y,)
    lines = []
    for name, begin, size in zip(operation.inputs, begins[:-1], sizes, strict=True):
        targets = np.flatnonzero((indices >= begin) & (indices < begin + size))
        if targets.size:
            lines += _gather(step, operation, y, step.place(name), targets, indices[targets] - begin)
    return lines


def _gather(step: StepWriter, operation: Rearrange, y: str, x: str, targets: Indices, sources: Indices) -> list[str]:
    """``y[targets] = x[sources]``, as a run where both are runs."""
    strides = [np.unique(np.diff(run)) for run in (targets, sources)]
    if targets.size == 1 or all(stride.size == 1 for stride in strides):
        return elementwise((targets.size,), [], f"({y})[{_run(targets)}] = ({x})[{_run(sources)}];")
    pairs = np.stack([targets, sources], axis=1).astype(np.int32)  # (elements, 2)
    table = step.table(f"{operation.name}_indices", pairs, f"{operation.name}: element, and where it comes from")
    return elementwise(
        (targets.size,),
        [],
        f"({y})[edgernn_read_int32({table} + 2u * ({{y}}))] = ({x})[edgernn_read_int32({table} + 2u * ({{y}}) + 1)];",
    )


def _run(run: Indices) -> str:
    """C index of the elements of an arithmetic sequence."""
    stride = int(run[1] - run[0]) if run.size > 1 else 1
    if stride >= 0:
        return f"{run[0]} + {stride}u * ({{y}})" if stride != 1 or run[0] else "{y}"
    return f"{run[0]} - {-stride}u * ({{y}})"


def read_state(step: StepWriter, operation: ReadState) -> list[str]:
    """A copy of the state, of a wide one its high half."""
    size = step.value(operation.outputs[0]).size
    y, state = step.place(operation.outputs[0]), step.state(operation.region)
    if operation.reads_high:
        return elementwise((size,), [], f"({y})[{{y}}] = (int16_t)(({state})[{{y}}] >> 16);")
    return copy(size, y, state)


def write_state(step: StepWriter, operation: WriteState) -> list[str]:
    """A copy into the state."""
    return copy(operation.size, step.state(operation.region), step.place(operation.inputs[0]))


def constant(step: StepWriter, operation: ConstantValue) -> list[str]:
    """A copy of the table: on AVR, flash is no memory that a kernel can read."""
    array = step.program.weights[operation.weight_name]
    table = step.table(operation.name, array, f"{operation.name}: constant")
    y = step.place(operation.outputs[0])
    return elementwise((array.size,), [], f"({y})[{{y}}] = {reader(operation.dtype)}({table} + ({{y}}));")


def lookup(step: StepWriter, operation: Lookup) -> list[str]:
    """Rows of a table."""
    kind = C_TYPES[operation.dtype]
    step.need(f"lookup.{kind}")
    array = step.program.weights[operation.table]
    table = step.table(operation.table, array, f"{operation.name}: table of {len(array)} rows")
    ids, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    number = count(step.value(operation.inputs[0]).size, f"{operation.name}: the number of ids")
    size = count(array.size // len(array), f"{operation.name}: the size of a row")
    return [f"edgernn_lookup_{kind}({ids}, {number}, {table}, {len(array)}, {size}, {y});"]


OPERATIONS: dict[type, Emitter] = {
    Rearrange: Emitter(rearrange),
    ReadState: Emitter(read_state),
    WriteState: Emitter(write_state),
    ConstantValue: Emitter(constant),
    Lookup: Emitter(lookup),
}
