"""Integer matrix products beside `reference_int8.dense`: ARITHMETIC.md sections 3 and 6, formula by formula."""

from __future__ import annotations

import numpy as np

from edgernn.reference.int8 import Array, operand, rescale, rescale_sum, saturate16


def grouped_dense(x: Array, W: Array, multiplier: Array, shift: Array, B: Array, bits: int) -> Array:
    """x (..., inputs, groups), W (outputs, inputs, groups) -> (..., outputs, groups)."""
    accumulator = np.einsum("oig,...ig->...og", W, operand(x, bits))
    return saturate16(rescale_sum(accumulator, multiplier, shift) + B)


def matmul(a: Array, b: Array, transposed: bool, multiplier: int, shift: int, bits: int) -> Array:
    """a (..., n, k) in `bits` bits times b (..., k, m) in 8 bits -> (..., n, m)."""
    right = operand(b, 8)
    accumulator = operand(a, bits) @ (right.swapaxes(-1, -2) if transposed else right)
    return saturate16(rescale(accumulator, np.int64(multiplier), np.int64(shift)))
