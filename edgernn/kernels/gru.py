"""Gated recurrent unit, as the ONNX operator GRU defines it. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.cells import nth, turn_around
from edgernn.kernels.functions import make_gate, settle
from edgernn.kernels.layout import copy_bytes
from edgernn.kernels.rows import CellRow, slots
from edgernn.kernels.simd import load, make_affine, multiply_add, slot, store

X, H, Y, W, R, CONSTANTS, INPUT_SIZE, HIDDEN_SIZE, PANELS, TURN, _, _, SCRATCH, W_RESET, R_RESET = slots(CellRow)


def build(form, lanes, clip, f, g):
    """The kernel for panels of `lanes`, in the form with the reset gate "after" or "before" the recurrence product."""
    return {"after": _reset_after, "before": _reset_before}[form](
        int(lanes), make_gate(f, 0, clip == "clip"), make_gate(g, 1, clip == "clip")
    )


def _reset_after(lanes, f, g):
    """``n = g(Wh x + Wbh + r * (Rh h + Rbh))``: one panel of z r h each for x and h."""
    affine = make_affine(lanes, 3)
    group_bytes = 3 * 4 * lanes

    def gru(row, weights, state, arena):
        x, h, y = arena + slot(row, X), state + slot(row, H), arena + slot(row, Y)
        panels_W, panels_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size, panels = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE), slot(row, PANELS)
        backwards = turn_around(arena + slot(row, TURN))
        for index in range(panels):
            panel = nth(index, panels, backwards)
            Wz, Wr, Wh = affine(panels_W + panel * (1 + input_size) * group_bytes, x, input_size)
            Rz, Rr, Rh = affine(panels_R + panel * (1 + hidden_size) * group_bytes, h, hidden_size)
            unit = 4 * lanes * panel
            n = g(multiply_add(f(Wr + Rr, constants), Rh, Wh), constants)
            z = f(Wz + Rz, constants)
            store(y + unit, settle(multiply_add(z, load(h + unit, lanes) - n, n)))
        copy_bytes(h, y, 4 * hidden_size)
        return 0

    return gru


def _reset_before(lanes, f, g):
    """``n = g(Wh x + Wbh + Rh (r * h) + Rbh)``: r of all units comes first, then the panels of h."""
    affine_zr = make_affine(lanes, 2)
    affine_h = make_affine(lanes, 1)
    register_bytes = 4 * lanes

    def gru(row, weights, state, arena):
        x, h, y = arena + slot(row, X), state + slot(row, H), arena + slot(row, Y)
        panels_W, panels_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size, panels = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE), slot(row, PANELS)
        z_values = arena + slot(row, SCRATCH)
        reset_h = z_values + panels * register_bytes
        W_panel_bytes, R_panel_bytes = (1 + input_size) * register_bytes, (1 + hidden_size) * register_bytes
        backwards = turn_around(arena + slot(row, TURN))
        for index in range(panels):
            panel = nth(index, panels, backwards)
            Wz, Wr = affine_zr(panels_W + panel * 2 * W_panel_bytes, x, input_size)
            Rz, Rr = affine_zr(panels_R + panel * 2 * R_panel_bytes, h, hidden_size)
            unit = register_bytes * panel
            store(z_values + unit, f(Wz + Rz, constants))
            store(reset_h + unit, f(Wr + Rr, constants) * load(h + unit, lanes))
        panels_W, panels_R = weights + slot(row, W_RESET), weights + slot(row, R_RESET)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wh,) = affine_h(panels_W + panel * W_panel_bytes, x, input_size)
            (Rh,) = affine_h(panels_R + panel * R_panel_bytes, reset_h, hidden_size)
            unit = register_bytes * panel
            n = g(Wh + Rh, constants)
            store(y + unit, settle(multiply_add(load(z_values + unit, lanes), load(h + unit, lanes) - n, n)))
        copy_bytes(h, y, 4 * hidden_size)
        return 0

    return gru
