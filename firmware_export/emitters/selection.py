"""Choices, in C: between values, of the largest numbers and where they are."""

from __future__ import annotations

from edgernn.program.operations import (
    ArgMax,
    TopK,
    Where,
)
from firmware_export.emitters.c_loops import count, elementwise, rows
from firmware_export.emitters.calls import Emitter
from firmware_export.literals import C_TYPES
from firmware_export.step import StepWriter


def where(step: StepWriter, operation: Where) -> list[str]:
    """Each element of one of two values."""
    condition, a, b = (f"({step.place(name)})[{{y}}]" for name in operation.inputs)
    y, size = step.place(operation.outputs[0]), step.value(operation.outputs[0]).size
    return elementwise((size,), [], f"({y})[{{y}}] = {condition} != 0.0f ? {a} : {b};")


def arg_max(step: StepWriter, operation: ArgMax) -> list[str]:
    """An index for each row."""
    number = C_TYPES[step.value(operation.inputs[0]).dtype]
    step.need(f"arg_max.{number}")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape = step.value(operation.inputs[0]).shape
    size = count(shape[-1], f"{operation.name}: its last axis")
    arguments = f"{size}, {int(operation.last)}, {int(operation.smallest)}"
    return rows(shape, lambda at: f"*({y}{at(1)}) = edgernn_arg_max_{number}({x}{at(shape[-1])}, {arguments});")


def top_k(step: StepWriter, operation: TopK) -> list[str]:
    """Numbers and indices for each row."""
    number = C_TYPES[step.value(operation.inputs[0]).dtype]
    step.need(f"top_k.{number}")
    x, (y, indices) = step.place(operation.inputs[0]), (step.place(name) for name in operation.outputs)
    shape, k = step.value(operation.inputs[0]).shape, operation.k
    size = count(shape[-1], f"{operation.name}: its last axis")
    return rows(
        shape,
        lambda at: (
            f"edgernn_top_k_{number}({x}{at(shape[-1])}, {size}, {k}, {int(operation.largest)}, {y}{at(k)}, "
            f"{indices}{at(k)});"
        ),
    )


OPERATIONS: dict[type, Emitter] = {
    Where: Emitter(where),
    ArgMax: Emitter(arg_max),
    TopK: Emitter(top_k),
}
