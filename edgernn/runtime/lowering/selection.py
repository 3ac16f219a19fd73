"""Choices, as instructions: between values, of the largest numbers and where they are."""

from __future__ import annotations

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    SelectInstruction,
    WhereInstruction,
)
from edgernn.program.operations import (
    ArgMax,
    TopK,
    Where,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering, direct


def _lower_arg_max(builder: InstructionBuilder, operation: ArgMax) -> None:
    order = "smallest" if operation.smallest else "largest"
    row = builder.fill(SelectInstruction, operation, y=builder.value(operation.outputs[0]), k=1)
    kernel = Kernel(_select_module(builder, operation), ("arg", order, "last" if operation.last else "first"))
    builder.emit(kernel, row, operation.name)


def _lower_top_k(builder: InstructionBuilder, operation: TopK) -> None:
    order = "largest" if operation.largest else "smallest"
    kernel = Kernel(_select_module(builder, operation), ("top", order))
    builder.emit(kernel, builder.fill(SelectInstruction, operation), operation.name)


def _select_module(builder: InstructionBuilder, operation: ArgMax | TopK) -> str:
    return (
        "int8.selection.top_k"
        if builder.program.values[operation.inputs[0]].dtype == "int16"
        else "float32.selection.top_k"
    )


OPERATIONS: dict[type, Lowering] = {
    ArgMax: _lower_arg_max,
    TopK: _lower_top_k,
    Where: direct("float32.selection.where", WhereInstruction, "where"),
}
