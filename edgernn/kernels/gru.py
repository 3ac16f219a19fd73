"""Gated recurrent unit, as the ONNX operator GRU defines it. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.functions import make_gate, settle
from edgernn.kernels.rows import CellRow, slots
from edgernn.kernels.simd import inline, load, make_affine, multiply_add, slot, store, store_first

X, H, Y, W, R, CONSTANTS, INPUT_SIZE, HIDDEN_SIZE, PANELS, _, _, SCRATCH, W_RESET, R_RESET = slots(CellRow)


@inline
def keep(h, y, hidden_size, lanes):
    """Make the new h, computed at y, the state."""
    for unit in range(0, hidden_size, lanes):
        store_first(h + 4 * unit, load(y + 4 * unit, lanes), hidden_size - unit, lanes)


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
        panel_W, panel_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE)
        for panel in range(slot(row, PANELS)):
            Wz, Wr, Wh = affine(panel_W, x, input_size)
            Rz, Rr, Rh = affine(panel_R, h, hidden_size)
            panel_W += (1 + input_size) * group_bytes
            panel_R += (1 + hidden_size) * group_bytes
            unit = 4 * lanes * panel
            n = g(multiply_add(f(Wr + Rr, constants), Rh, Wh), constants)
            z = f(Wz + Rz, constants)
            store(y + unit, settle(multiply_add(z, load(h + unit, lanes) - n, n)))
        keep(h, y, hidden_size, lanes)
        return 0

    return gru


def _reset_before(lanes, f, g):
    """``n = g(Wh x + Wbh + Rh (r * h) + Rbh)``: r of all units comes first, then the panels of h."""
    affine_zr = make_affine(lanes, 2)
    affine_h = make_affine(lanes, 1)
    register_bytes = 4 * lanes

    def gru(row, weights, state, arena):
        x, h, y = arena + slot(row, X), state + slot(row, H), arena + slot(row, Y)
        panel_W, panel_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size, panels = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE), slot(row, PANELS)
        z_values = arena + slot(row, SCRATCH)
        reset_h = z_values + panels * register_bytes
        for panel in range(panels):
            Wz, Wr = affine_zr(panel_W, x, input_size)
            Rz, Rr = affine_zr(panel_R, h, hidden_size)
            panel_W += (1 + input_size) * 2 * register_bytes
            panel_R += (1 + hidden_size) * 2 * register_bytes
            unit = register_bytes * panel
            store(z_values + unit, f(Wz + Rz, constants))
            store(reset_h + unit, f(Wr + Rr, constants) * load(h + unit, lanes))
        panel_W, panel_R = weights + slot(row, W_RESET), weights + slot(row, R_RESET)
        for panel in range(panels):
            (Wh,) = affine_h(panel_W, x, input_size)
            (Rh,) = affine_h(panel_R, reset_h, hidden_size)
            panel_W += (1 + input_size) * register_bytes
            panel_R += (1 + hidden_size) * register_bytes
            unit = register_bytes * panel
            n = g(Wh + Rh, constants)
            store(y + unit, settle(multiply_add(load(z_values + unit, lanes), load(h + unit, lanes) - n, n)))
        keep(h, y, hidden_size, lanes)
        return 0

    return gru
