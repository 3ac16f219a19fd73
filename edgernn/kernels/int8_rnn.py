"""Integer Elman cell, ARITHMETIC.md section 7.1. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.cells import nth, turn_around
from edgernn.kernels.int8_cells import FIRST_FUNCTION, HIGH, LOW
from edgernn.kernels.int8_functions import make_function
from edgernn.kernels.int8_panels import make_fetch, make_operands, make_product
from edgernn.kernels.int8_rows import Int8CellRow
from edgernn.kernels.int8_simd import clamp, store16, store16_first
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import slot

X, H, Y, W, R, CONSTANTS, INPUT_SIZE, HIDDEN_SIZE, TURN, X_OPERANDS, H_OPERANDS, *_ = slots(Int8CellRow)


def build(form, operand_bits, lanes, tables, f):
    """The kernel for panels of `lanes`."""
    lanes = int(lanes)
    product, fetch, prepare = (
        make_product(form, lanes, 1),
        make_fetch(form, lanes, 1),
        make_operands(form, int(operand_bits)),
    )
    function = make_function(f, FIRST_FUNCTION, tables)

    def rnn(row, weights, state, arena):
        h, y = state + slot(row, H), arena + slot(row, Y)
        panels_W, panels_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE)
        x_operands, h_operands = arena + slot(row, X_OPERANDS), arena + slot(row, H_OPERANDS)
        prepare(x_operands, arena + slot(row, X), input_size)
        prepare(h_operands, h, hidden_size)
        low, high = slot(constants, LOW), slot(constants, HIGH)
        panels = (hidden_size + lanes - 1) // lanes
        backwards = turn_around(arena + slot(row, TURN))
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wx,) = product(panels_W, panel, x_operands, input_size)
            (Rh,) = product(panels_R, panel, h_operands, hidden_size)
            fetch(panels_R, nth(index + 1, panels, backwards), hidden_size)
            h_new = function(clamp(Wx + Rh, low, high), constants, weights)
            unit = lanes * panel
            store16(y + 2 * unit, h_new)
            store16_first(h + 2 * unit, h_new, hidden_size - unit, lanes)
        return 0

    return rnn
