"""Integer reductions over an axis. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import int16_at
from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    larger,
    load16,
    saturate16,
    smaller,
    store16,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8ReduceInstruction
from edgernn.kernels.int8.rescale import (
    NO_BIAS,
    rescale,
    rescale_number,
)

REDUCE = slots(Int8ReduceInstruction)
LANES = processor().lanes


@inline
def _add(a, b):
    return a + b


@inline
def _max(a, b):
    return max(a, b)


@inline
def _min(a, b):
    return min(a, b)


JOIN = {"sum": (_add, _add), "Max": (larger, _max), "Min": (smaller, _min)}  # of registers, and of numbers


def build(function, axis):
    """The kernel of "sum", "Max" or "Min", over the "last" axis or over one that has others behind it, "inner"."""
    registers, numbers = JOIN[function]
    return _last(numbers, function == "sum") if axis == "last" else _inner(registers, function == "sum")


def _inner(join, is_sum):
    """What lies behind the axis side by side in registers; whole ones are stored."""

    def reduce(row, weights, state, arena):
        x, y, factor = arena + slot(row, REDUCE.x), arena + slot(row, REDUCE.y), slot(row, REDUCE.factor)
        count, inner = slot(row, REDUCE.n), slot(row, REDUCE.inner)
        for _ in range(slot(row, REDUCE.outer)):
            for k in range(0, 2 * inner, 2 * LANES):
                from_x = x + k
                result = load16(from_x, LANES)
                for _ in range(1, count):
                    from_x += 2 * inner
                    result = join(result, load16(from_x, LANES))
                if is_sum:
                    result = saturate16(rescale(result, factor, NO_BIAS))
                store16(y + k, result)
            x += 2 * count * inner
            y += 2 * inner
        return 0

    return reduce


def _last(join, is_sum):
    def reduce(row, weights, state, arena):
        x, y, factor = (
            int16_at(arena + slot(row, REDUCE.x)),
            int16_at(arena + slot(row, REDUCE.y)),
            slot(row, REDUCE.factor),
        )
        count, first = slot(row, REDUCE.n), 0
        for index in range(slot(row, REDUCE.outer)):
            result = int(x[first])
            for k in range(1, count):
                result = join(result, int(x[first + k]))
            if is_sum:
                result = min(max(rescale_number(result, factor), -32768), 32767)
            y[index] = result
            first += count
        return 0

    return reduce
