"""Ways into and out of the integers, ARITHMETIC.md sections 4 and 9. Imports Numba: loaded only to compile kernels.

Whole registers are computed: values have room behind their end.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, load, load_float, slot, store, where_less
from edgernn.kernels.codegen.simd_int32 import (
    clamp,
    load16,
    load32,
    saturate16,
    store16,
    store32,
    to_floats,
    to_integers,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8ElementwiseInstruction

ELEMENTWISE = slots(Int8ElementwiseInstruction)
LANES = processor().lanes
COUNT_LIMIT = 1 << 30


def build(what, lanes=LANES):
    """The kernel called `what`; the ways out work in registers of `lanes`.

    Those of few numbers are small, because to load more than the operation before has stored is to wait for it.
    """
    if what in WAYS_OUT:
        return WAYS_OUT[what](int(lanes))
    return {"quantize": quantize, "quantize_counts": quantize_counts}[what]


def quantize(row, weights, state, arena):
    """float32 to int16. Constants: mean and inverse of each element, float32, in registers that alternate."""
    a, y, constants = (
        arena + slot(row, ELEMENTWISE.a),
        arena + slot(row, ELEMENTWISE.y),
        weights + slot(row, ELEMENTWISE.constants),
    )
    for k in range(0, slot(row, ELEMENTWISE.size), LANES):
        scaled = (load(a + 4 * k, LANES) - load(constants, LANES)) * load(constants + 4 * LANES, LANES) + 0.5
        scaled = where_less(scaled, -32768.0, -32768.0, scaled)
        scaled = where_less(32767.0, scaled, 32767.0, scaled)
        store16(y + 2 * k, to_integers(scaled))
        constants += 8 * LANES
    return 0


def quantize_counts(row, weights, state, arena):
    """int32 sensor counts to int16. Constants: the five of each element, int32, in registers that alternate."""
    a, y, constants = (
        arena + slot(row, ELEMENTWISE.a),
        arena + slot(row, ELEMENTWISE.y),
        weights + slot(row, ELEMENTWISE.constants),
    )
    for k in range(0, slot(row, ELEMENTWISE.size), LANES):
        count = clamp(load32(a + 4 * k, LANES), -COUNT_LIMIT, COUNT_LIMIT - 1)
        centred = (count - load32(constants, LANES)) >> load32(constants + 4 * LANES, LANES)
        scaled = saturate16(centred) * load32(constants + 8 * LANES, LANES) + load32(constants + 12 * LANES, LANES)
        store16(y + 2 * k, saturate16(scaled >> load32(constants + 16 * LANES, LANES)))
        constants += 20 * LANES
    return 0


def _dequantize(lanes):
    """int16 to float32. Constant: the scale, float32."""

    def dequantize(row, weights, state, arena):
        a, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.y)
        scale = broadcast(load_float(weights + slot(row, ELEMENTWISE.constants)), lanes)
        for k in range(0, slot(row, ELEMENTWISE.size), lanes):
            store(y + 4 * k, to_floats(load16(a + 2 * k, lanes)) * scale)
        return 0

    return dequantize


def _widen(lanes):
    """int16 to int32: what stands in place of dequantize where everything stays in integers."""

    def widen(row, weights, state, arena):
        a, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.y)
        for k in range(0, slot(row, ELEMENTWISE.size), lanes):
            store32(y + 4 * k, load16(a + 2 * k, lanes))
        return 0

    return widen


WAYS_OUT = {"dequantize": _dequantize, "widen": _widen}
