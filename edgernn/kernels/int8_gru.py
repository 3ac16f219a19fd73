"""Integer gated recurrent unit, ARITHMETIC.md section 7.2. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.cells import nth
from edgernn.kernels.int8_cells import (
    FINE_TABLE,
    FIRST_FUNCTION,
    HIGH,
    HIGH_FINE,
    LOW,
    LOW_FINE,
    make_gates,
    make_state,
)
from edgernn.kernels.int8_functions import fine_sigmoid, make_function, multiply_fine
from edgernn.kernels.int8_panels import make_operands, make_product
from edgernn.kernels.int8_rows import FUNCTION_CONSTANTS, Int8CellRow
from edgernn.kernels.int8_simd import clamp, load32, saturate16, store16, store32
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import inline, slot

(
    _,
    H,
    Y,
    _,
    _,
    CONSTANTS,
    INPUT_SIZE,
    HIDDEN_SIZE,
    _,
    X_OPERANDS,
    H_OPERANDS,
    UPDATE_GATES,
    _,
    W_RESET,
    R_RESET,
) = slots(Int8CellRow)


def build(order, width, form, operand_bits, lanes, tables, f, g):
    """The kernel with the reset gate "after" or "before" the recurrence product and a "wide" or "narrow" state."""
    lanes, operand_bits, wide = int(lanes), int(operand_bits), width == "wide"
    gate = make_function(f, FIRST_FUNCTION, tables)
    candidate = make_function(g, FIRST_FUNCTION + FUNCTION_CONSTANTS, tables)
    make = {"after": _reset_after, "before": _reset_before}[order]
    return make(form, operand_bits, lanes, wide, gate, candidate)


def _make_update(wide, gate):
    """``update(p, constants, weights)``: z, or 1 - z with 30 bits; ``blend(h, n, z)``: the new h."""

    @inline
    def update(p, constants, weights):
        if wide:
            limited = clamp(p, slot(constants, LOW_FINE), slot(constants, HIGH_FINE))
            return fine_sigmoid(0 - limited, weights + slot(constants, FINE_TABLE))
        return gate(clamp(p, slot(constants, LOW), slot(constants, HIGH)), constants, weights)

    @inline
    def blend(h, n, z):
        if wide:
            t = multiply_fine(n - (h >> 16), z)
            return h + t + t
        return n + (((h - n) * z + (1 << 14)) >> 15)

    return update, blend


def _reset_after(form, operand_bits, lanes, wide, gate, candidate):
    """``n = g(Wh x + Wbh + r * (Rh h + Rbh))``."""
    begin, products = make_gates(form, operand_bits, lanes, 3, wide)
    load_state, store_state = make_state(wide, lanes)
    update, blend = _make_update(wide, gate)

    def gru(row, weights, state, arena):
        h, y = state + slot(row, H), arena + slot(row, Y)
        constants, hidden_size = weights + slot(row, CONSTANTS), slot(row, HIDDEN_SIZE)
        low, high = slot(constants, LOW), slot(constants, HIGH)
        panels, backwards = begin(row, state, arena)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            following = nth(index + 1, panels, backwards)
            (Wz, Wr, Wn), (Rz, Rr, Rn) = products(row, weights, arena, panel, following)
            unit = lanes * panel
            r = gate(clamp(Wr + Rr, low, high), constants, weights)
            p = Wn + ((r * saturate16(Rn) + (1 << 14)) >> 15)
            n = candidate(clamp(p, low, high), constants, weights)
            h_new = blend(load_state(h, unit), n, update(Wz + Rz, constants, weights))
            store16(y + 2 * unit, h_new >> 16 if wide else h_new)
            store_state(h, unit, h_new, hidden_size)
        return 0

    return gru


def _reset_before(form, operand_bits, lanes, wide, gate, candidate):
    """``n = g(Wh x + Wbh + Rh (r * h) + Rbh)``: r of all units comes first, then the panels of h."""
    begin, products = make_gates(form, operand_bits, lanes, 2, wide)
    product, prepare = make_product(form, lanes, 1), make_operands(form, operand_bits)
    load_state, store_state = make_state(wide, lanes)
    update, blend = _make_update(wide, gate)

    def gru(row, weights, state, arena):
        h, y = state + slot(row, H), arena + slot(row, Y)
        constants = weights + slot(row, CONSTANTS)
        input_size, hidden_size = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE)
        x_operands, h_operands = arena + slot(row, X_OPERANDS), arena + slot(row, H_OPERANDS)
        low, high = slot(constants, LOW), slot(constants, HIGH)
        panels, backwards = begin(row, state, arena)
        z_values = arena + slot(row, UPDATE_GATES)
        reset_h = z_values + 4 * lanes * panels
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wz, Wr), (Rz, Rr) = products(row, weights, arena, panel, nth(index + 1, panels, backwards))
            unit = lanes * panel
            h_old = load_state(h, unit)
            r = gate(clamp(Wr + Rr, low, high), constants, weights)
            store32(z_values + 4 * unit, update(Wz + Rz, constants, weights))
            store16(reset_h + 2 * unit, (r * (h_old >> 16 if wide else h_old) + (1 << 14)) >> 15)
        prepare(h_operands, reset_h, hidden_size)
        panels_W, panels_R = weights + slot(row, W_RESET), weights + slot(row, R_RESET)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wn,) = product(panels_W, panel, x_operands, input_size)
            (Rn,) = product(panels_R, panel, h_operands, hidden_size)
            unit = lanes * panel
            n = candidate(clamp(Wn + Rn, low, high), constants, weights)
            h_new = blend(load_state(h, unit), n, load32(z_values + 4 * unit, lanes))
            store16(y + 2 * unit, h_new >> 16 if wide else h_new)
            store_state(h, unit, h_new, hidden_size)
        return 0

    return gru
