"""Integer logarithm of a softmax, ARITHMETIC.md section 6. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import int16_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.powers import power
from edgernn.kernels.int8.instructions import Int8LogSoftmaxInstruction

X, Y, POWERS, LOGARITHMS, MULTIPLIER, SHIFT, OUTPUT_MULTIPLIER, OUTPUT_SHIFT, ROWS, SIZE = slots(
    Int8LogSoftmaxInstruction
)


def build():
    """The one kernel of this module."""
    return log_softmax


def log_softmax(row, weights, state, arena):
    """Of each row of x, with int64 numbers on the way."""
    x, y = int16_at(arena + slot(row, X)), int16_at(arena + slot(row, Y))
    powers, logarithms = int64_at(weights + slot(row, POWERS)), int64_at(weights + slot(row, LOGARITHMS))
    multiplier, shift, size = slot(row, MULTIPLIER), slot(row, SHIFT), slot(row, SIZE)
    output_multiplier, output_shift = slot(row, OUTPUT_MULTIPLIER), slot(row, OUTPUT_SHIFT)
    half, output_half = 1 << (shift - 1), 1 << (output_shift - 1)
    start = 0
    for _ in range(slot(row, ROWS)):
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
