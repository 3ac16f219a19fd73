"""Functions of one element, or of two. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from math import isnan

from edgernn.kernels.codegen.simd import (
    absolute,
    inline,
    load,
    load_float,
    load_int,
    slot,
    store,
    store_float,
    store_int,
    where_equal,
    where_less,
    where_nan,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.double import remainder, sine_from
from edgernn.kernels.float32.functions import FUNCTIONS, INFINITY, saturate_overflow
from edgernn.kernels.float32.inverse import INVERSE_FUNCTIONS
from edgernn.kernels.instructions import ElementwiseInstruction, slots

ELEMENTWISE = slots(ElementwiseInstruction)
LANES = processor().lanes
MAX_INT = 2147483647

POLES = frozenset({"Exp", "Log", "Reciprocal", "Atanh"})  # infinite by definition, for some finite numbers


@inline
def larger(a, b):
    """The larger magnitude of two numbers."""
    return where_less(absolute(a), absolute(b), absolute(b), absolute(a))


# what overflows becomes the largest float32: no later infinity minus infinity makes a NaN of it
BINARY_FUNCTIONS = {
    "Add": inline(lambda a, b: saturate_overflow(a + b, larger(a, b))),
    "Sub": inline(lambda a, b: saturate_overflow(a - b, larger(a, b))),
    "Mul": inline(lambda a, b: saturate_overflow(a * b, larger(a, b))),
    "Div": inline(lambda a, b: saturate_overflow(a / b, where_less(0.0, absolute(b), absolute(a), INFINITY))),
    "Min": inline(lambda a, b: where_nan(b, b, where_less(b, a, b, a))),
    "Max": inline(lambda a, b: where_nan(b, b, where_less(a, b, b, a))),
    "Equal": inline(lambda a, b: where_equal(a, b, 1.0, 0.0)),
    "Less": inline(lambda a, b: where_less(a, b, 1.0, 0.0)),
    "Greater": inline(lambda a, b: where_less(b, a, 1.0, 0.0)),
    "LessOrEqual": inline(lambda a, b: where_less(a, b, 1.0, where_equal(a, b, 1.0, 0.0))),
    "GreaterOrEqual": inline(lambda a, b: where_less(b, a, 1.0, where_equal(a, b, 1.0, 0.0))),
    "And": inline(lambda a, b: where_equal(a, 0.0, 0.0, where_equal(b, 0.0, 0.0, 1.0))),
    "Or": inline(lambda a, b: where_equal(a, 0.0, where_equal(b, 0.0, 0.0, 1.0), 1.0)),
    "Xor": inline(lambda a, b: where_equal(a, 0.0, where_equal(b, 0.0, 0.0, 1.0), where_equal(b, 0.0, 1.0, 0.0))),
}
UNARY_FUNCTIONS = FUNCTIONS | INVERSE_FUNCTIONS
# of single numbers
UNARY_NUMBER = {"Sin": inline(lambda x: sine_from(0, x)), "Cos": inline(lambda x: sine_from(1, x))}
BINARY_NUMBER = {"Pow": inline(lambda a, b: a**b), "Mod": inline(lambda a, b: remainder(float(a), float(b)))}


def build(arity, function, *sides):
    """The kernel of a "unary" function, or of a "binary" one whose sides come from the "arena" or the "weights".

    To "convert" takes the number type as the function.

    Whole registers are computed: values have room behind their end.
    """
    if arity == "convert":
        return CONVERSIONS[function]
    if function in UNARY_NUMBER:
        return _unary_number(UNARY_NUMBER[function])
    if arity == "unary":
        return _unary(UNARY_FUNCTIONS[function], function not in POLES)
    a_in_weights, b_in_weights = (side == "weights" for side in sides)
    if function in BINARY_NUMBER:
        return _binary_number(BINARY_NUMBER[function], a_in_weights, b_in_weights)
    return _binary(BINARY_FUNCTIONS[function], a_in_weights, b_in_weights)


def _unary(function, saturates):
    def unary(row, weights, state, arena):
        a, y, constants = (
            arena + slot(row, ELEMENTWISE.a),
            arena + slot(row, ELEMENTWISE.y),
            weights + slot(row, ELEMENTWISE.b),
        )
        alpha, beta = load_float(constants), load_float(constants + 4)
        for k in range(0, 4 * slot(row, ELEMENTWISE.size), 4 * LANES):
            number = load(a + k, LANES)
            result = function(number, alpha, beta)
            store(y + k, saturate_overflow(result, absolute(number)) if saturates else result)
        return 0

    return unary


def _binary(function, a_in_weights, b_in_weights):
    def binary(row, weights, state, arena):
        a = (weights if a_in_weights else arena) + slot(row, ELEMENTWISE.a)
        b = (weights if b_in_weights else arena) + slot(row, ELEMENTWISE.b)
        y = arena + slot(row, ELEMENTWISE.y)
        for k in range(0, 4 * slot(row, ELEMENTWISE.size), 4 * LANES):
            store(y + k, function(load(a + k, LANES), load(b + k, LANES)))
        return 0

    return binary


def _unary_number(function):
    def unary(row, weights, state, arena):
        a, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.y)
        for k in range(0, 4 * slot(row, ELEMENTWISE.size), 4):
            store_float(y + k, function(float(load_float(a + k))))
        return 0

    return unary


def _binary_number(function, a_in_weights, b_in_weights):
    def binary(row, weights, state, arena):
        a = (weights if a_in_weights else arena) + slot(row, ELEMENTWISE.a)
        b = (weights if b_in_weights else arena) + slot(row, ELEMENTWISE.b)
        y = arena + slot(row, ELEMENTWISE.y)
        for k in range(0, 4 * slot(row, ELEMENTWISE.size), 4):
            store_float(y + k, function(load_float(a + k), load_float(b + k)))
        return 0

    return binary


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


CONVERSIONS = {"int32": to_int, "float32": to_float}
