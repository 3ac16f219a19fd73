"""Integer reductions over all frames so far. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from math import floor

from edgernn.kernels.int8_rows import Int8RunningRow, Int8RunningSoftmaxRow
from edgernn.kernels.int8_softmax import power_of_two
from edgernn.kernels.pointers import inline, int16_at, int32_at, int64_at
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import slot

X, Y, TOTAL, COUNT, SIZE, BITS, MULTIPLIER, SHIFT = slots(Int8RunningRow)
(SCORES, VALUES, POOLED, REFERENCE, WEIGHT, WEIGHTED, TABLE, FACTOR, FACTOR_SHIFT, MEAN_BITS, GROUPS, GROUP_SIZE) = (
    slots(Int8RunningSoftmaxRow)
)
LARGEST_COUNT = 1 << 40
LARGEST_MEAN_TOTAL = 1 << 55
LARGEST_TOTAL = 1 << 62
LARGEST_SUM = 1 << 30
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1 << 44, 1 << 46
LARGEST_REFERENCE = 1 << 29
LARGEST_WEIGHTED = 1 << 61


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
    """The kernel of "Mean", "Sum", "Max", "Min" or "Softmax"."""
    if function == "Softmax":
        return running_softmax
    if function in ("Max", "Min"):
        return _running_extreme(_max if function == "Max" else _min)
    return running_mean if function == "Mean" else running_sum


def running_mean(row, weights, state, arena):
    """Sums and count are halved when the count is at its largest."""
    x, y = int16_at(arena + slot(row, X)), int16_at(arena + slot(row, Y))
    total, count = int64_at(state + slot(row, TOTAL)), int64_at(state + slot(row, COUNT))
    size, bits = slot(row, SIZE), slot(row, BITS)
    frames, halve = _limit(count[0], 0, LARGEST_COUNT), 0
    if frames == LARGEST_COUNT:
        frames, halve = frames >> 1, 1
    frames += 1
    count[0] = frames
    for k in range(size):
        old = _limit(total[k] >> halve, -LARGEST_MEAN_TOTAL, LARGEST_MEAN_TOTAL)
        total[k] = _limit(old + x[k], -LARGEST_MEAN_TOTAL, LARGEST_MEAN_TOTAL)
        mean = ((total[k] << bits) + (frames >> 1)) // frames  # rounded down
        y[k] = min(max(mean, -32768), 32767)
    return 0


def running_sum(row, weights, state, arena):
    """Sums saturate far away."""
    x, y = int16_at(arena + slot(row, X)), int16_at(arena + slot(row, Y))
    total, count = int64_at(state + slot(row, TOTAL)), int64_at(state + slot(row, COUNT))
    multiplier, shift, bits = slot(row, MULTIPLIER), slot(row, SHIFT), slot(row, BITS)
    half = 1 << (shift - 1)
    count[0] = _limit(count[0], 0, LARGEST_COUNT - 1) + 1
    for k in range(slot(row, SIZE)):
        old = _limit(total[k], -LARGEST_TOTAL, LARGEST_TOTAL)
        total[k] = _limit(old + x[k], -LARGEST_TOTAL, LARGEST_TOTAL)
        limited = min(max(total[k] >> bits, -LARGEST_SUM), LARGEST_SUM - 1)
        y[k] = min(max((limited * multiplier + half) >> shift, -32768), 32767)
    return 0


def _running_extreme(extreme):
    def running_extreme(row, weights, state, arena):
        x, y = int16_at(arena + slot(row, X)), int16_at(arena + slot(row, Y))
        total, count = int16_at(state + slot(row, TOTAL)), int64_at(state + slot(row, COUNT))
        count[0] = _limit(count[0], 0, LARGEST_COUNT - 1) + 1
        for k in range(slot(row, SIZE)):
            total[k] = extreme(total[k], x[k])
            y[k] = total[k]
        return 0

    return running_extreme


def running_softmax(row, weights, state, arena):
    """Sums are relative to a reference, which rises by whole octaves."""
    scores, reference = int16_at(arena + slot(row, SCORES)), int32_at(state + slot(row, REFERENCE))
    x, y = arena + slot(row, VALUES), arena + slot(row, POOLED)
    total, weighted = int64_at(state + slot(row, WEIGHT)), state + slot(row, WEIGHTED)
    table, size = int64_at(weights + slot(row, TABLE)), slot(row, GROUP_SIZE)
    factor, shift, bits = slot(row, FACTOR), slot(row, FACTOR_SHIFT), slot(row, MEAN_BITS)
    half = 1 << (shift - 1)
    for group in range(slot(row, GROUPS)):
        u = (scores[group] * factor + half) >> shift  # in 2^-12 octaves
        sum_, origin = min(total[group], LARGEST_WEIGHT), _limit(reference[group], -LARGEST_REFERENCE, LARGEST_REFERENCE)
        kept = 1
        if sum_ <= 0:
            sum_, origin, kept = 0, u, 0
        else:
            sum_ = max(sum_, SMALLEST_WEIGHT)
        rise = max((u - origin + 4095) >> 12, 0)
        if rise == 0 and sum_ >= LARGEST_WEIGHT >> 1:
            rise = 1
        origin += 4096 * rise
        rise = min(rise, 62)
        rounding = (1 << rise) >> 1
        depth = origin - u
        left = 30 - (depth >> 12)
        mantissa = power_of_two(depth & 4095, table)
        if left < 0:
            right = min(-left, 62)
            mantissa, left = (mantissa + ((1 << right) >> 1)) >> right, 0
        sum_ = ((sum_ + rounding) >> rise) + (mantissa << left)
        reference[group], total[group] = origin, sum_
        values, pooled, sums = int16_at(x), int16_at(y), int64_at(weighted)
        divisor = sum_ >> 20  # 2^24 to 2^26
        for k in range(size):
            old = (_limit(sums[k], -LARGEST_WEIGHTED, LARGEST_WEIGHTED) * kept + rounding) >> rise
            sums[k] = old + ((mantissa * values[k]) << left)
            # exact, and computed in registers: both numbers have less than 50 bits, the quotient is at least 1 / divisor
            # away from the integer above it, and float64 tells such quotients apart
            mean = floor(float((sums[k] >> 20 - bits) + (divisor >> 1)) / float(divisor))
            pooled[k] = int(min(max(mean, -32768.0), 32767.0))
        x, y, weighted = x + 2 * size, y + 2 * size, weighted + 8 * size
    return 0
