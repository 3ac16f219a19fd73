"""The integer arithmetic that all families share: firmware_export/ARITHMETIC.md sections 2 and 3."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.int8.elementwise import tables as int8_tables

Array = NDArray[np.int64]

EXP2 = np.array(int8_tables.EXP2, np.int64)  # (65,)


INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


class Rows(NamedTuple):
    """Rows of a matrix product: int8 weights (rows, columns), multiplier m and shift s of each row (rows,)."""

    weights: Array
    multiplier: Array
    shift: Array

    def part(self, rows: slice) -> Rows:
        """Some of the rows."""
        return Rows(self.weights[rows], self.multiplier[rows], self.shift[rows])


def saturate16(x: Array) -> Array:
    """The nearest int16."""
    return np.minimum(np.maximum(x, INT16_MIN), INT16_MAX)


def saturate32(x: Array) -> Array:
    """The nearest int32."""
    return np.minimum(np.maximum(x, INT32_MIN), INT32_MAX)


def rescale(accumulator: Array, multiplier: Array | np.int64, shift: Array | np.int64) -> Array:
    """``accumulator * multiplier / 2^shift``, rounded to nearest, halves up."""
    one = np.int64(1)
    return (accumulator * multiplier + (one << (shift - one))) >> shift


def operand(x: Array, bits: int) -> Array:
    """What a matrix product reads of an int16 value: all of it, or its rounding to int8."""
    return x if bits == 16 else np.minimum((x + 128) >> 8, 127)


def product(rows: Rows, x: Array, bits: int) -> Array:
    """Accumulate and rescale each row; x (..., columns) -> (..., rows), an int32 in the rows' output format."""
    return rescale_sum(operand(x, bits) @ rows.weights.T, rows.multiplier, rows.shift)


def rescale_sum(total: Array, multiplier: Array, shift: Array) -> Array:
    """`rescale` of a sum of weights, limited to what is an int32 times ``2^(17 - shift)``."""
    before = np.maximum(0, 17 - shift)
    return rescale(np.clip(total, INT32_MIN >> before, INT32_MAX >> before), multiplier, shift)


def bit_length(x: Array) -> Array:
    """How many bits a number from 0 to 2^53 has."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def reciprocal(d: Array) -> Array:
    """``2^30 / d`` for d from 2^15 to 2^16 - 1: 2^14 to 2^15 - 1."""
    return np.minimum(((1 << 30) + (d >> 1)) // d, INT16_MAX)


def interpolate(entries: Array, x: Array, bits: int) -> Array:
    """Straight lines between entries that are 2^bits apart."""
    i, fraction = x >> bits, x & ((1 << bits) - 1)
    return entries[i] + (((entries[i + 1] - entries[i]) * fraction + (1 << (bits - 1))) >> bits)


def power_of_two(fraction: Array) -> Array:
    """``2^-fraction``, of 2^-12 octaves from 0 to 4095, in Q1.15: 32768 down to 16387."""
    i, f = fraction >> 6, fraction & 63
    return EXP2[i] - (((EXP2[i] - EXP2[i + 1]) * f + 32) >> 6)


def multiply_fine(x: Array, fine: Array) -> Array:
    """``floor(x * fine / 2^15)`` for an x of 17 bits with sign and a Q0.30 `fine`: 15 more fraction bits than x."""
    return (x * fine) >> 15
