"""Float matrix products, as instructions."""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import (
    pack_groups,
    pack_panels,
    pack_single_panel,
    panel_lanes,
)
from edgernn.kernels.instructions import (
    DenseInstruction,
    GroupedDenseInstruction,
    MatMulInstruction,
)
from edgernn.program.operations import (
    Dense,
    GroupedDense,
    MatMul,
    Unary,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering

FUSED_FUNCTIONS = ("Relu", "Tanh", "Sigmoid")  # that a Dense applies to its result itself


def lower_dense(builder: InstructionBuilder, operation: Dense, activation: Unary | None = None) -> None:
    """Emit a Dense and, where its result goes nowhere else, the function of that."""
    W = builder.program.weights[operation.W]
    B = None if operation.B is None else builder.program.weights[operation.B][np.newaxis]
    output_size = len(W)
    lanes = processor().lanes
    rows = 1 << (output_size - 1).bit_length()
    form = "narrow" if rows < lanes else "panels"
    if form == "narrow":
        packed = pack_single_panel(W, None if B is None else B[0], rows, lanes)
        lanes = rows
    else:
        lanes = panel_lanes(output_size, 1, lanes)
        packed = pack_panels(W[np.newaxis], B, lanes)
    row = builder.fill(
        DenseInstruction,
        operation,
        y=builder.value((activation or operation).outputs[0]),
        W=builder.pack(packed),
        panels=-(-output_size // lanes),
    )
    function = "none" if activation is None else activation.function
    builder.emit(Kernel("float32.products.dense", (form, str(lanes), function)), row, operation.name)


def _lower_grouped_dense(builder: InstructionBuilder, operation: GroupedDense) -> None:
    weights = builder.program.weights
    B = None if operation.B is None else weights[operation.B]
    W = builder.pack(pack_groups(weights[operation.W], B, processor().lanes))
    row = builder.fill(GroupedDenseInstruction, operation, W=W)
    builder.emit(Kernel("float32.products.grouped_dense"), row, operation.name)


def _lower_matmul(builder: InstructionBuilder, operation: MatMul) -> None:
    form = "transposed" if operation.transposed else "plain"
    builder.emit(Kernel("float32.products.matmul", (form,)), builder.fill(MatMulInstruction, operation), operation.name)


OPERATIONS: dict[type, Lowering] = {
    Dense: lower_dense,
    GroupedDense: _lower_grouped_dense,
    MatMul: _lower_matmul,
}
