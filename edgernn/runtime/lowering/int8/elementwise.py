"""Integer operations on each element by itself, and the ways in and out, as instructions."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.instructions import (
    Int8ElementwiseInstruction,
)
from edgernn.kernels.int8.products.forms import tables_of
from edgernn.kernels.int8.products.packing import (
    pack_factors,
    pack_shared_table,
    pack_short_factors,
)
from edgernn.program.operations import (
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Unary,
    IntegerFunction,
    Quantize,
)
from edgernn.runtime.lowering.elementwise import broadcast
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering

Array: TypeAlias = NDArray[Any]


SHARED_TABLES = {"Sigmoid": int8_tables.SIGMOID, "Tanh": int8_tables.TANH}


def table_form(form: str = "") -> str:
    """The form of shared tables beside one of matrix products on this processor."""
    return tables_of(processor(), form)


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
    sides = [broadcast(builder, name, output.shape, operation.name, 2) for name in operation.inputs]
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
        a=broadcast(builder, operation.inputs[0], output.shape, operation.name, 2),
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


def _port_row(
    builder: InstructionBuilder, operation: Quantize | Dequantize, constants: Array
) -> Int8ElementwiseInstruction:
    return builder.fill(Int8ElementwiseInstruction, operation, b=0, constants=builder.pack(constants))


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
    lanes = str(lanes_of(row.size))
    builder.emit(Kernel("int8.elementwise.ports", ("dequantize", lanes)), row, operation.name)
    builder.emit_raw(Kernel("int8.elementwise.ports", ("widen", lanes)), row)


def lanes_of(size: int) -> int:
    """Lanes of a register for so many numbers, of the processor's own for many."""
    return min(processor().lanes, max(4, 1 << (size - 1).bit_length()))


OPERATIONS: dict[type, Lowering] = {
    Quantize: _lower_quantize,
    Dequantize: _lower_dequantize,
    Int8Unary: _lower_unary,
    Int8Affine: lower_int8_affine,
    Int8Binary: _lower_binary,
}
