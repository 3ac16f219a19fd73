"""Integer comparisons and choices. Imports Numba: loaded only while kernels are compiled.

Whole registers are computed: values have room behind their end.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    load16,
    store16,
    where_negative,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8ElementwiseInstruction, Int8WhereInstruction
from edgernn.kernels.int8.rescale import (
    rescale_short,
)

ELEMENTWISE = slots(Int8ElementwiseInstruction)
WHERE = slots(Int8WhereInstruction)
LANES = processor().lanes
TRUTH = 1 << 14


@inline
def is_set(x):
    """1 where x is not 0, else 0."""
    return where_negative(x, 1, where_negative(0 - x, 1, 0))


# of numbers below 2^30, so that their difference fits
COMPARE = {
    "Equal": inline(lambda a, b: where_negative(a - b, 0, where_negative(b - a, 0, TRUTH))),
    "Less": inline(lambda a, b: where_negative(a - b, TRUTH, 0)),
    "LessOrEqual": inline(lambda a, b: where_negative(b - a, 0, TRUTH)),
    "Greater": inline(lambda a, b: where_negative(b - a, TRUTH, 0)),
    "GreaterOrEqual": inline(lambda a, b: where_negative(a - b, 0, TRUTH)),
}
LOGIC = {
    "And": inline(lambda a, b: is_set(a) * is_set(b) * TRUTH),
    "Or": inline(lambda a, b: is_set(is_set(a) + is_set(b)) * TRUTH),
    "Xor": inline(lambda a, b: is_set(is_set(a) - is_set(b)) * TRUTH),
}


def build(what, function=""):
    """The kernel of a comparison or of logic, or of "where"."""
    if what == "where":
        return where
    return _logic(LOGIC[function]) if function in LOGIC else _comparison(COMPARE[function])


def _comparison(compare):
    """Constants: multiplier and shift of each side as `rescale_short` takes them, int64."""

    def comparison(row, weights, state, arena):
        a, b, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.b), arena + slot(row, ELEMENTWISE.y)
        constants = weights + slot(row, ELEMENTWISE.constants)
        for k in range(0, 2 * slot(row, ELEMENTWISE.size), 2 * LANES):
            left = rescale_short(load16(a + k, LANES), slot(constants, 0), slot(constants, 1))
            right = rescale_short(load16(b + k, LANES), slot(constants, 2), slot(constants, 3))
            store16(y + k, compare(left, right))
        return 0

    return comparison


def _logic(function):
    def logic(row, weights, state, arena):
        a, b, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.b), arena + slot(row, ELEMENTWISE.y)
        for k in range(0, 2 * slot(row, ELEMENTWISE.size), 2 * LANES):
            store16(y + k, function(load16(a + k, LANES), load16(b + k, LANES)))
        return 0

    return logic


def where(row, weights, state, arena):
    """One of two values for each element."""
    condition, yes, no, y = (
        arena + slot(row, WHERE.condition),
        arena + slot(row, WHERE.a),
        arena + slot(row, WHERE.b),
        arena + slot(row, WHERE.y),
    )
    for k in range(0, 2 * slot(row, WHERE.size), 2 * LANES):
        a, b = load16(yes + k, LANES), load16(no + k, LANES)
        store16(y + k, b + (a - b) * is_set(load16(condition + k, LANES)))
    return 0
