"""Layer normalisation over the last axis. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.rows import LayerNormRow, slots
from edgernn.kernels.simd import (
    broadcast,
    first_lanes,
    load,
    load_float,
    multiply_add,
    slot,
    square_root,
    store,
    sum_of_lanes,
)
from edgernn.kernels.target import processor

X, Y, SCALE, BIAS, EPSILON, ROWS, SIZE = slots(LayerNormRow)
LANES = processor().lanes


def build():
    """The one kernel. What it writes behind the end of a row, the next row replaces."""
    return layer_norm


def layer_norm(row, weights, state, arena):
    """The mean first, then the variance around it, so that large means lose nothing."""
    x, y, size = arena + slot(row, X), arena + slot(row, Y), slot(row, SIZE)
    scale, bias = weights + slot(row, SCALE), weights + slot(row, BIAS)
    epsilon, zero = load_float(weights + slot(row, EPSILON)), broadcast(0.0, LANES)
    for _ in range(slot(row, ROWS)):
        total = zero
        for k in range(0, size, LANES):
            total = total + first_lanes(size - k, load(x + 4 * k, LANES), zero)
        mean = broadcast(sum_of_lanes(total) / size, LANES)
        total = zero
        for k in range(0, size, LANES):
            centred = first_lanes(size - k, load(x + 4 * k, LANES) - mean, zero)
            total = multiply_add(centred, centred, total)
        deviation = square_root(broadcast(sum_of_lanes(total) / size + epsilon, LANES))
        for k in range(0, 4 * size, 4 * LANES):
            normal = (load(x + k, LANES) - mean) / deviation
            store(y + k, multiply_add(normal, load(scale + k, LANES), load(bias + k, LANES)))
        x += 4 * size
        y += 4 * size
    return 0
