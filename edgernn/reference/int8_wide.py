"""Updates of 32-bit states that are written out: ARITHMETIC.md section 7.4, formula by formula."""

from __future__ import annotations

from typing import NamedTuple

from edgernn.reference.int8 import Array, fine_sigmoid, multiply_fine, rescale, saturate32


class Matrix(NamedTuple):
    """A matrix (rows, columns) with multiplier, shift and bias of each row."""

    W: Array
    multiplier: Array
    shift: Array
    B: Array


def fine_gate(x: Array, complement: bool) -> Array:
    """Q4.11 int16 -> Q0.30, above 0 and below 1."""
    return fine_sigmoid(-2 * x if complement else 2 * x)


def add_product(h: Array, x: Array, fine: Array, negative: bool) -> Array:
    """``h + x * fine``, or minus: x of 16 or 17 bits with sign, fine Q0.30, in two halves that saturate."""
    half = multiply_fine(x, fine)
    half = -half if negative else half
    return saturate32(saturate32(h + half) + half)


def add_shifted(h: Array, x: Array, shift: int, negative: bool) -> Array:
    """``h + x * 2^shift``, or minus."""
    shifted = x * (1 << shift)
    return saturate32(h - shifted if negative else h + shifted)


def add_matrix(h: Array, x: Array, matrix: Matrix, is_int32: bool) -> Array:
    """``h + W x + B`` for x (columns,) of any size; W and x are both of 16 bits or both of 32, in halves."""
    total = ((matrix.W >> 16) @ x + (matrix.W & 65535) @ (x >> 16)) >> 16 if is_int32 else matrix.W @ x
    product = rescale(total, matrix.multiplier, matrix.shift) + matrix.B
    return saturate32(h + product.reshape(h.shape))
