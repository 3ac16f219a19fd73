"""Softmax and its logarithm over the last axis. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import (
    broadcast,
    first_lanes,
    largest_lane,
    load,
    slot,
    store,
    sum_of_lanes,
    where_less,
)
from edgernn.kernels.float32.functions import INFINITY, exp_of_negative, log, saturate
from edgernn.kernels.instructions import SoftmaxInstruction, slots

SOFTMAX = slots(SoftmaxInstruction)


def build(form, length, lanes):
    """The kernel for the form "plain" or "logarithm", in registers of `lanes`; "short" rows fit into one register.

    What is written behind the end of a row, the next row replaces.
    """
    return {"short": _short, "long": _long}[length](form == "logarithm", int(lanes))


def _short(logarithm, lanes):
    def softmax(row, weights, state, arena):
        x, y, size = arena + slot(row, SOFTMAX.x), arena + slot(row, SOFTMAX.y), slot(row, SOFTMAX.size)
        for _ in range(slot(row, SOFTMAX.rows)):
            numbers = first_lanes(size, load(x, lanes), broadcast(-INFINITY, lanes))
            shifted = numbers - broadcast(largest_lane(numbers), lanes)
            e = exp_of_negative(shifted)
            total = broadcast(sum_of_lanes(e), lanes)
            store(y, saturate(shifted - log(total)) if logarithm else e / total)
            x += 4 * size
            y += 4 * size
        return 0

    return softmax


def _long(logarithm, lanes):
    def softmax(row, weights, state, arena):
        x, y, size = arena + slot(row, SOFTMAX.x), arena + slot(row, SOFTMAX.y), slot(row, SOFTMAX.size)
        lowest, zero = broadcast(-INFINITY, lanes), broadcast(0.0, lanes)
        for _ in range(slot(row, SOFTMAX.rows)):
            largest = lowest
            for k in range(0, size, lanes):
                part = first_lanes(size - k, load(x + 4 * k, lanes), lowest)
                largest = where_less(largest, part, part, largest)
            shift = broadcast(largest_lane(largest), lanes)
            total = zero
            for k in range(0, size, lanes):
                shifted = load(x + 4 * k, lanes) - shift
                e = exp_of_negative(shifted)
                total = total + first_lanes(size - k, e, zero)
                store(y + 4 * k, shifted if logarithm else e)
            total = broadcast(sum_of_lanes(total), lanes)
            for k in range(0, size, lanes):
                part = load(y + 4 * k, lanes)
                store(y + 4 * k, saturate(part - log(total)) if logarithm else part / total)
            x += 4 * size
            y += 4 * size
        return 0

    return softmax
