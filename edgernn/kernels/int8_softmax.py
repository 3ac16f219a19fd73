"""Integer softmax, ARITHMETIC.md section 6. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from edgernn.kernels.int8_rows import Int8SoftmaxRow
from edgernn.kernels.pointers import inline, int16_at, int64_at
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import INT, slot

X, Y, SCRATCH, TABLE, MULTIPLIER, SHIFT, ROWS, SIZE = slots(Int8SoftmaxRow)


@intrinsic
def divide(typing, a, b):
    """The quotient of two numbers that fit uint32, rounded down: a shorter division than that of int64."""

    def lower(context, builder, signature, arguments):
        a, b = (builder.trunc(number, INT) for number in arguments)
        return builder.zext(builder.udiv(a, b), arguments[0].type)

    return types.int64(types.int64, types.int64), lower


@inline
def power_of_two(fraction, table):
    """2^-fraction, of 2^-12 octaves below one to Q1.15."""
    i = fraction >> 6
    return table[i] - (((table[i] - table[i + 1]) * (fraction & 63) + 32) >> 6)


@inline
def power(octaves, table):
    """2^-octaves, Q4.12 to Q0.15."""
    whole = octaves >> 12
    return (2 * power_of_two(octaves & 4095, table) + (1 << whole)) >> (whole + 1)


def softmax(row, weights, state, arena):
    """Of each row of x, with int64 numbers on the way."""
    x, y = int16_at(arena + slot(row, X)), int16_at(arena + slot(row, Y))
    e, table = int64_at(arena + slot(row, SCRATCH)), int64_at(weights + slot(row, TABLE))
    multiplier, shift, size = slot(row, MULTIPLIER), slot(row, SHIFT), slot(row, SIZE)
    half = 1 << (shift - 1)
    start = 0
    for _ in range(slot(row, ROWS)):
        largest = -32768
        for k in range(start, start + size):
            largest = max(largest, x[k])
        total = 0
        for k in range(size):
            octaves = min(((largest - x[start + k]) * multiplier + half) >> shift, 69631)
            e[k] = power(octaves, table)
            total += e[k]
        for k in range(size):
            y[start + k] = min(divide(e[k] * 32768 + (total >> 1), total), 32767)
        start += size
    return 0


def build():
    """The one kernel of this module."""
    return softmax
