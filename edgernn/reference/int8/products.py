"""Integer matrix products: ARITHMETIC.md sections 3 and 6, formula by formula."""

from __future__ import annotations

import numpy as np

from edgernn.program.operations import (
    Int8Dense,
    Int8GroupedDense,
    Int8MatMul,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.int8.base import (
    Array,
    Rows,
    operand,
    product,
    rescale,
    rescale_sum,
    saturate16,
)


def dense(x: Array, rows: Rows, B: Array, bits: int) -> Array:
    """x (..., K) -> (..., N); B (N,) int32 in the output's format."""
    return saturate16(product(rows, x, bits) + B)


def grouped_dense(x: Array, W: Array, multiplier: Array, shift: Array, B: Array, bits: int) -> Array:
    """x (..., inputs, groups), W (outputs, inputs, groups) -> (..., outputs, groups)."""
    accumulator = np.einsum("oig,...ig->...og", W, operand(x, bits))
    return saturate16(rescale_sum(accumulator, multiplier, shift) + B)


def matmul(a: Array, b: Array, transposed: bool, multiplier: int, shift: int, bits: int) -> Array:
    """a (..., n, k) in `bits` bits times b (..., k, m) in 8 bits -> (..., n, m)."""
    right = operand(b, 8)
    accumulator = operand(a, bits) @ (right.swapaxes(-1, -2) if transposed else right)
    return saturate16(rescale(accumulator, np.int64(multiplier), np.int64(shift)))


def _dense(x: Array, W: Array, W_multiplier: Array, W_shift: Array, B: Array, operand_bits: int) -> Array:
    return dense(x, Rows(W, W_multiplier, W_shift), B, operand_bits)


def _grouped_dense(x: Array, W: Array, W_multiplier: Array, W_shift: Array, B: Array, operand_bits: int) -> Array:
    return grouped_dense(x, W, W_multiplier, W_shift, B, operand_bits)


def _matmul(a: Array, b: Array, transposed: bool, multiplier: int, shift: int, operand_bits: int) -> Array:
    return matmul(a, b, transposed, multiplier, shift, operand_bits)


OPERATIONS: dict[type, Reference] = {
    Int8Dense: _dense,
    Int8GroupedDense: _grouped_dense,
    Int8MatMul: _matmul,
}
