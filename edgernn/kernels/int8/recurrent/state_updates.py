"""Updates of int32 states that are written out, ARITHMETIC.md section 7.4. Imports Numba: loaded only to compile."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import inline, int16_at, int32_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.codegen.simd_int32 import load16, store32
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.functions import make_fine_sigmoid
from edgernn.kernels.int8.instructions import Int8FineGateInstruction, Int32MatrixInstruction, Int32StateInstruction

INT32_STATE = slots(Int32StateInstruction)
INT32_MATRIX = slots(Int32MatrixInstruction)
FINE_GATE = slots(Int8FineGateInstruction)
LANES = processor().lanes
MAX_INT32, MIN_INT32 = (1 << 31) - 1, -(1 << 31)


@inline
def saturate32(x):
    """The nearest int32."""
    return min(max(x, MIN_INT32), MAX_INT32)


def build(what, place="", sign="plus"):
    """The kernel "begin", "matrix", "floor", "high", "shifted", "product" or "gate".

    A matrix is of "int16" or "int32". A product takes numbers from the "weights" or the "arena". To a gate `place`
    tells how its table is read, as to make_function.
    """
    if what == "gate":
        return _gate(make_fine_sigmoid(place))
    negative = sign == "minus"
    if what == "matrix":
        return _matrix(place == "int32")
    if what == "product":
        return _product(place == "weights", negative)
    return _shifted(negative) if what == "shifted" else {"begin": begin, "high": high, "floor": floor}[what]


def _gate(fine_sigmoid):
    """Q4.11 to Q0.30. Whole registers are computed: values have room behind their end."""

    def gate(row, weights, state, arena):
        x, y, table = (
            arena + slot(row, FINE_GATE.x),
            arena + slot(row, FINE_GATE.y),
            weights + slot(row, FINE_GATE.table),
        )
        factor = slot(row, FINE_GATE.factor)
        for k in range(0, slot(row, FINE_GATE.size), LANES):
            store32(y + 4 * k, fine_sigmoid(load16(x + 2 * k, LANES) * factor, table))
        return 0

    return gate


def begin(row, weights, state, arena):
    """The state as it is."""
    h, old = int32_at(arena + slot(row, INT32_STATE.h)), int32_at(state + slot(row, INT32_STATE.x))
    for k in range(slot(row, INT32_STATE.size)):
        h[k] = old[k]
    return 0


def _product(in_weights, negative):
    def product(row, weights, state, arena):
        h, x = int32_at(arena + slot(row, INT32_STATE.h)), int16_at(arena + slot(row, INT32_STATE.x))
        minus = int16_at(arena + slot(row, INT32_STATE.minus))
        fine = int32_at((weights if in_weights else arena) + slot(row, INT32_STATE.fine))
        for k in range(slot(row, INT32_STATE.size)):
            half = ((int(x[k]) - int(minus[k])) * int(fine[k])) >> 15
            if negative:
                half = -half
            h[k] = saturate32(saturate32(h[k] + half) + half)
        return 0

    return product


def _shifted(negative):
    def shifted(row, weights, state, arena):
        h, x, shift = (
            int32_at(arena + slot(row, INT32_STATE.h)),
            int16_at(arena + slot(row, INT32_STATE.x)),
            slot(row, INT32_STATE.shift),
        )
        for k in range(slot(row, INT32_STATE.size)):
            number = int(x[k]) << shift
            h[k] = saturate32(h[k] - number if negative else h[k] + number)
        return 0

    return shifted


def _matrix(is_int32):
    """Sums of weights times x, exact in 64 bits, rescaled and added with the bias of each row."""
    numbers_at, size_bytes = (int32_at, 4) if is_int32 else (int16_at, 2)

    def matrix(row, weights, state, arena):
        h, x = int32_at(arena + slot(row, INT32_MATRIX.h)), numbers_at(arena + slot(row, INT32_MATRIX.x))
        W, constants = weights + slot(row, INT32_MATRIX.W), int64_at(weights + slot(row, INT32_MATRIX.constants))
        columns = slot(row, INT32_MATRIX.columns)
        for k in range(slot(row, INT32_MATRIX.rows)):
            W_row, total = numbers_at(W + size_bytes * columns * k), 0
            for j in range(columns):
                w, number = int(W_row[j]), int(x[j])
                if is_int32:
                    total += (w >> 16) * number + (w & 65535) * (number >> 16)
                else:
                    total += w * number
            if is_int32:
                total >>= 16
            shift = constants[3 * k + 1]
            product = (total * constants[3 * k] + (1 << (shift - 1))) >> shift
            h[k] = saturate32(h[k] + product + constants[3 * k + 2])
        return 0

    return matrix


def floor(row, weights, state, arena):
    """What is below 0 becomes 0."""
    h = int32_at(arena + slot(row, INT32_STATE.h))
    for k in range(slot(row, INT32_STATE.size)):
        h[k] = max(h[k], 0)
    return 0


def high(row, weights, state, arena):
    """The high halves of h, int16, to the place of x."""
    h, y = int32_at(arena + slot(row, INT32_STATE.h)), int16_at(arena + slot(row, INT32_STATE.x))
    for k in range(slot(row, INT32_STATE.size)):
        y[k] = h[k] >> 16
    return 0
