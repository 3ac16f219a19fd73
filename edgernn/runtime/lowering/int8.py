"""From the integer operations of a Program to rows of the table that the compiled kernels read.

What lowering.py does for float; firmware_export/ARITHMETIC.md defines the operations.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import panel_lanes
from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.instructions import (
    Int8DenseInstruction,
    Int8ElementwiseInstruction,
    Int8LogSoftmaxInstruction,
    Int8SoftmaxInstruction,
)
from edgernn.kernels.int8.products.forms import FORMS, forms_of, tables_of
from edgernn.kernels.int8.products.packing import (
    GateRows,
    pack_factors,
    pack_int8_panels,
    pack_pairs,
    pack_shared_table,
    pack_short_factors,
    pack_single_panel,
    padded_columns,
)
from edgernn.program.operations import (
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Dense,
    Int8LogSoftmax,
    Int8Softmax,
    Int8Unary,
    IntegerFunction,
    Quantize,
    Shape,
)
from edgernn.runtime.lowering.table import InstructionBuilder, gather

Array: TypeAlias = NDArray[Any]
SMALL_INPUT = 64  # so few operands are not worth being split into halves: "pairs" reads them as they lie
SHARED_TABLES = {"Sigmoid": int8_tables.SIGMOID, "Tanh": int8_tables.TANH}


def product_form(operand_bits: int) -> str:
    """The form of matrix products on this processor."""
    return forms_of(processor(), operand_bits)[0]


def table_form(form: str = "") -> str:
    """The form of shared tables beside one of matrix products on this processor."""
    return tables_of(processor(), form)


# ---- matrices


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
        packed = pack_single_panel(rows, count, groups, form)
    else:
        lanes = panel_lanes(output_size, 1, lanes)
        packed = pack_int8_panels(rows, lanes, form, 1)
    in_place = FORMS[form].reads_in_place(operation.operand_bits)
    if operation.operand_bits == 8:  # each panel rounds anew
        in_place &= output_size <= lanes and (groups > 1 or input_size <= SMALL_INPUT)
    low, high = limits_of(limits)
    row = Int8DenseInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value((limits or operation).outputs[0]),
        W=builder.pack(packed),
        rows=builder.program.values[operation.inputs[0]].size // input_size,
        input_size=input_size,
        output_size=output_size,
        operands=operands(builder, input_size, form, groups),
        low=low,
        high=high,
    )
    options = (form, str(operation.operand_bits), str(lanes), str(groups), "in_place" if in_place else "copy")
    builder.emit(Kernel("int8.products.dense", options), row, operation.name)


def limits_of(operation: Int8Unary | None) -> tuple[int, int]:
    """The limits that follow a saturation to int16."""
    return (operation.function.low, operation.function.high) if operation else (-32768, 32767)


# ---- functions of one value


def function_constants(builder: InstructionBuilder, function: IntegerFunction, tables: str) -> tuple[int, int, int]:
    """Low, high and where the table lies; int8_functions.py reads them."""
    if function.table is not None:
        return 0, 0, builder.pack(builder.program.weights[function.table].astype(np.int32))
    if function.function in SHARED_TABLES:
        return 0, 0, builder.pack(pack_shared_table(SHARED_TABLES[function.function], tables))
    return function.low, function.high, 0


def _lower_unary(builder: InstructionBuilder, operation: Int8Unary) -> None:
    tables = table_form()
    constants = np.array(function_constants(builder, operation.function, tables), np.int64)
    _emit_elementwise(builder, operation, ("unary", operation.function.function, tables), constants)


def _elementwise_row(
    builder: InstructionBuilder, operation: Int8Unary | Int8Binary, constants: Array
) -> Int8ElementwiseInstruction:
    output = builder.program.values[operation.outputs[0]]
    sides = [broadcast_shorts(builder, name, output.shape, operation.name) for name in operation.inputs]
    return Int8ElementwiseInstruction(
        a=sides[0],
        b=sides[-1],
        y=builder.value(operation.outputs[0]),
        constants=builder.pack(constants),
        size=output.size,
    )


def _emit_elementwise(
    builder: InstructionBuilder,
    operation: Int8Unary | Int8Binary,
    options: tuple[str, ...],
    constants: Array,
) -> None:
    row = _elementwise_row(builder, operation, constants)
    builder.emit(Kernel("int8.elementwise.arithmetic", options), row, operation.name)


def lower_int8_affine(builder: InstructionBuilder, operation: Int8Affine, following: Int8Unary | None = None) -> None:
    """Emit arithmetic with constants and, where its result goes nowhere else, the function of that."""
    names = (operation.multiplier, operation.shift, operation.B)
    output = builder.program.values[operation.outputs[0]]
    constants = [np.broadcast_to(builder.program.weights[name], output.shape) for name in names]
    name, of_function, tables = "none", (0, 0, 0), table_form()
    if following:
        name = following.function.function
        of_function = function_constants(builder, following.function, tables)
    row = Int8ElementwiseInstruction(
        a=broadcast_shorts(builder, operation.inputs[0], output.shape, operation.name),
        b=builder.pack(np.array(of_function, np.int64)),
        y=builder.value((following or operation).outputs[0]),
        constants=builder.pack(_in_registers(constants, np.int32, 2 * processor().lanes)),
        size=output.size,
    )
    builder.emit(Kernel("int8.elementwise.arithmetic", ("affine", name, tables)), row, operation.name)


def _lower_binary(builder: InstructionBuilder, operation: Int8Binary) -> None:
    multipliers, shifts = np.array(operation.multipliers), np.array(operation.shifts)
    if operation.function == "Div":
        row = _elementwise_row(builder, operation, np.concatenate([multipliers, shifts]).astype(np.int64))
        builder.emit(Kernel("int8.elementwise.divide"), row, operation.name)
        return
    constants = pack_short_factors(multipliers, shifts)
    if operation.function == "Mul":
        constants = pack_factors(multipliers, shifts).astype(np.int64)
    _emit_elementwise(builder, operation, ("binary", operation.function), constants)


def _in_registers(constants: list[Array], dtype: type[np.generic], lanes: int) -> Array:
    """Constants of each element, one register of each in turn: (registers, constants, lanes)."""
    size = constants[0].size
    padded = np.ones((len(constants), -(-size // lanes) * lanes), dtype)
    for row, constant in zip(padded, constants, strict=True):
        row[:size] = constant.ravel()
    return np.ascontiguousarray(padded.reshape(len(constants), -1, lanes).transpose(1, 0, 2))


def lower_int8_softmax(builder: InstructionBuilder, operation: Int8Softmax, way_out: Dequantize | None = None) -> None:
    """Emit a softmax and, where its result goes nowhere else, the way out of the integers."""
    value = builder.program.values[operation.inputs[0]]
    scale = builder.program.values[operation.outputs[0]].scale
    row = Int8SoftmaxInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value((way_out or operation).outputs[0]),
        scratch=builder.arena.take(4 * value.shape[-1]),
        table=builder.pack(pack_pairs(int8_tables.EXP2)),
        multiplier=operation.multiplier,
        shift=min(operation.shift - 1, 31),
        rows=value.size // value.shape[-1],
        size=value.shape[-1],
        scale=builder.pack(np.array([scale], np.float32)),
    )
    lanes = _lanes_of(row.size)
    options = ("short" if row.size <= lanes else "long", str(lanes), table_form())
    builder.emit(Kernel("int8.reductions.softmax", (*options, "float32" if way_out else "int16")), row, operation.name)
    if way_out:
        builder.emit_raw(Kernel("int8.reductions.softmax", (*options, "int32")), row)


def _lanes_of(size: int) -> int:
    """Lanes of a register for so many numbers, of the processor's own for many."""
    return min(processor().lanes, max(4, 1 << (size - 1).bit_length()))


