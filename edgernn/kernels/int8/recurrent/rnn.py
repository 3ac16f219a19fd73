"""Integer Elman cell, ARITHMETIC.md section 7.1. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.codegen.simd_int32 import (
    store16,
    store16_first,
)
from edgernn.kernels.float32.recurrent.cells import nth
from edgernn.kernels.int8.elementwise.functions import make_function
from edgernn.kernels.int8.recurrent.cells import CELL, FIRST_FUNCTION, make_gates, make_limit


def build(form, operand_bits, lanes, tables, clip, f):
    """The kernel for panels of `lanes`."""
    lanes = int(lanes)
    begin, products = make_gates(form, int(operand_bits), lanes, 1)
    function, limit = make_function(f, FIRST_FUNCTION, tables), make_limit(clip)

    def rnn(row, weights, state, arena):
        h, y = state + slot(row, CELL.h), arena + slot(row, CELL.y)
        constants, hidden_size = weights + slot(row, CELL.constants), slot(row, CELL.hidden_size)
        panels, backwards = begin(row, state, arena)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wx,), (Rh,) = products(row, weights, arena, panel, nth(index + 1, panels, backwards))
            h_new = function(limit(Wx + Rh, constants), constants, weights)
            unit = lanes * panel
            store16(y + 2 * unit, h_new)
            store16_first(h + 2 * unit, h_new, hidden_size - unit, lanes)
        return 0

    return rnn
