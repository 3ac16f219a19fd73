"""What the kernels of the integer cells share. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    clamp,
    load16,
    load32,
    saturate16,
    store16_first,
    store32_first,
)
from edgernn.kernels.float32.recurrent.cells import turn_around
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import CellConstants, Int8CellInstruction
from edgernn.kernels.int8.products.operands import make_operands
from edgernn.kernels.int8.products.panels import NATIVE_LANES, make_fetch, make_product

CONSTANT = CellConstants(*range(len(CellConstants._fields)))  # where each of a cell's constants lies
CELL = slots(Int8CellInstruction)
FIRST_LEVEL_BYTES = 1 << 15  # of a processor's cache: smaller matrices lie there already
FIRST_FUNCTION = len(CellConstants._fields)  # where the constants of the functions begin


def make_limit(clip):
    """A function ``limit(p, constants)``: a gate's input in 16 bits, of a cell with "clip" within its limits."""
    if clip == "free":
        return inline(lambda p, constants: saturate16(p))
    return inline(lambda p, constants: clamp(p, slot(constants, CONSTANT.low), slot(constants, CONSTANT.high)))


def make_gates(form, operand_bits, lanes, gates, int32_state=False, h_biases=0):
    """What a cell begins with, and the matrix products of its gates; with `int32_state`, h is int32.

    ``begin(row, state, arena)`` reads x and h for the products, and gives how many panels there are and whether this
    step goes through them backwards. ``products(row, weights, arena, panel, following)`` gives those of W and x, then
    those of R and h, for the units of a panel; the `following` one is on its way from then on, if R is large. All
    gates have a bias with W, the last `h_biases` one with R.
    """
    product_W, product_R = make_product(form, lanes, gates, gates), make_product(form, lanes, gates, h_biases)
    fetch = make_fetch(form, lanes, gates, h_biases)
    prepare_x = make_operands(form, operand_bits)
    prepare_h = make_operands(form, operand_bits, int32_state, min(lanes, 2 * NATIVE_LANES))

    @inline
    def begin(row, state, arena):
        hidden_size = slot(row, CELL.hidden_size)
        prepare_x(arena + slot(row, CELL.x_operands), arena + slot(row, CELL.x), slot(row, CELL.input_size))
        prepare_h(arena + slot(row, CELL.h_operands), state + slot(row, CELL.h), hidden_size)
        return (hidden_size + lanes - 1) // lanes, turn_around(arena + slot(row, CELL.turn))

    @inline
    def products(row, weights, arena, panel, following):
        panels_R, hidden_size = weights + slot(row, CELL.R), slot(row, CELL.hidden_size)
        of_x = product_W(
            weights + slot(row, CELL.W), panel, arena + slot(row, CELL.x_operands), slot(row, CELL.input_size)
        )
        of_h = product_R(panels_R, panel, arena + slot(row, CELL.h_operands), hidden_size)
        if gates * hidden_size * hidden_size > FIRST_LEVEL_BYTES:
            fetch(panels_R, following, hidden_size)
        return of_x, of_h

    return begin, products


def make_state(int32_state, lanes):
    """Functions ``load_state(base, unit)`` and ``store_state(base, unit, register, size)`` of int16 or int32 states."""

    @inline
    def load_state(base, unit):
        return load32(base + 4 * unit, lanes) if int32_state else load16(base + 2 * unit, lanes)

    @inline
    def store_state(base, unit, register, size):
        if int32_state:
            store32_first(base + 4 * unit, register, size - unit, lanes)
        else:
            store16_first(base + 2 * unit, register, size - unit, lanes)

    return load_state, store_state
