"""Reductions over one axis. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import (
    bounded_product_of_lanes,
    bounded_sum_of_lanes,
    broadcast,
    first_lanes,
    inline,
    load,
    maximum_of_lanes,
    minimum_of_lanes,
    slot,
    store,
    store_float,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.elementwise import BINARY_FUNCTIONS
from edgernn.kernels.float32.functions import INFINITY
from edgernn.kernels.instructions import ReduceInstruction, slots

REDUCE = slots(ReduceInstruction)
LANES = processor().lanes
REGISTER_BYTES = 4 * LANES

# function -> (of two registers, of all lanes of one, what changes no result)
FORMS = {
    "Sum": ("Add", bounded_sum_of_lanes, 0.0),
    "Mean": ("Add", bounded_sum_of_lanes, 0.0),
    "Max": ("Max", maximum_of_lanes, -INFINITY),
    "Min": ("Min", minimum_of_lanes, INFINITY),
    "Prod": ("Mul", bounded_product_of_lanes, 1.0),
}


def build(function, form):
    """The kernel for an axis "within" whose numbers lie beside each other, or "across" an axis of frames."""
    combine, of_lanes, neutral = FORMS[function]
    make = {"within": _within, "across": _across}[form]
    return make(BINARY_FUNCTIONS[combine], of_lanes, neutral, function == "Mean")


@inline
def power_of_two_below(n):
    """The largest power of two that is not above 1 / n: a mean is summed up in that size, where nothing overflows."""
    power = 1.0
    while power * n > 1.0:
        power *= 0.5
    return power


def _across(combine, of_lanes, neutral, is_mean):
    """What is written behind the end of a row, the next row replaces."""

    def across(row, weights, state, arena):
        x, y = arena + slot(row, REDUCE.x), arena + slot(row, REDUCE.y)
        n, frame_bytes = slot(row, REDUCE.n), 4 * slot(row, REDUCE.inner)
        power = power_of_two_below(n) if is_mean else 1.0
        for _ in range(slot(row, REDUCE.outer)):
            for k in range(0, frame_bytes, REGISTER_BYTES):
                source = x + k
                result = load(source, LANES)
                if is_mean:
                    result = result * power
                for _ in range(n - 1):
                    source += frame_bytes
                    number = load(source, LANES)
                    result = combine(result, number * power if is_mean else number)
                if is_mean:
                    result = result / (power * n)
                store(y + k, result)
            x += n * frame_bytes
            y += frame_bytes
        return 0

    return across


def _within(combine, of_lanes, neutral, is_mean):
    def within(row, weights, state, arena):
        x, y, n = arena + slot(row, REDUCE.x), arena + slot(row, REDUCE.y), slot(row, REDUCE.n)
        nothing = broadcast(neutral, LANES)
        power = power_of_two_below(n) if is_mean else 1.0
        for _ in range(slot(row, REDUCE.outer)):
            result = nothing
            for k in range(0, n, LANES):
                numbers = first_lanes(n - k, load(x + 4 * k, LANES), nothing)
                result = combine(result, numbers * power if is_mean else numbers)
            number = of_lanes(result)
            store_float(y, number / (power * n) if is_mean else number)
            x += 4 * n
            y += 4
        return 0

    return within