def _lower_log_softmax(builder: InstructionBuilder, operation: Int8LogSoftmax) -> None:
    value = builder.program.values[operation.inputs[0]]
    row = Int8LogSoftmaxInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        powers=builder.pack(np.array(int8_tables.EXP2, np.int64)),
        logarithms=builder.pack(np.array(int8_tables.LOG2, np.int64)),
        multiplier=operation.multiplier,
        shift=operation.shift,
        output_multiplier=operation.output_multiplier,
        output_shift=operation.output_shift,
        rows=value.size // value.shape[-1],
        size=value.shape[-1],
    )
    builder.emit(Kernel("int8.reductions.log_softmax"), row, operation.name)


# ---- ways in and out


def _port_row(
    builder: InstructionBuilder, operation: Quantize | Dequantize, constants: Array
) -> Int8ElementwiseInstruction:
    return Int8ElementwiseInstruction(
        a=builder.value(operation.inputs[0]),
        b=0,
        y=builder.value(operation.outputs[0]),
        constants=builder.pack(constants),
        size=builder.program.values[operation.outputs[0]].size,
    )


def _lower_quantize(builder: InstructionBuilder, operation: Quantize) -> None:
    weights, shape = builder.program.weights, builder.program.values[operation.outputs[0]].shape
    constants = [np.broadcast_to(weights[name], shape) for name in (operation.mean, operation.inverse)]
    row = _port_row(builder, operation, _in_registers(constants, np.float32, processor().lanes))
    builder.emit(Kernel("int8.elementwise.ports", ("quantize",)), row, operation.name)
    if operation.counts is not None:
        constants = [np.broadcast_to(settings, shape) for settings in weights[operation.counts]]
        row = row._replace(constants=builder.pack(_in_registers(constants, np.int32, processor().lanes)))
        builder.emit_raw(Kernel("int8.elementwise.ports", ("quantize_counts",)), row)


def _lower_dequantize(builder: InstructionBuilder, operation: Dequantize) -> None:
    scale = builder.program.values[operation.inputs[0]].scale
    row = _port_row(builder, operation, np.array([scale], np.float32))
    lanes = str(_lanes_of(row.size))
    builder.emit(Kernel("int8.elementwise.ports", ("dequantize", lanes)), row, operation.name)
    builder.emit_raw(Kernel("int8.elementwise.ports", ("widen", lanes)), row)


# ---- moves


def broadcast_shorts(builder: InstructionBuilder, name: str, shape: Shape, operation_name: str) -> int:
    """Offset of a value repeated to `shape`; the value's own where nothing is repeated."""
    value = builder.program.values[name]
    if value.size == prod(shape):
        return builder.value(name)
    indices = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape).ravel()
    target = builder.arena.take(2 * indices.size)
    gather(builder, builder.value(name) + 2 * indices, target, operation_name, 2)
    return target


INT8_LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    Quantize: _lower_quantize,
    Dequantize: _lower_dequantize,
    Int8Dense: lower_int8_dense,
    Int8Unary: _lower_unary,
    Int8Affine: lower_int8_affine,
    Int8Binary: _lower_binary,
    Int8Softmax: lower_int8_softmax,
    Int8LogSoftmax: _lower_log_softmax,
}
