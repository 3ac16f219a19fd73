"""Integer functions of one element, or of two. Imports Numba: loaded only while kernels are compiled.

Whole registers are computed: values have room behind their end.
"""

from __future__ import annotations

from edgernn.kernels.int8_functions import make_function
from edgernn.kernels.int8_rows import Int8ElementwiseRow
from edgernn.kernels.int8_simd import larger, load16, load32, rescale, rescale_signed, saturate16, smaller, store16
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import inline, slot
from edgernn.kernels.target import processor

A, B, Y, CONSTANTS, SIZE = slots(Int8ElementwiseRow)
LANES = processor().lanes

BINARY_FUNCTIONS = {
    "Add": inline(lambda a, b: a + b),
    "Sub": inline(lambda a, b: a - b),
    "Min": smaller,
    "Max": larger,
}


def build(kind, function, tables="plain"):
    """The kernel of a "unary" or "binary" function, or of "affine" arithmetic with constants."""
    if kind == "unary":
        return _unary(make_function(function, 0, tables))
    if kind == "affine":
        return _affine
    return _multiply if function == "Mul" else _binary(BINARY_FUNCTIONS[function])


def _unary(function):
    """Constants: those of the function."""

    def unary(row, weights, state, arena):
        a, y, constants = arena + slot(row, A), arena + slot(row, Y), weights + slot(row, CONSTANTS)
        for k in range(0, 2 * slot(row, SIZE), 2 * LANES):
            store16(y + k, function(load16(a + k, LANES), constants, weights))
        return 0

    return unary


def _affine(row, weights, state, arena):
    """Constants: multiplier, shift and bias of each element, int32, in registers that alternate."""
    a, y, constants = arena + slot(row, A), arena + slot(row, Y), weights + slot(row, CONSTANTS)
    for k in range(0, 2 * slot(row, SIZE), 2 * LANES):
        multiplier, shift = load32(constants, LANES), load32(constants + 4 * LANES, LANES)
        x = rescale_signed(load16(a + k, LANES), multiplier, shift)
        store16(y + k, saturate16(x + load32(constants + 8 * LANES, LANES)))
        constants += 12 * LANES
    return 0


@inline
def _rescaled(x, constants, first):
    """By the four numbers of a multiplier that begin at place `first` of the constants."""
    return rescale(
        x,
        slot(constants, first),
        slot(constants, first + 1),
        slot(constants, first + 2),
        slot(constants, first + 3),
        0,
    )


def _binary(function):
    """Constants: multiplier, shift before, rounding and shift after of each side, int64."""

    def binary(row, weights, state, arena):
        a, b, y = arena + slot(row, A), arena + slot(row, B), arena + slot(row, Y)
        constants = weights + slot(row, CONSTANTS)
        for k in range(0, 2 * slot(row, SIZE), 2 * LANES):
            left, right = _rescaled(load16(a + k, LANES), constants, 0), _rescaled(load16(b + k, LANES), constants, 4)
            store16(y + k, saturate16(function(left, right)))
        return 0

    return binary


def _multiply(row, weights, state, arena):
    """Constants: multiplier, shift before, rounding and shift after of the product, int64."""
    a, b, y = arena + slot(row, A), arena + slot(row, B), arena + slot(row, Y)
    constants = weights + slot(row, CONSTANTS)
    for k in range(0, 2 * slot(row, SIZE), 2 * LANES):
        product = load16(a + k, LANES) * load16(b + k, LANES)
        store16(y + k, saturate16(_rescaled(product, constants, 0)))
    return 0
