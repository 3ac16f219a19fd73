"""Updates of int32 states that are written out, ARITHMETIC.md section 7.4. Imports Numba: loaded only to compile."""

from __future__ import annotations

from edgernn.kernels.int8_rows import Int8FineGateRow, Int8WideRow
from edgernn.kernels.pointers import inline, int16_at, int32_at
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import slot

H, X, MINUS, FINE, SIZE, SHIFT = slots(Int8WideRow)
GATE_X, GATE_Y, TABLE, GATE_SIZE, FACTOR = slots(Int8FineGateRow)
LARGEST, LEAST = (1 << 31) - 1, -(1 << 31)


@inline
def saturate32(x):
    """The nearest int32."""
    return min(max(x, LEAST), LARGEST)


def build(what, place="", sign="plus"):
    """The kernel "gate", "begin", "high", "shifted", or "product" with numbers in the "weights" or the "arena"."""
    negative = sign == "minus"
    if what == "product":
        return _product(place == "weights", negative)
    return _shifted(negative) if what == "shifted" else {"gate": gate, "begin": begin, "high": high}[what]


def gate(row, weights, state, arena):
    """Q4.11 to Q0.30."""
    x, y, table = (
        int16_at(arena + slot(row, GATE_X)),
        int32_at(arena + slot(row, GATE_Y)),
        int32_at(weights + slot(row, TABLE)),
    )
    factor = slot(row, FACTOR)
    for k in range(slot(row, GATE_SIZE)):
        p = factor * x[k]
        magnitude = min(abs(p), 65535)
        i, fraction = magnitude >> 8, ((magnitude & 255) + 1) >> 1
        fine = table[i] + (((table[i + 1] - table[i]) * fraction + 64) >> 7)
        y[k] = fine if p < 0 else (1 << 30) - fine
    return 0


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
