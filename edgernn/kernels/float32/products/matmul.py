"""Products of two matrices that are values. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import (
    broadcast,
    first_lanes,
    load,
    load_float,
    multiply_add,
    slot,
    store,
    sum_of_lanes,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.guard import guard, has_nan, watch
from edgernn.kernels.float32.products.panels import SCALE, rescued
from edgernn.kernels.instructions import MatMulInstruction, slots

MAT_MUL = slots(MatMulInstruction)
LANES = processor().lanes
REGISTER_BYTES = 4 * LANES


def build(form):
    """The kernel of ``a @ b``, "plain", or of ``a @ b.T``, "transposed"."""
    compute = guard({"plain": _make_plain, "transposed": _make_transposed}[form])

    def matmul(row, weights, state, arena):
        compute(row, weights, state, arena)
        return 0

    return matmul


def _make_plain(scaled):
    """Registers of columns of b. What is read and written behind the last column does not count."""

    def plain(row, weights, state, arena):
        a, b, y = arena + slot(row, MAT_MUL.a), arena + slot(row, MAT_MUL.b), arena + slot(row, MAT_MUL.y)
        size, columns = slot(row, MAT_MUL.k), slot(row, MAT_MUL.m)
        row_bytes = 4 * columns
        zero = broadcast(0.0, LANES)
        watched = zero
        for _ in range(slot(row, MAT_MUL.matrices)):
            for _ in range(slot(row, MAT_MUL.n)):
                for column in range(0, row_bytes, REGISTER_BYTES):
                    total = small = zero
                    source = b + column
                    for k in range(0, 4 * size, 4):
                        numbers, factor = load(source, LANES), broadcast(load_float(a + k), LANES)
                        total = multiply_add(numbers, factor, total)
                        if scaled:
                            small = multiply_add(numbers * SCALE, factor * SCALE, small)
                        source += row_bytes
                    if scaled:
                        (total,) = rescued((total,), (small,))
                    watched = watch(watched, (first_lanes(columns - (column >> 2), total, zero),))
                    store(y + column, total)
                a += 4 * size
                y += row_bytes
            b += size * row_bytes
        return has_nan(watched)

    return plain


def _make_transposed(scaled):
    """Rows of a with rows of b."""

    def transposed(row, weights, state, arena):
        a, b, y = arena + slot(row, MAT_MUL.a), arena + slot(row, MAT_MUL.b), arena + slot(row, MAT_MUL.y)
        size, columns = slot(row, MAT_MUL.k), slot(row, MAT_MUL.m)
        zero = broadcast(0.0, LANES)
        watched = zero
        for _ in range(slot(row, MAT_MUL.matrices)):
            for _ in range(slot(row, MAT_MUL.n)):
                for column in range(columns):
                    total, small, other = zero, zero, b + 4 * column * size
                    for k in range(0, size, LANES):
                        a_part = first_lanes(size - k, load(a + 4 * k, LANES), zero)
                        b_part = first_lanes(size - k, load(other + 4 * k, LANES), zero)
                        total = multiply_add(a_part, b_part, total)
                        if scaled:
                            small = multiply_add(a_part * SCALE, b_part * SCALE, small)
                    result = broadcast(sum_of_lanes(total), LANES)
                    if scaled:
                        (result,) = rescued((result,), (broadcast(sum_of_lanes(small), LANES),))
                    watched = watch(watched, (result,))
                    store(y, result)  # what is written behind the number, the next replaces
                    y += 4
                a += 4 * size
            b += 4 * columns * size
        return has_nan(watched)

    return transposed
