"""Layer normalisation over the last axis. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import (
    broadcast,
    first_lanes,
    inline,
    load,
    load_float,
    multiply_add,
    slot,
    square_root,
    store,
    sum_of_lanes,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.functions import INFINITY
from edgernn.kernels.instructions import LayerNormInstruction, slots

LAYER_NORM = slots(LayerNormInstruction)
LANES = processor().lanes


def build():
    """The one kernel. What it writes behind the end of a row, the next row replaces."""
    return layer_norm


SMALLER = 2.0**-80  # what numbers are multiplied with whose squares are too large for float32


def layer_norm(row, weights, state, arena):
    """The mean first, then the variance around it, so that large means lose nothing."""
    x, y, size = arena + slot(row, LAYER_NORM.x), arena + slot(row, LAYER_NORM.y), slot(row, LAYER_NORM.size)
    scale, bias = weights + slot(row, LAYER_NORM.scale), weights + slot(row, LAYER_NORM.bias)
    epsilon, centred = load_float(weights + slot(row, LAYER_NORM.epsilon)), slot(row, LAYER_NORM.centred)
    for _ in range(slot(row, LAYER_NORM.rows)):
        factor = 1.0
        mean, variance = moments(x, size, factor, centred)
        if not variance < INFINITY:
            factor = SMALLER
            mean, variance = moments(x, size, factor, centred)
        centre = broadcast(mean, LANES)
        deviation = square_root(broadcast(variance + epsilon * factor * factor, LANES))
        for k in range(0, 4 * size, 4 * LANES):
            normal = (load(x + k, LANES) * factor - centre) / deviation
            store(y + k, multiply_add(normal, load(scale + k, LANES), load(bias + k, LANES)))
        x += 4 * size
        y += 4 * size
    return 0


@inline
def moments(x, size, factor, centred):
    """Mean and variance of `size` numbers at x, each multiplied with `factor`; if not `centred` 0 and mean square."""
    zero = broadcast(0.0, LANES)
    total = zero
    for k in range(0, size, LANES):
        total = total + first_lanes(size - k, load(x + 4 * k, LANES) * factor, zero)
    mean = sum_of_lanes(total) / size if centred else sum_of_lanes(zero)
    total = zero
    for k in range(0, size, LANES):
        centred = first_lanes(size - k, load(x + 4 * k, LANES) * factor - broadcast(mean, LANES), zero)
        total = multiply_add(centred, centred, total)
    return mean, sum_of_lanes(total) / size
