"""Integer gated recurrent unit, ARITHMETIC.md section 7.2. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    clamp,
    load32,
    saturate16,
    store16,
    store32,
)
from edgernn.kernels.float32.recurrent.cells import nth
from edgernn.kernels.int8.elementwise.functions import BLEND, TIMES, make_fine_sigmoid, make_function, multiply_fine
from edgernn.kernels.int8.instructions import FUNCTION_CONSTANTS
from edgernn.kernels.int8.products.operands import make_operands
from edgernn.kernels.int8.products.panels import make_product
from edgernn.kernels.int8.recurrent.cells import (
    CELL,
    CONSTANT,
    FIRST_FUNCTION,
    make_gates,
    make_limit,
    make_state,
)


def build(order, width, form, operand_bits, lanes, tables, clip, f, g):
    """The kernel with the reset gate "after" or "before" the recurrence product and a "wide" or "narrow" state."""
    lanes, operand_bits, int32_state = int(lanes), int(operand_bits), width == "wide"
    gate = _make_limited(f, FIRST_FUNCTION, tables, clip)
    candidate = _make_limited(g, FIRST_FUNCTION + FUNCTION_CONSTANTS, tables, clip)
    update, blend = _make_int32_update(tables) if int32_state else (gate, BLEND[tables])
    make = {"after": _reset_after, "before": _reset_before}[order]
    return make(form, operand_bits, lanes, int32_state, gate, candidate, update, blend, TIMES[tables])


def _make_limited(name, first, tables, clip):
    """A gate's function of its input as the products give it."""
    function, limit = make_function(name, first, tables), make_limit(clip)
    return inline(lambda p, constants, weights: function(limit(p, constants), constants, weights))


def _make_int32_update(tables):
    """``update(p, constants, weights)``: 1 - z with 30 bits; ``blend(h, n, z)``: the new h from that."""
    fine_sigmoid = make_fine_sigmoid(tables)

    @inline
    def update(p, constants, weights):
        limited = clamp(p, slot(constants, CONSTANT.low_fine), slot(constants, CONSTANT.high_fine))
        return fine_sigmoid(0 - limited, weights + slot(constants, CONSTANT.fine_table))

    @inline
    def blend(h, n, z):
        t = multiply_fine(n - (h >> 16), z)
        return h + t + t

    return update, blend


def _reset_after(form, operand_bits, lanes, int32_state, gate, candidate, update, blend, times):
    """``n = g(Wh x + Wbh + r * (Rh h + Rbh))``."""
    begin, products = make_gates(form, operand_bits, lanes, 3, int32_state, h_biases=1)
    load_state, store_state = make_state(int32_state, lanes)

    def gru(row, weights, state, arena):
        h, y = state + slot(row, CELL.h), arena + slot(row, CELL.y)
        constants, hidden_size = weights + slot(row, CELL.constants), slot(row, CELL.hidden_size)
        panels, backwards = begin(row, state, arena)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            following = nth(index + 1, panels, backwards)
            (Wz, Wr, Wn), (Rz, Rr, Rn) = products(row, weights, arena, panel, following)
            unit = lanes * panel
            r = gate(Wr + Rr, constants, weights)
            n = candidate(Wn + times(r, saturate16(Rn)), constants, weights)
            h_new = blend(load_state(h, unit), n, update(Wz + Rz, constants, weights))
            store16(y + 2 * unit, h_new >> 16 if int32_state else h_new)
            store_state(h, unit, h_new, hidden_size)
        return 0

    return gru


def _reset_before(form, operand_bits, lanes, int32_state, gate, candidate, update, blend, times):
    """``n = g(Wh x + Wbh + Rh (r * h) + Rbh)``: r of all units comes first, then the panels of h."""
    begin, products = make_gates(form, operand_bits, lanes, 2, int32_state)
    product_W, product_R = make_product(form, lanes, 1, 1), make_product(form, lanes, 1, 0)
    prepare = make_operands(form, operand_bits)
    load_state, store_state = make_state(int32_state, lanes)

    def gru(row, weights, state, arena):
        h, y = state + slot(row, CELL.h), arena + slot(row, CELL.y)
        constants = weights + slot(row, CELL.constants)
        input_size, hidden_size = slot(row, CELL.input_size), slot(row, CELL.hidden_size)
        x_operands, h_operands = arena + slot(row, CELL.x_operands), arena + slot(row, CELL.h_operands)
        panels, backwards = begin(row, state, arena)
        z_values = arena + slot(row, CELL.c)  # then r * h
        reset_h = z_values + 4 * lanes * panels
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wz, Wr), (Rz, Rr) = products(row, weights, arena, panel, nth(index + 1, panels, backwards))
            unit = lanes * panel
            h_old = load_state(h, unit)
            r = gate(Wr + Rr, constants, weights)
            store32(z_values + 4 * unit, update(Wz + Rz, constants, weights))
            store16(reset_h + 2 * unit, times(r, h_old >> 16 if int32_state else h_old))
        prepare(h_operands, reset_h, hidden_size)
        panels_W, panels_R = weights + slot(row, CELL.W_reset), weights + slot(row, CELL.R_reset)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wn,) = product_W(panels_W, panel, x_operands, input_size)
            (Rn,) = product_R(panels_R, panel, h_operands, hidden_size)
            unit = lanes * panel
            n = candidate(Wn + Rn, constants, weights)
            h_new = blend(load_state(h, unit), n, load32(z_values + 4 * unit, lanes))
            store16(y + 2 * unit, h_new >> 16 if int32_state else h_new)
            store_state(h, unit, h_new, hidden_size)
        return 0

    return gru
