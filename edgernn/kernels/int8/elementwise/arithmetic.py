"""Integer functions of one element, or of two. Imports Numba: loaded only while kernels are compiled.

Whole registers of int16 are computed: values have room behind their end, and what follows reads no more at once than
was stored at once, for which it would have to wait.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    larger,
    load16,
    load32,
    saturate16,
    smaller,
    store16,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.functions import make_function
from edgernn.kernels.int8.instructions import Int8ElementwiseInstruction
from edgernn.kernels.int8.rescale import (
    NO_BIAS,
    rescale,
    rescale_short,
    rescale_signed,
)

ELEMENTWISE = slots(Int8ElementwiseInstruction)
LANES = 2 * processor().lanes

BINARY_FUNCTIONS = {
    "Add": inline(lambda a, b: a + b),
    "Sub": inline(lambda a, b: a - b),
    "Min": smaller,
    "Max": larger,
}


@inline
def _nothing(x, constants, weights):
    return x


def build(kind, function, tables="plain"):
    """The kernel of a "unary" or "binary" function, or of "affine" arithmetic with constants and then a function."""
    if kind == "unary":
        return _unary(make_function(function, 0, tables))
    if kind == "affine":
        return _affine(_nothing if function == "none" else make_function(function, 0, tables))
    return _multiply if function == "Mul" else _binary(BINARY_FUNCTIONS[function])


def _unary(function):
    """Constants: those of the function."""

    def unary(row, weights, state, arena):
        a, y, constants = (
            arena + slot(row, ELEMENTWISE.a),
            arena + slot(row, ELEMENTWISE.y),
            weights + slot(row, ELEMENTWISE.constants),
        )
        for k in range(0, 2 * slot(row, ELEMENTWISE.size), 2 * LANES):
            store16(y + k, function(load16(a + k, LANES), constants, weights))
        return 0

    return unary


def _affine(function):
    """Constants: multiplier, shift and bias of each element, int32, in registers that alternate."""

    def affine(row, weights, state, arena):
        a, y, constants = (
            arena + slot(row, ELEMENTWISE.a),
            arena + slot(row, ELEMENTWISE.y),
            weights + slot(row, ELEMENTWISE.constants),
        )
        of_function = weights + slot(row, ELEMENTWISE.b)
        for k in range(0, 2 * slot(row, ELEMENTWISE.size), 2 * LANES):
            multiplier, shift = load32(constants, LANES), load32(constants + 4 * LANES, LANES)
            x = rescale_signed(load16(a + k, LANES), multiplier, shift) + load32(constants + 8 * LANES, LANES)
            store16(y + k, function(saturate16(x), of_function, weights))
            constants += 12 * LANES
        return 0

    return affine


def _binary(function):
    """Constants: multiplier and shift of each side as `rescale_short` takes them, int64."""

    def binary(row, weights, state, arena):
        a, b, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.b), arena + slot(row, ELEMENTWISE.y)
        constants = weights + slot(row, ELEMENTWISE.constants)
        for k in range(0, 2 * slot(row, ELEMENTWISE.size), 2 * LANES):
            left = rescale_short(load16(a + k, LANES), slot(constants, 0), slot(constants, 1))
            right = rescale_short(load16(b + k, LANES), slot(constants, 2), slot(constants, 3))
            store16(y + k, saturate16(function(left, right)))
        return 0

    return binary


def _multiply(row, weights, state, arena):
    """Constants: the factor of the product, int64."""
    a, b, y = arena + slot(row, ELEMENTWISE.a), arena + slot(row, ELEMENTWISE.b), arena + slot(row, ELEMENTWISE.y)
    constants = weights + slot(row, ELEMENTWISE.constants)
    for k in range(0, 2 * slot(row, ELEMENTWISE.size), 2 * LANES):
        product = load16(a + k, LANES) * load16(b + k, LANES)
        store16(y + k, saturate16(rescale(product, slot(constants, 0), NO_BIAS)))
    return 0
