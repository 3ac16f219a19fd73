"""Operations that move numbers, as instructions: of any number type, byte for byte."""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    CopyInstruction,
    LookupInstruction,
)
from edgernn.program.operations import (
    ConstantValue,
    Lookup,
    ReadState,
    Rearrange,
    WriteState,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering, gather


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
    row = builder.fill(
        CopyInstruction,
        operation,
        source=builder.region(operation.region),
        size_bytes=output.size * np.dtype(output.dtype).itemsize,
    )
    kernel = "read_state" if output.dtype == operation.dtype else "read_high"
    builder.emit(Kernel("float32.movement", (kernel,)), row, operation.name)


def _lower_write_state(builder: InstructionBuilder, operation: WriteState) -> None:
    row = builder.fill(
        CopyInstruction,
        operation,
        target=builder.region(operation.region),
        size_bytes=operation.size * np.dtype(operation.dtype).itemsize,
    )
    kernel = "write_floats" if operation.dtype == "float32" else "write_state"
    builder.emit(Kernel("float32.movement", (kernel,)), row, operation.name)


def _lower_constant(builder: InstructionBuilder, operation: ConstantValue) -> None:
    builder.constants.append((builder.value(operation.outputs[0]), builder.program.weights[operation.weight_name]))


def _lower_lookup(builder: InstructionBuilder, operation: Lookup) -> None:
    row_bytes = builder.program.weights[operation.table][0].nbytes
    size = builder.program.values[operation.inputs[0]].size
    row = builder.fill(LookupInstruction, operation, size=size, row_bytes=row_bytes)
    builder.emit(Kernel("float32.movement", ("lookup",)), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    Rearrange: _lower_rearrange,
    ReadState: _lower_read_state,
    WriteState: _lower_write_state,
    ConstantValue: _lower_constant,
    Lookup: _lower_lookup,
}
