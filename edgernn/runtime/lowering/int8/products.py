"""Integer matrix products, as instructions."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import (
    panel_lanes,
)
from edgernn.kernels.int8.instructions import (
    Int8DenseInstruction,
    Int8GroupedInstruction,
    Int8MatMulInstruction,
)
from edgernn.kernels.int8.products.forms import FORMS, forms_of
from edgernn.kernels.int8.products.packing import (
    GateRows,
    pack_biases,
    pack_factors,
    pack_int8_panels,
    padded_columns,
)
from edgernn.kernels.int8.products.packing import (
    pack_single_panel as pack_int8_single_panel,
)
from edgernn.program.operations import (
    Int8Dense,
    Int8GroupedDense,
    Int8MatMul,
    Int8Reduce,
    Int8Unary,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering

Array: TypeAlias = NDArray[Any]


SMALL_INPUT = 64  # so few operands are not worth being split into halves: "pairs" reads them as they lie


def product_form(operand_bits: int) -> str:
    """The form of matrix products on this processor."""
    return forms_of(processor(), operand_bits)[0]


def operands(builder: InstructionBuilder, columns: int, form: str, groups: int = 1) -> int:
    """Room in the arena for what a matrix product reads of `columns` numbers."""
    return builder.arena.take(padded_columns(columns, form, groups) * FORMS[form].operand_bytes)


def gate_rows(builder: InstructionBuilder, operation: Any, field: str, gates: int, B: Array) -> GateRows:
    """The rows of the matrix `field`, by gate."""
    names = (getattr(operation, field + suffix) for suffix in ("", "_multiplier", "_shift"))
    W, multiplier, shift = (builder.program.weights[name] for name in names)
    units = len(W) // gates
    return GateRows(W.reshape(gates, units, -1), multiplier.reshape(gates, units), shift.reshape(gates, units), B)


def lower_int8_dense(builder: InstructionBuilder, operation: Int8Dense, limits: Int8Unary | None = None) -> None:
    """Emit a product and, where its result goes nowhere else, the limits of that."""
    form, lanes, groups = product_form(operation.operand_bits), processor().lanes, 1
    B = builder.program.weights[operation.B][np.newaxis]
    rows = gate_rows(builder, operation, "W", 1, B)
    _, output_size, input_size = rows.W.shape
    count = 1 << (output_size - 1).bit_length()
    if form == "halves" and (count < lanes or input_size <= SMALL_INPUT):
        form = "pairs"
    if count < lanes:
        groups = lanes // count
        packed = pack_int8_single_panel(rows, count, groups, form)
    else:
        lanes = panel_lanes(output_size, 1, lanes)
        packed = pack_int8_panels(rows, lanes, form, 1)
    in_place = FORMS[form].reads_in_place(operation.operand_bits)
    if operation.operand_bits == 8:  # each panel rounds again
        in_place &= output_size <= lanes and (groups > 1 or input_size <= SMALL_INPUT)
    low, high = limits_of(limits)
    row = builder.fill(
        Int8DenseInstruction,
        operation,
        y=builder.value((limits or operation).outputs[0]),
        W=builder.pack(packed),
        operands=operands(builder, input_size, form, groups),
        low=low,
        high=high,
    )
    options = (form, str(operation.operand_bits), str(lanes), str(groups), "in_place" if in_place else "copy")
    builder.emit(Kernel("int8.products.dense", options), row, operation.name)


def limits_of(operation: Int8Unary | None) -> tuple[int, int]:
    """The limits that follow a saturation to int16."""
    return (operation.function.low, operation.function.high) if operation else (-32768, 32767)


def lower_int8_grouped_dense(
    builder: InstructionBuilder, operation: Int8GroupedDense, limits: Int8Unary | None = None
) -> None:
    """Emit the products and, where their results go nowhere else, the limits of those."""
    weights, lanes = builder.program.weights, processor().lanes
    W, m, s, B = (weights[getattr(operation, field)] for field in ("W", "W_multiplier", "W_shift", "B"))
    outputs, inputs, groups = W.shape
    registers = -(-groups // lanes)
    padded = np.zeros((outputs, inputs, registers * lanes), np.int8)
    padded[:, :, :groups] = W
    constants = np.zeros((outputs, 2, registers * lanes), np.int32)
    constants[:, :, :groups] = np.stack([pack_factors(m, s), pack_biases(B)], axis=1)
    constants = constants.reshape(outputs, 2, registers, lanes).transpose(0, 2, 1, 3)
    low, high = limits_of(limits)
    row = builder.fill(
        Int8GroupedInstruction,
        operation,
        y=builder.value((limits or operation).outputs[0]),
        W=builder.pack(padded),
        constants=builder.pack(np.ascontiguousarray(constants)),
        shifts=int((s < 17).any()),
        low=low,
        high=high,
    )
    builder.emit(Kernel("int8.products.grouped", (str(operation.operand_bits),)), row, operation.name)


def _lower_matmul(builder: InstructionBuilder, operation: Int8MatMul) -> None:
    order = "transposed" if operation.transposed else "plain"
    row = builder.fill(Int8MatMulInstruction, operation, factor=factor(operation))
    builder.emit(Kernel("int8.products.matmul", (order, str(operation.operand_bits))), row, operation.name)


def factor(operation: Int8MatMul | Int8Reduce) -> int:
    """The factor of a rescaling."""
    return int(pack_factors(np.array(operation.multiplier), np.array(operation.shift)))


OPERATIONS: dict[type, Lowering] = {
    Int8Dense: lower_int8_dense,
    Int8GroupedDense: lower_int8_grouped_dense,
    Int8MatMul: _lower_matmul,
}
