"""Integer logarithm of a softmax, ARITHMETIC.md section 6. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import int16_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.powers import power
from edgernn.kernels.int8.instructions import Int8LogSoftmaxInstruction

LOG_SOFTMAX = slots(Int8LogSoftmaxInstruction)


def build():
    """The one kernel of this module."""
    return log_softmax


def log_softmax(row, weights, state, arena):
    """Of each row of x, with int64 numbers on the way."""
    x, y = int16_at(arena + slot(row, LOG_SOFTMAX.x)), int16_at(arena + slot(row, LOG_SOFTMAX.y))
    powers, logarithms = (
        int64_at(weights + slot(row, LOG_SOFTMAX.powers)),
        int64_at(weights + slot(row, LOG_SOFTMAX.logarithms)),
    )
    multiplier, shift, size = (
        slot(row, LOG_SOFTMAX.multiplier),
        slot(row, LOG_SOFTMAX.shift),
        slot(row, LOG_SOFTMAX.size),
    )
    output_multiplier, output_shift = slot(row, LOG_SOFTMAX.output_multiplier), slot(row, LOG_SOFTMAX.output_shift)
    half, output_half = 1 << (shift - 1), 1 << (output_shift - 1)
    start = 0
    for _ in range(slot(row, LOG_SOFTMAX.rows)):
        largest = -32768
        for k in range(start, start + size):
            largest = max(largest, x[k])
        total = 0
        for k in range(start, start + size):
            total += power(min(((largest - x[k]) * multiplier + half) >> shift, 69631), powers)
        bits = 15
        while total >> (bits + 1):
            bits += 1
        aligned = total >> (bits - 15)  # 2^15 to 2^16 - 1
        i, fraction = (aligned >> 9) & 63, aligned & 511
        between = logarithms[i] + (((logarithms[i + 1] - logarithms[i]) * fraction + 256) >> 9)
        logarithm = ((bits - 15) << 12) + ((between + 4) >> 3)
        for k in range(start, start + size):
            octaves = (((largest - x[k]) * multiplier + half) >> shift) + logarithm
            octaves = min(octaves, (1 << 24) - 1)
            y[k] = max(-((octaves * output_multiplier + output_half) >> output_shift), -32768)
        start += size
    return 0
