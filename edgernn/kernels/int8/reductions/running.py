"""Integer reductions over all frames so far. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import inline, int16_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8RunningInstruction

RUNNING = slots(Int8RunningInstruction)
MAX_COUNT = 1 << 40
MAX_MEAN_TOTAL = 1 << 55
MAX_TOTAL = 1 << 62
MAX_SUM = 1 << 30


@inline
def _limit(number, low, high):
    return min(max(number, low), high)


@inline
def _max(a, b):
    return max(a, b)


@inline
def _min(a, b):
    return min(a, b)


def build(function):
    """The kernel of "Mean", "Sum", "Max" or "Min"."""
    if function in ("Max", "Min"):
        return _running_extreme(_max if function == "Max" else _min)
    return running_mean if function == "Mean" else running_sum


def running_mean(row, weights, state, arena):
    """Sums and count are halved when the count is at its largest."""
    x, y = int16_at(arena + slot(row, RUNNING.x)), int16_at(arena + slot(row, RUNNING.y))
    total, count = int64_at(state + slot(row, RUNNING.total)), int64_at(state + slot(row, RUNNING.count))
    size, bits = slot(row, RUNNING.size), slot(row, RUNNING.bits)
    frames, halve = _limit(count[0], 0, MAX_COUNT), 0
    if frames == MAX_COUNT:
        frames, halve = frames >> 1, 1
    frames += 1
    count[0] = frames
    for k in range(size):
        old = _limit(total[k] >> halve, -MAX_MEAN_TOTAL, MAX_MEAN_TOTAL)
        total[k] = _limit(old + x[k], -MAX_MEAN_TOTAL, MAX_MEAN_TOTAL)
        mean = ((total[k] << bits) + (frames >> 1)) // frames  # rounded down
        y[k] = min(max(mean, -32768), 32767)
    return 0


def running_sum(row, weights, state, arena):
    """Sums saturate far away."""
    x, y = int16_at(arena + slot(row, RUNNING.x)), int16_at(arena + slot(row, RUNNING.y))
    total, count = int64_at(state + slot(row, RUNNING.total)), int64_at(state + slot(row, RUNNING.count))
    multiplier, shift, bits = slot(row, RUNNING.multiplier), slot(row, RUNNING.shift), slot(row, RUNNING.bits)
    half = 1 << (shift - 1)
    count[0] = _limit(count[0], 0, MAX_COUNT - 1) + 1
    for k in range(slot(row, RUNNING.size)):
        old = _limit(total[k], -MAX_TOTAL, MAX_TOTAL)
        total[k] = _limit(old + x[k], -MAX_TOTAL, MAX_TOTAL)
        limited = min(max(total[k] >> bits, -MAX_SUM), MAX_SUM - 1)
        y[k] = min(max((limited * multiplier + half) >> shift, -32768), 32767)
    return 0


def _running_extreme(extreme):
    def running_extreme(row, weights, state, arena):
        x, y = int16_at(arena + slot(row, RUNNING.x)), int16_at(arena + slot(row, RUNNING.y))
        total, count = int16_at(state + slot(row, RUNNING.total)), int64_at(state + slot(row, RUNNING.count))
        count[0] = _limit(count[0], 0, MAX_COUNT - 1) + 1
        for k in range(slot(row, RUNNING.size)):
            total[k] = extreme(total[k], x[k])
            y[k] = total[k]
        return 0

    return running_extreme
