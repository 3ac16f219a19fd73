"""Integer product of two values. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import inline, int16_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.codegen.simd_int32 import (
    load16,
    saturate16,
    smaller,
    store16,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8MatMulInstruction
from edgernn.kernels.int8.rescale import (
    NO_BIAS,
    rescale,
    rescale_number,
)

MAT_MUL = slots(Int8MatMulInstruction)
LANES = processor().lanes


@inline
def high_byte(x):
    """What is read of a number in 8 bits."""
    return min((x + 128) >> 8, 127)


def build(order, operand_bits):
    """The kernel for a b that is "plain" or "transposed", and an a of 8 or 16 bits."""
    left = high_byte if operand_bits == "8" else inline(lambda x: x)
    return _transposed(left) if order == "transposed" else _plain(left)


def _plain(left):
    """Columns of b side by side in registers; whole ones are stored, and the next row overwrites what is too much."""

    def matmul(row, weights, state, arena):
        a, b, y = int16_at(arena + slot(row, MAT_MUL.a)), arena + slot(row, MAT_MUL.b), arena + slot(row, MAT_MUL.y)
        factor, rows, terms, columns = (
            slot(row, MAT_MUL.factor),
            slot(row, MAT_MUL.n),
            slot(row, MAT_MUL.k),
            slot(row, MAT_MUL.m),
        )
        first = 0
        for _ in range(slot(row, MAT_MUL.matrices)):
            for _ in range(rows):
                for column in range(0, 2 * columns, 2 * LANES):
                    from_b = b + column
                    total = smaller((load16(from_b, LANES) + 128) >> 8, 127) * left(a[first])
                    for k in range(1, terms):
                        from_b += 2 * columns
                        total = total + smaller((load16(from_b, LANES) + 128) >> 8, 127) * left(a[first + k])
                    store16(y + column, saturate16(rescale(total, factor, NO_BIAS)))
                first += terms
                y += 2 * columns
            b += 2 * terms * columns
        return 0

    return matmul


def _transposed(left):
    """Sums along the rows of both."""

    def matmul(row, weights, state, arena):
        a, b, y = (
            int16_at(arena + slot(row, MAT_MUL.a)),
            int16_at(arena + slot(row, MAT_MUL.b)),
            int16_at(arena + slot(row, MAT_MUL.y)),
        )
        factor, rows, terms, columns = (
            slot(row, MAT_MUL.factor),
            slot(row, MAT_MUL.n),
            slot(row, MAT_MUL.k),
            slot(row, MAT_MUL.m),
        )
        first_a, first_b, to = 0, 0, 0
        for _ in range(slot(row, MAT_MUL.matrices)):
            for _ in range(rows):
                for column in range(columns):
                    total = 0
                    for k in range(terms):
                        total += left(a[first_a + k]) * high_byte(b[first_b + column * terms + k])
                    y[to] = min(max(rescale_number(total, factor), -32768), 32767)
                    to += 1
                first_a += terms
            first_b += columns * terms
        return 0

    return matmul
