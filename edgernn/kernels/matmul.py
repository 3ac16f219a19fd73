"""Products of two matrices that are values. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.rows import MatMulRow, slots
from edgernn.kernels.simd import (
    broadcast,
    first_lanes,
    load,
    load_float,
    multiply_add,
    slot,
    store,
    store_float,
    sum_of_lanes,
)
from edgernn.kernels.target import processor

A, B, Y, MATRICES, N, K, M = slots(MatMulRow)
LANES = processor().lanes
REGISTER_BYTES = 4 * LANES


def build(form):
    """The kernel of ``a @ b``, "plain", or of ``a @ b.T``, "transposed"."""
    return {"plain": plain, "transposed": transposed}[form]


def plain(row, weights, state, arena):
    """Registers of columns of b. What is written behind the last column, the next row replaces."""
    a, b, y = arena + slot(row, A), arena + slot(row, B), arena + slot(row, Y)
    size, row_bytes = slot(row, K), 4 * slot(row, M)
    for _ in range(slot(row, MATRICES)):
        for _ in range(slot(row, N)):
            for column in range(0, row_bytes, REGISTER_BYTES):
                total = broadcast(0.0, LANES)
                source = b + column
                for k in range(0, 4 * size, 4):
                    total = multiply_add(load(source, LANES), broadcast(load_float(a + k), LANES), total)
                    source += row_bytes
                store(y + column, total)
            a += 4 * size
            y += row_bytes
        b += size * row_bytes
    return 0


def transposed(row, weights, state, arena):
    """Rows of a with rows of b."""
    a, b, y = arena + slot(row, A), arena + slot(row, B), arena + slot(row, Y)
    size, columns = slot(row, K), slot(row, M)
    zero = broadcast(0.0, LANES)
    for _ in range(slot(row, MATRICES)):
        for _ in range(slot(row, N)):
            for column in range(columns):
                total, other = zero, b + 4 * column * size
                whole = size - size % LANES
                for k in range(0, 4 * whole, REGISTER_BYTES):
                    total = multiply_add(load(a + k, LANES), load(other + k, LANES), total)
                if whole < size:
                    product = load(a + 4 * whole, LANES) * load(other + 4 * whole, LANES)
                    total = total + first_lanes(size - whole, product, zero)
                store_float(y, sum_of_lanes(total))
                y += 4
            a += 4 * size
        b += 4 * columns * size
    return 0
