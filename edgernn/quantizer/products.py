"""Matrix products to integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgernn.program import fixed_point
from edgernn.program.operations import Dense, GroupedDense, Int8Dense, Int8GroupedDense, Int8MatMul, MatMul
from edgernn.program.operations.int8.products import matmul_bound
from edgernn.quantizer.converter import Converter


def convert_dense(converter: Converter, operation: Dense) -> None:
    """Rows with a scale each, the bias with what their rounding takes from the mean."""
    source, output = operation.inputs[0], operation.outputs[0]
    integer, bits = converter.as_integer(source), converter.settings.bits(operation)
    W = converter.program.weights[operation.W].astype(np.float64)  # (outputs, inputs)
    scale = converter.formats.output_scale(output)
    fields, meaning = converter.rows(operation, "W", W, converter.scales[integer], np.full(len(W), scale), bits)
    B = converter.lost_mean(W, meaning, converter.trace.values[source].reshape(-1, W.shape[1]))
    if operation.B is not None:
        B = B + converter.program.weights[operation.B]
    fields["B"] = converter.add_weight(
        operation, "B", fixed_point.quantize_bias(B, scale, f"operation {operation.name}")
    )
    converter.add_integer(Int8Dense, operation, (integer,), scale, operand_bits=bits, **fields)


def convert_grouped_dense(converter: Converter, operation: GroupedDense) -> None:
    """Each output of each group is a row with its own scale."""
    source, output = operation.inputs[0], operation.outputs[0]
    integer, bits = converter.as_integer(source), converter.settings.bits(operation)
    W = converter.program.weights[operation.W].astype(np.float64)  # (outputs, inputs, groups)
    outputs, inputs, groups = W.shape
    rows = W.transpose(0, 2, 1).reshape(outputs * groups, inputs)
    scale = converter.formats.output_scale(output)
    where = f"operation {operation.name} (GroupedDense), weight W"
    q = fixed_point.quantize_rows(rows, converter.scales[integer], np.full(len(rows), scale), bits, where)
    lost = (rows - q.meaning).reshape(outputs, groups, inputs)
    mean = converter.trace.values[source].reshape(-1, inputs, groups).mean(axis=0)
    B = np.einsum("ogi,ig->og", lost, mean) if converter.settings.correct_bias else np.zeros((outputs, groups))
    if operation.B is not None:
        B = B + converter.program.weights[operation.B]
    parts = {
        "W": q.weights.reshape(outputs, groups, inputs).transpose(0, 2, 1),
        "W_multiplier": q.multiplier.reshape(outputs, groups),
        "W_shift": q.shift.reshape(outputs, groups),
        "B": fixed_point.quantize_bias(B, scale, f"operation {operation.name}"),
    }
    names: dict[str, Any] = {field: converter.add_weight(operation, field, array) for field, array in parts.items()}
    converter.add_integer(Int8GroupedDense, operation, (integer,), scale, operand_bits=bits, **names)


def convert_matmul(converter: Converter, operation: MatMul) -> None:
    """The right side is read in 8 bits."""
    a, b = (converter.as_integer(name) for name in operation.inputs)
    bits = converter.settings.bits(operation)
    unit = converter.scales[a] * converter.scales[b] * 256 * (1 if bits == 16 else 256)
    scale = converter.formats.output_scale(operation.outputs[0])
    m, s = fixed_point.multiplier(np.array(unit / scale), f"operation {operation.name}")
    terms = converter.program.values[operation.inputs[0]].shape[-1]
    if matmul_bound(terms, bits, int(s)) >= 1 << 31:
        raise converter.refused(operation, f"a sum of {terms} products could overflow 32 bits")
    converter.add_integer(
        Int8MatMul,
        operation,
        (a, b),
        scale,
        transposed=operation.transposed,
        operand_bits=bits,
        multiplier=int(m),
        shift=int(s),
    )


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {
    Dense: convert_dense,
    GroupedDense: convert_grouped_dense,
    MatMul: convert_matmul,
}
