"""One of two numbers for each element, and numbers in another type.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from math import isnan

from edgernn.kernels.codegen.simd import load, load_float, load_int, slot, store, store_float, store_int, where_equal
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import ElementwiseInstruction, WhereInstruction, slots

WHERE = slots(WhereInstruction)
ELEMENTWISE = slots(ElementwiseInstruction)
LANES = processor().lanes
MAX_INT = 2147483647


def build(what):
    """The kernel called `what`."""
    return {"where": where, "to_int": to_int, "to_float": to_float}[what]


def where(row, weights, state, arena):
    """Whole registers are computed: values have room behind their end."""
    condition, y = arena + slot(row, WHERE.condition), arena + slot(row, WHERE.y)
    a, b = arena + slot(row, WHERE.a), arena + slot(row, WHERE.b)
    for k in range(0, 4 * slot(row, WHERE.size), 4 * LANES):
        store(y + k, where_equal(load(condition + k, LANES), 0.0, load(b + k, LANES), load(a + k, LANES)))
    return 0


def to_int(row, weights, state, arena):
    """float32 to int32, fractions cut off; what is out of range becomes the nearest, NaN 0."""
    a, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.y)
    for k in range(0, 4 * slot(row, ELEMENTWISE.size), 4):
        x = load_float(a + k)
        if x >= 2147483648.0:
            store_int(y + k, MAX_INT)
        elif x < -2147483648.0:
            store_int(y + k, -MAX_INT - 1)
        else:
            store_int(y + k, 0 if isnan(x) else int(x))
    return 0


def to_float(row, weights, state, arena):
    """int32 to float32."""
    a, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.y)
    for k in range(0, 4 * slot(row, ELEMENTWISE.size), 4):
        store_float(y + k, float(load_int(a + k)))
    return 0
