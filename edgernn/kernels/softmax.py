"""Softmax and its logarithm over the last axis. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.functions import INFINITY, exp, log
from edgernn.kernels.rows import SoftmaxRow, slots
from edgernn.kernels.simd import broadcast, first_lanes, largest_lane, load, slot, store_first, sum_of_lanes, where_less
from edgernn.kernels.target import processor

X, Y, ROWS, SIZE = slots(SoftmaxRow)
LANES = processor().lanes


def build(form):
    """The kernel for the form "plain" or "logarithm"."""
    logarithm = form == "logarithm"

    def softmax(row, weights, state, arena):
        x, y, size = arena + slot(row, X), arena + slot(row, Y), slot(row, SIZE)
        lowest, zero = broadcast(-INFINITY, LANES), broadcast(0.0, LANES)
        for _ in range(slot(row, ROWS)):
            largest = lowest
            for k in range(0, size, LANES):
                part = first_lanes(size - k, load(x + 4 * k, LANES), lowest)
                largest = where_less(largest, part, part, largest)
            shift = broadcast(largest_lane(largest), LANES)
            total = zero
            for k in range(0, size, LANES):
                shifted = load(x + 4 * k, LANES) - shift
                e = exp(shifted)
                total = total + first_lanes(size - k, e, zero)
                store_first(y + 4 * k, shifted if logarithm else e, size - k, LANES)
            total = broadcast(sum_of_lanes(total), LANES)
            for k in range(0, size, LANES):
                part = load(y + 4 * k, LANES)
                store_first(y + 4 * k, part - log(total) if logarithm else part / total, size - k, LANES)
            x += 4 * size
            y += 4 * size
        return 0

    return softmax
