"""Gated recurrent unit, as the ONNX operator GRU defines it. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, inline, load, multiply_add, slot, store
from edgernn.kernels.float32.functions import BOUNDED, make_flush_denormals, make_gate, saturate
from edgernn.kernels.float32.guard import guard, has_nan, watch
from edgernn.kernels.float32.movement import copy_bytes
from edgernn.kernels.float32.products.panels import make_gates
from edgernn.kernels.float32.recurrent.cells import nth, turn_around
from edgernn.kernels.instructions import CellInstruction, slots

CELL = slots(CellInstruction)


def build(form, lanes, clip, f, g):
    """The kernel for panels of `lanes`, in the form with the reset gate "after" or "before" the recurrence product."""
    make = {"after": _make_reset_after, "before": _make_reset_before}[form]
    compute = guard(lambda scaled: make(int(lanes), clip == "clip", f, g, scaled))

    def gru(row, weights, state, arena):
        compute(row, weights, state, arena)
        copy_bytes(state + slot(row, CELL.h), arena + slot(row, CELL.y), 4 * slot(row, CELL.hidden_size))
        return 0

    return gru


def _make_mix(f, g):
    """``(1 - z) * n + z * h``, as a state is kept; of what is bounded no difference overflows."""
    flush_denormals = make_flush_denormals(f, g)
    if BOUNDED.issuperset((f, g)):
        return inline(lambda z, h, n: flush_denormals(multiply_add(z, h - n, n)))
    return inline(lambda z, h, n: flush_denormals(multiply_add(z, h, multiply_add(z * -1.0, n, n))))


def _make_reset_after(lanes, clipped, f, g, scaled):
    """``n = g(Wh x + Wbh + r * (Rh h + Rbh))``: one panel of z r h each for x and h."""
    gates, mix = make_gates(lanes, 3, 2, scaled), _make_mix(f, g)
    gate_f, gate_g = make_gate(f, 0, clipped), make_gate(g, 1, clipped)
    group_bytes = 3 * 4 * lanes

    def gru(row, weights, state, arena):
        x, h, y = arena + slot(row, CELL.x), state + slot(row, CELL.h), arena + slot(row, CELL.y)
        panels_W, panels_R, constants = (
            weights + slot(row, CELL.W),
            weights + slot(row, CELL.R),
            weights + slot(row, CELL.constants),
        )
        input_size, hidden_size, panels = (
            slot(row, CELL.input_size),
            slot(row, CELL.hidden_size),
            slot(row, CELL.panels),
        )
        backwards = turn_around(arena + slot(row, CELL.turn))
        watched = broadcast(0.0, lanes)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            W_panel = panels_W + panel * (1 + input_size) * group_bytes
            R_panel = panels_R + panel * (1 + hidden_size) * group_bytes
            sums = gates(W_panel, x, input_size, R_panel, h, hidden_size)
            watched = watch(watched, sums)
            z, r, Rh, Wh = sums
            unit = 4 * lanes * panel
            n = gate_g(multiply_add(gate_f(r, constants), Rh, Wh), constants)
            store(y + unit, mix(gate_f(z, constants), load(h + unit, lanes), n))
        return has_nan(watched)

    return gru


def _make_reset_before(lanes, clipped, f, g, scaled):
    """``n = g(Wh x + Wbh + Rh (r * h) + Rbh)``: r of all units comes first, then the panels of h."""
    gates_zr, gate_n = make_gates(lanes, 2, 2, scaled), make_gates(lanes, 1, 1, scaled)
    gate_f, gate_g = make_gate(f, 0, clipped), make_gate(g, 1, clipped)
    mix, bounded = _make_mix(f, g), f in BOUNDED
    register_bytes = 4 * lanes

    def gru(row, weights, state, arena):
        x, h, y = arena + slot(row, CELL.x), state + slot(row, CELL.h), arena + slot(row, CELL.y)
        panels_W, panels_R, constants = (
            weights + slot(row, CELL.W),
            weights + slot(row, CELL.R),
            weights + slot(row, CELL.constants),
        )
        input_size, hidden_size, panels = (
            slot(row, CELL.input_size),
            slot(row, CELL.hidden_size),
            slot(row, CELL.panels),
        )
        z_values = arena + slot(row, CELL.scratch)
        reset_h = z_values + panels * register_bytes
        W_panel_bytes, R_panel_bytes = (1 + input_size) * register_bytes, (1 + hidden_size) * register_bytes
        backwards = turn_around(arena + slot(row, CELL.turn))
        watched = broadcast(0.0, lanes)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            W_panel, R_panel = panels_W + panel * 2 * W_panel_bytes, panels_R + panel * 2 * R_panel_bytes
            sums = gates_zr(W_panel, x, input_size, R_panel, h, hidden_size)
            watched = watch(watched, sums)
            z, r = sums
            unit = register_bytes * panel
            store(z_values + unit, gate_f(z, constants))
            product = gate_f(r, constants) * load(h + unit, lanes)
            store(reset_h + unit, product if bounded else saturate(product))
        panels_W, panels_R = weights + slot(row, CELL.W_reset), weights + slot(row, CELL.R_reset)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            W_panel, R_panel = panels_W + panel * W_panel_bytes, panels_R + panel * R_panel_bytes
            sums = gate_n(W_panel, x, input_size, R_panel, reset_h, hidden_size)
            watched = watch(watched, sums)
            unit = register_bytes * panel
            store(y + unit, mix(load(z_values + unit, lanes), load(h + unit, lanes), gate_g(sums[0], constants)))
        return has_nan(watched)

    return gru
