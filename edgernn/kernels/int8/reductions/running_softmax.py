"""Integer softmax over all frames so far, ARITHMETIC.md section 6.3. Imports Numba: loaded only to compile kernels."""

from __future__ import annotations

from math import floor

from edgernn.kernels.codegen.pointers import inline, int16_at, int32_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.powers import power_of_two
from edgernn.kernels.int8.instructions import Int8RunningSoftmaxInstruction

RUNNING_SOFTMAX = slots(Int8RunningSoftmaxInstruction)
MIN_TOTAL, MAX_TOTAL = 1 << 43, 1 << 45
MAX_REFERENCE = 1 << 29
MAX_WEIGHTED = 1 << 60
MAX_SHIFT = 62


@inline
def _limit(number, low, high):
    return min(max(number, low), high)


@inline
def _rounded_shift(x, shift):
    return (x + ((1 << shift) >> 1)) >> shift


@inline
def _rise(u, reference, total):
    """Whole octaves by which the reference moves: to a new score, or one where the sums become too large."""
    rise = max((u - reference + 4095) >> 12, 0)
    return 1 if rise == 0 and total >= MAX_TOTAL >> 1 else rise


@inline
def _weight(depth, table):
    """``2^-depth`` as a number of 16 bits and how far it is shifted left."""
    left = 29 - (depth >> 12)
    return _rounded_shift(power_of_two(depth & 4095, table), _limit(-left, 0, MAX_SHIFT)), max(left, 0)


def running_softmax(row, weights, state, arena):
    """Each group has a softmax of its own."""
    scores, x, y = (
        int16_at(arena + slot(row, RUNNING_SOFTMAX.scores)),
        int16_at(arena + slot(row, RUNNING_SOFTMAX.x)),
        int16_at(arena + slot(row, RUNNING_SOFTMAX.y)),
    )
    reference, total = (
        int32_at(state + slot(row, RUNNING_SOFTMAX.reference)),
        int64_at(state + slot(row, RUNNING_SOFTMAX.total)),
    )
    weighted, table = (
        int64_at(state + slot(row, RUNNING_SOFTMAX.weighted)),
        int64_at(weights + slot(row, RUNNING_SOFTMAX.table)),
    )
    multiplier, shift, bits, size = (
        slot(row, RUNNING_SOFTMAX.multiplier),
        slot(row, RUNNING_SOFTMAX.shift),
        slot(row, RUNNING_SOFTMAX.mean_bits),
        slot(row, RUNNING_SOFTMAX.size),
    )
    for group in range(slot(row, RUNNING_SOFTMAX.groups)):
        u = (scores[group] * multiplier + (1 << (shift - 1))) >> shift  # in 2^-12 octaves
        kept = 1 if total[group] > 0 else 0  # 0 in the first frame
        all_weights = kept * _limit(total[group], MIN_TOTAL, MAX_TOTAL)
        origin = _limit(reference[group], -MAX_REFERENCE, MAX_REFERENCE) if kept else u
        rise = _rise(u, origin, all_weights)
        origin += 4096 * rise
        down = min(rise, MAX_SHIFT)
        weight, left = _weight(origin - u, table)
        all_weights = _rounded_shift(all_weights, down) + (weight << left)
        reference[group], total[group] = origin, all_weights
        divisor = all_weights >> 16 + bits  # 2^20 to 2^29
        for k in range(group * size, (group + 1) * size):
            old = kept * _limit(weighted[k], -MAX_WEIGHTED, MAX_WEIGHTED)
            weighted[k] = _rounded_shift(old, down) + (weight * x[k] << left)
            # float64, of which registers hold many, is exact: a quotient of 16 bits is at least 2^-29 from the next
            mean = floor(float((weighted[k] >> 16) + (divisor >> 1)) / float(divisor))
            y[k] = int(_limit(mean, -32768.0, 32767.0))
    return 0


def build():
    """The one kernel of this module."""
    return running_softmax
