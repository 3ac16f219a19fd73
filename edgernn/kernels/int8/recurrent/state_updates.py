"""Updates of int32 states that are written out, ARITHMETIC.md section 7.4. Imports Numba: loaded only to compile."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import inline, int16_at, int32_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.codegen.simd_int32 import load16, store32
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.functions import make_fine_sigmoid
from edgernn.kernels.int8.instructions import Int8FineGateInstruction, Int32StateInstruction

H, X, MINUS, FINE, SIZE, SHIFT = slots(Int32StateInstruction)
GATE_X, GATE_Y, TABLE, GATE_SIZE, FACTOR = slots(Int8FineGateInstruction)
LANES = processor().lanes
MAX_INT32, MIN_INT32 = (1 << 31) - 1, -(1 << 31)


@inline
def saturate32(x):
    """The nearest int32."""
    return min(max(x, MIN_INT32), MAX_INT32)


def build(what, place="", sign="plus"):
    """The kernel "begin", "high", "shifted", "product" with numbers in the "weights" or the "arena", or "gate".

    To a gate `place` tells how its table is read, as to make_function.
    """
    if what == "gate":
        return _gate(make_fine_sigmoid(place))
    negative = sign == "minus"
    if what == "product":
        return _product(place == "weights", negative)
    return _shifted(negative) if what == "shifted" else {"begin": begin, "high": high}[what]


def _gate(fine_sigmoid):
    """Q4.11 to Q0.30. Whole registers are computed: values have room behind their end."""

    def gate(row, weights, state, arena):
        x, y, table = arena + slot(row, GATE_X), arena + slot(row, GATE_Y), weights + slot(row, TABLE)
        factor = slot(row, FACTOR)
        for k in range(0, slot(row, GATE_SIZE), LANES):
            store32(y + 4 * k, fine_sigmoid(load16(x + 2 * k, LANES) * factor, table))
        return 0

    return gate


def begin(row, weights, state, arena):
    """The state as it is."""
    h, old = int32_at(arena + slot(row, H)), int32_at(state + slot(row, X))
    for k in range(slot(row, SIZE)):
        h[k] = old[k]
    return 0


def _product(in_weights, negative):
    def product(row, weights, state, arena):
        h, x = int32_at(arena + slot(row, H)), int16_at(arena + slot(row, X))
        minus = int16_at(arena + slot(row, MINUS))
        fine = int32_at((weights if in_weights else arena) + slot(row, FINE))
        for k in range(slot(row, SIZE)):
            half = ((int(x[k]) - int(minus[k])) * int(fine[k])) >> 15
            if negative:
                half = -half
            h[k] = saturate32(saturate32(h[k] + half) + half)
        return 0

    return product


def _shifted(negative):
    def shifted(row, weights, state, arena):
        h, x, shift = int32_at(arena + slot(row, H)), int16_at(arena + slot(row, X)), slot(row, SHIFT)
        for k in range(slot(row, SIZE)):
            number = int(x[k]) << shift
            h[k] = saturate32(h[k] - number if negative else h[k] + number)
        return 0

    return shifted


def high(row, weights, state, arena):
    """The high halves of h, int16, to the place of x."""
    h, y = int32_at(arena + slot(row, H)), int16_at(arena + slot(row, X))
    for k in range(slot(row, SIZE)):
        y[k] = h[k] >> 16
    return 0
