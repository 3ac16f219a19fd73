"""Integer long short-term memory, ARITHMETIC.md section 7.3. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    add_saturated,
    clamp,
    load32,
    saturate16,
    smaller,
    store16,
    store16_first,
)
from edgernn.kernels.float32.recurrent.cells import nth
from edgernn.kernels.int8.elementwise.functions import TIMES, make_fine_sigmoid, make_function, multiply_fine
from edgernn.kernels.int8.instructions import FUNCTION_CONSTANTS
from edgernn.kernels.int8.recurrent.cells import (
    CELL,
    CONSTANT,
    FIRST_FUNCTION,
    make_gates,
    make_limit,
    make_state,
)
from edgernn.kernels.int8.rescale import (
    rescale_signed,
)

PEEPHOLES = 6  # registers of a panel: multipliers of i o f, then shifts


def build(width, peepholes, forget, form, operand_bits, lanes, tables, clip, f, g, h_function):
    """The kernel with a "wide" or "narrow" c, with "peepholes" or not, f computed on its own or "coupled" to i."""
    lanes, int32_state, has_peepholes = int(lanes), width == "wide", peepholes == "peepholes"
    begin, products = make_gates(form, int(operand_bits), lanes, 4)
    load_state, store_state = make_state(int32_state, lanes)
    gate = make_function(f, FIRST_FUNCTION, tables)
    candidate = make_function(g, FIRST_FUNCTION + FUNCTION_CONSTANTS, tables)
    output = make_function(h_function, FIRST_FUNCTION + 2 * FUNCTION_CONSTANTS, tables)
    limit, times, coupled = make_limit(clip), TIMES[tables], forget == "coupled"
    next_cell = (
        _make_int32_cell(coupled, make_fine_sigmoid(tables))
        if int32_state
        else _make_int16_cell(coupled, gate, limit, times)
    )

    @inline
    def peephole(place, panel, which, c):
        at = place + panel * PEEPHOLES * 4 * lanes + which * 4 * lanes
        return rescale_signed(c, load32(at, lanes), load32(at + 3 * 4 * lanes, lanes))

    def lstm(row, weights, state, arena):
        h, c, y = state + slot(row, CELL.h), state + slot(row, CELL.c), arena + slot(row, CELL.y)
        constants, peepholes_P = weights + slot(row, CELL.constants), weights + slot(row, CELL.P)
        hidden_size = slot(row, CELL.hidden_size)
        panels, backwards = begin(row, state, arena)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            following = nth(index + 1, panels, backwards)
            (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc) = products(row, weights, arena, panel, following)
            unit = lanes * panel
            p_i, p_o, p_f = Wi + Ri, Wo + Ro, Wf + Rf
            c_old = load_state(c, unit)
            if has_peepholes:
                c_read = c_old >> 16 if int32_state else c_old
                p_i = p_i + peephole(peepholes_P, panel, 0, c_read)
                p_f = p_f + peephole(peepholes_P, panel, 2, c_read)
            g_new = candidate(limit(Wc + Rc, constants), constants, weights)
            c_new = next_cell(c_old, p_i, p_f, g_new, constants, weights)
            store_state(c, unit, c_new, hidden_size)
            c_read = c_new >> 16 if int32_state else c_new
            if has_peepholes:
                p_o = p_o + peephole(peepholes_P, panel, 1, c_read)
            o = gate(limit(p_o, constants), constants, weights)
            w = (c_read << slot(constants, CONSTANT.cell_left)) + slot(constants, CONSTANT.cell_rounding)
            w = saturate16(w >> slot(constants, CONSTANT.cell_right))
            h_new = times(o, output(w, constants, weights))
            store16(y + 2 * unit, h_new)
            store16_first(h + 2 * unit, h_new, hidden_size - unit, lanes)
        return 0

    return lstm


def _make_int16_cell(coupled, gate, limit, times):
    @inline
    def next_cell(c, p_i, p_f, g, constants, weights):
        i = gate(limit(p_i, constants), constants, weights)
        f = smaller(32768 - i, 32767) if coupled else gate(limit(p_f, constants), constants, weights)
        gain = (i * g + slot(constants, CONSTANT.gain_rounding)) >> slot(constants, CONSTANT.gain_right)
        return saturate16(times(f, c) + gain)

    return next_cell


def _make_int32_cell(coupled, fine_sigmoid):
    @inline
    def next_cell(c, p_i, p_f, g, constants, weights):
        low, high, table = (
            slot(constants, CONSTANT.low_fine),
            slot(constants, CONSTANT.high_fine),
            weights + slot(constants, CONSTANT.fine_table),
        )
        i = fine_sigmoid(clamp(p_i, low, high), table)
        decay = i if coupled else fine_sigmoid(0 - clamp(p_f, low, high), table)
        t = multiply_fine(c >> 16, decay)
        gain = (multiply_fine(g, i) << slot(constants, CONSTANT.gain_left)) + slot(constants, CONSTANT.gain_rounding)
        return add_saturated(c - t - t, gain >> slot(constants, CONSTANT.gain_right))

    return next_cell
