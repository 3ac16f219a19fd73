"""Integer reductions and layer normalisation: ARITHMETIC.md section 6, formula by formula."""

from __future__ import annotations

from math import isqrt

import numpy as np

from edgernn.reference.int8 import (
    INT16_MAX,
    INT16_MIN,
    Array,
    bit_length,
    power_of_two,
    reciprocal,
    rescale,
    saturate16,
)

MAX_COUNT = 1 << 40
MAX_MEAN_TOTAL = 1 << 55
MAX_TOTAL = 1 << 62
MAX_SUM = 1 << 30
MIN_WEIGHT, MAX_WEIGHT = 1 << 43, 1 << 45  # of all frames of a running softmax
MAX_REFERENCE = 1 << 29
MAX_WEIGHTED = 1 << 60


def reduce(x: Array, function: str, axis: int, multiplier: int, shift: int) -> Array:
    """Sum, Mean, Max or Min over one axis; the multiplier has the number of terms in it."""
    match function:
        case "Max":
            return x.max(axis=axis)
        case "Min":
            return x.min(axis=axis)
        case _:
            return saturate16(rescale(x.sum(axis=axis), np.int64(multiplier), np.int64(shift)))


def running_mean(x: Array, total: Array, count: Array, mean_bits: int) -> Array:
    """The mean of all x so far, with `mean_bits` more fraction bits; changes total and count."""
    _limit(count, 0, MAX_COUNT)
    if count[0] == MAX_COUNT:
        total >>= 1
        count >>= 1
    _limit(total, -MAX_MEAN_TOTAL, MAX_MEAN_TOTAL)
    total += x.ravel()
    _limit(total, -MAX_MEAN_TOTAL, MAX_MEAN_TOTAL)
    count += 1
    mean = (total * (1 << mean_bits) + (count >> 1)) // count
    return saturate16(mean).reshape(x.shape)


def running_sum(x: Array, total: Array, count: Array, sum_shift: int, multiplier: int, shift: int) -> Array:
    """The sum of all x so far; changes total and count."""
    _limit(total, -MAX_TOTAL, MAX_TOTAL)
    total += x.ravel()
    _limit(total, -MAX_TOTAL, MAX_TOTAL)
    _limit(count, 0, MAX_COUNT - 1)
    count += 1
    limited = np.clip(total >> sum_shift, -MAX_SUM, MAX_SUM - 1)
    return saturate16(rescale(limited, np.int64(multiplier), np.int64(shift))).reshape(x.shape)


def running_extreme(x: Array, total: Array, count: Array, function: str) -> Array:
    """The largest or smallest of all x so far; changes total and count."""
    total[...] = (np.maximum if function == "Max" else np.minimum)(total, x.ravel())
    _limit(count, 0, MAX_COUNT - 1)
    count += 1
    return total.reshape(x.shape).copy()


def running_softmax(
    scores: Array,
    values: Array,
    reference: Array,
    total: Array,
    weighted: Array,
    multiplier: int,
    shift: int,
    mean_bits: int,
) -> Array:
    """The mean of all values so far, weighted by a softmax of their scores; changes reference, total and weighted.

    scores (G,), values (G, N), reference and total (G,), weighted (G, N) -> (G, N), with `mean_bits` more fraction
    bits than the values.
    """
    u = rescale(scores, np.int64(multiplier), np.int64(shift))  # (G,) in 2^-12 octaves
    begins = total <= 0
    _limit(total, MIN_WEIGHT, MAX_WEIGHT)
    _limit(reference, -MAX_REFERENCE, MAX_REFERENCE)
    _limit(weighted, -MAX_WEIGHTED, MAX_WEIGHTED)
    total[begins], reference[begins], weighted[begins] = 0, u[begins], 0
    rise = np.maximum((u - reference + 4095) >> 12, 0)  # whole octaves, so that the old weights only shift
    rise[(rise == 0) & (total >= MAX_WEIGHT >> 1)] = 1
    reference += 4096 * rise
    total[...] = _rounded_shift(total, rise)
    weighted[...] = _rounded_shift(weighted, rise[:, np.newaxis])
    depth = reference - u  # (G,) from 0
    bits = 29 - (depth >> 12)
    mantissa = _rounded_shift(power_of_two(depth & 4095), np.maximum(-bits, 0))
    left = np.maximum(bits, 0)
    total += mantissa << left
    weighted += (mantissa[:, np.newaxis] * values) << left[:, np.newaxis]
    divisor = total[:, np.newaxis] >> (16 + mean_bits)  # (G, 1) from 2^20 to 2^29
    return saturate16(((weighted >> 16) + (divisor >> 1)) // divisor)


def _rounded_shift(x: Array, shift: Array) -> Array:
    """``x / 2^shift``, rounded to nearest, halves up; a shift above 62 is as one of 62."""
    shift = np.minimum(shift, 62)
    return (x + ((np.int64(1) << shift) >> 1)) >> shift


def _limit(numbers: Array, low: int, high: int) -> None:
    """Whatever a state was set to, it is used within its range."""
    numbers[...] = np.minimum(np.maximum(numbers, low), high)


def square_root(x: Array) -> Array:
    """The largest integer whose square is at most x, for 0 <= x < 2^62."""
    return np.array([isqrt(int(number)) for number in x.ravel()], np.int64).reshape(x.shape)


def layer_norm(
    x: Array, epsilon: int, norm_bits: int, centred: bool, multiplier: Array, shift: Array, B: Array
) -> Array:
    """Over the last axis: ``(x - mean) / deviation``, then a signed multiplier and a bias of each feature."""
    n = x.shape[-1]
    total = x.sum(axis=-1, keepdims=True) * int(centred)
    root = square_root(n * (x * x).sum(axis=-1, keepdims=True) - total * total + epsilon)  # n times the deviation
    root = np.maximum(root, 1)
    bits = bit_length(root)  # root < 2^bits <= 2 root
    divisor = np.where(bits >= 16, root >> np.maximum(bits - 16, 0), root << np.maximum(16 - bits, 0))
    normal = rescale(n * x - total, reciprocal(divisor), 14 + bits - norm_bits)
    normal = np.minimum(np.maximum(normal, INT16_MIN), INT16_MAX)
    return saturate16(rescale(normal, multiplier, shift) + B)
