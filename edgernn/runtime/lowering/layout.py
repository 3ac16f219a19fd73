"""Operations that move numbers, as rows of the table: of any number type, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    CopyInstruction,
    ElementwiseInstruction,
    LookupInstruction,
    LoopFrameInstruction,
)
from edgernn.program.operations import Constant, Convert, Lookup, PutFrame, ReadState, Rearrange, TakeFrame, WriteState
from edgernn.runtime.lowering.table import InstructionBuilder, gather


def _lower_rearrange(builder: InstructionBuilder, operation: Rearrange) -> None:
    if operation.indices is None and len(operation.inputs) == 1:
        builder.alias(operation.outputs[0], operation.inputs[0])
        return
    values = [builder.program.values[name] for name in operation.inputs]
    item_bytes = np.dtype(values[0].dtype).itemsize
    offsets = np.concatenate(
        [
            builder.value(name) + item_bytes * np.arange(value.size)
            for name, value in zip(operation.inputs, values, strict=True)
        ]
    )
    if operation.indices is not None:
        offsets = offsets[builder.program.weights[operation.indices]]
    gather(builder, offsets, builder.value(operation.outputs[0]), operation.name, item_bytes)


def _lower_read_state(builder: InstructionBuilder, operation: ReadState) -> None:
    output = builder.program.values[operation.outputs[0]]
    row = CopyInstruction(
        source=builder.region(operation.region),
        target=builder.value(operation.outputs[0]),
        size_bytes=output.size * np.dtype(output.dtype).itemsize,
    )
    kernel = "read_state" if output.dtype == operation.dtype else "read_high"
    builder.emit(Kernel("float32.movement", (kernel,)), row, operation.name)


def _lower_write_state(builder: InstructionBuilder, operation: WriteState) -> None:
    row = CopyInstruction(
        source=builder.value(operation.inputs[0]),
        target=builder.region(operation.region),
        size_bytes=operation.size * np.dtype(operation.dtype).itemsize,
    )
    kernel = "write_floats" if operation.dtype == "float32" else "write_state"
    builder.emit(Kernel("float32.movement", (kernel,)), row, operation.name)


def _lower_constant(builder: InstructionBuilder, operation: Constant) -> None:
    builder.constants.append((builder.value(operation.outputs[0]), builder.program.weights[operation.weight_name]))


def _lower_convert(builder: InstructionBuilder, operation: Convert) -> None:
    value = builder.program.values[operation.inputs[0]]
    if value.dtype == operation.dtype:
        builder.alias(operation.outputs[0], operation.inputs[0])
        return
    row = ElementwiseInstruction(
        a=builder.value(operation.inputs[0]), b=0, y=builder.value(operation.outputs[0]), size=value.size
    )
    kernel = "to_int" if operation.dtype == "int32" else "to_float"
    builder.emit(Kernel("float32.selection.where", (kernel,)), row, operation.name)


def _lower_take_frame(builder: InstructionBuilder, operation: TakeFrame) -> None:
    frames = builder.program.values[operation.inputs[0]]
    frame_bytes = prod(frames.shape[1:]) * np.dtype(frames.dtype).itemsize
    _emit_loop_frame(builder, operation, "take_frame", frame_bytes, frames.shape[0])


def _lower_put_frame(builder: InstructionBuilder, operation: PutFrame) -> None:
    frame = builder.program.values[operation.inputs[0]]
    _emit_loop_frame(builder, operation, "put_frame", frame.size * np.dtype(frame.dtype).itemsize, operation.count)


def _emit_loop_frame(
    builder: InstructionBuilder, operation: TakeFrame | PutFrame, kernel: str, frame_bytes: int, count: int
) -> None:
    row = LoopFrameInstruction(
        source=builder.value(operation.inputs[0]),
        target=builder.value(operation.outputs[0]),
        round=builder.iterations[operation.loop],
        frame_bytes=frame_bytes,
        last=count - 1 if operation.reverse else -1,
    )
    builder.emit(Kernel("float32.movement", (kernel,)), row, operation.name)


def _lower_lookup(builder: InstructionBuilder, operation: Lookup) -> None:
    table = builder.program.weights[operation.table]
    row = LookupInstruction(
        ids=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        table=builder.pack(table),
        size=builder.program.values[operation.inputs[0]].size,
        rows=len(table),
        row_bytes=table[0].nbytes,
    )
    builder.emit(Kernel("float32.movement", ("lookup",)), row, operation.name)


LAYOUT_LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    Rearrange: _lower_rearrange,
    ReadState: _lower_read_state,
    WriteState: _lower_write_state,
    Constant: _lower_constant,
    Convert: _lower_convert,
    TakeFrame: _lower_take_frame,
    PutFrame: _lower_put_frame,
    Lookup: _lower_lookup,
}
