"""Integer reductions and norms: ARITHMETIC.md section 6, formula by formula."""

from __future__ import annotations

from math import isqrt

import numpy as np

from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.program.operations import (
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
    Shape,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.int8.base import (
    INT16_MAX,
    INT16_MIN,
    Array,
    bit_length,
    interpolate,
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

LOG2 = np.array(int8_tables.LOG2, np.int64)  # (65,)


def softmax(x: Array, multiplier: int, shift: int) -> Array:
    """Over the last axis; the multiplier turns x into 2^-12 octaves. Q0.15, 0 to 32767."""
    e = exponential(below_largest(x, multiplier, shift))
    total = e.sum(axis=-1, keepdims=True)
    return np.minimum((e * 32768 + (total >> 1)) // total, INT16_MAX)


def log_softmax(x: Array, multiplier: int, shift: int, output_multiplier: int, output_shift: int) -> Array:
    """Logarithm of the softmax over the last axis, in the format of the output's multiplier."""
    octaves = below_largest(x, multiplier, shift)
    total = exponential(octaves).sum(axis=-1, keepdims=True)  # 2^15 to 2^30
    bits = bit_length(total) - 1
    aligned = total >> (bits - 15)  # 2^15 to 2^16 - 1
    logarithm = ((bits - 15) << 12) + ((interpolate(LOG2, aligned - (1 << 15), 9) + 4) >> 3)
    distance = np.minimum(octaves + logarithm, (1 << 24) - 1)
    return saturate16(-rescale(distance, np.int64(output_multiplier), np.int64(output_shift)))


def below_largest(x: Array, multiplier: int, shift: int) -> Array:
    """How far numbers lie below the largest of the last axis, in 2^-12 octaves."""
    return rescale(x.max(axis=-1, keepdims=True) - x, np.int64(multiplier), np.int64(shift))


def exponential(octaves: Array) -> Array:
    """``2^-octaves``, Q4.12 to Q0.15; 0 from 17 octaves on."""
    octaves = np.minimum(octaves, 69631)
    whole = octaves >> 12
    return (2 * power_of_two(octaves & 4095) + (np.int64(1) << whole)) >> (whole + 1)


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
    x: Array,
    reference: Array,
    total: Array,
    weighted: Array,
    multiplier: int,
    shift: int,
    mean_bits: int,
) -> Array:
    """The mean of all x so far, weighted by a softmax of their scores; changes reference, total and weighted.

    scores (G,), x (G, N), reference and total (G,), weighted (G, N) -> (G, N), with `mean_bits` more fraction
    bits than x.
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
    weighted += (mantissa[:, np.newaxis] * x) << left[:, np.newaxis]
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


def _reduce(x: Array, function: str, axis: int, multiplier: int, shift: int, output_shape: Shape) -> Array:
    return reduce(x, function, axis, multiplier, shift).reshape(output_shape)


def _running_reduce(
    x: Array,
    total: Array,
    count: Array,
    function: str,
    mean_bits: int,
    sum_shift: int,
    multiplier: int,
    shift: int,
) -> Array:
    match function:
        case "Mean":
            return running_mean(x, total, count, mean_bits)
        case "Sum":
            return running_sum(x, total, count, sum_shift, multiplier, shift)
        case _:
            return running_extreme(x, total, count, function)


def _running_softmax(
    scores: Array,
    x: Array,
    reference: Array,
    total: Array,
    weighted: Array,
    multiplier: int,
    shift: int,
    mean_bits: int,
) -> Array:
    groups = weighted.reshape(x.shape)
    return running_softmax(scores, x, reference, total, groups, multiplier, shift, mean_bits)


OPERATIONS: dict[type, Reference] = {
    Int8Softmax: softmax,
    Int8LogSoftmax: log_softmax,
    Int8Reduce: _reduce,
    Int8RunningReduce: _running_reduce,
    Int8RunningSoftmax: _running_softmax,
    Int8LayerNorm: layer_norm,
}
