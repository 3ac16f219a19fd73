"""Integer quotient of two values, ARITHMETIC.md section 6. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import int16_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8ElementwiseInstruction

ELEMENTWISE = slots(Int8ElementwiseInstruction)


def build():
    """The one kernel of this module."""
    return divide


def divide(row, weights, state, arena):
    """Element by element, with int64 numbers on the way. Constants: multiplier and shift, int64."""
    a, b, y = (
        int16_at(arena + slot(row, ELEMENTWISE.a)),
        int16_at(arena + slot(row, ELEMENTWISE.b)),
        int16_at(arena + slot(row, ELEMENTWISE.y)),
    )
    constants = int64_at(weights + slot(row, ELEMENTWISE.constants))
    multiplier, shift = constants[0], constants[1]
    for k in range(slot(row, ELEMENTWISE.size)):
        sign = -1 if b[k] < 0 else 1
        divisor = max(sign * b[k], 1)
        bits = 0
        while divisor >> (bits + 1):
            bits += 1
        aligned = divisor << (15 - bits)  # 2^15 to 2^16 - 1
        reciprocal = min(((1 << 30) + (aligned >> 1)) // aligned, 32767)
        product = sign * a[k] * reciprocal
        right = min(max(shift - 15 + bits, 13), 46)
        y[k] = min(max((product * multiplier + (1 << (right - 1))) >> right, -32768), 32767)
    return 0
