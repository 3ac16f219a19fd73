"""Elman cell, as the ONNX operator RNN defines it. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, slot, store
from edgernn.kernels.float32.functions import make_flush_denormals, make_gate
from edgernn.kernels.float32.guard import guard, has_nan, watch
from edgernn.kernels.float32.movement import copy_bytes
from edgernn.kernels.float32.products.panels import make_gates
from edgernn.kernels.float32.recurrent.cells import nth, turn_around
from edgernn.kernels.instructions import CellInstruction, slots

CELL = slots(CellInstruction)


def build(lanes, clip, f):
    """The kernel for panels of `lanes`."""
    compute = guard(lambda scaled: _make_rnn(int(lanes), clip == "clip", f, scaled))

    def rnn(row, weights, state, arena):
        compute(row, weights, state, arena)
        copy_bytes(state + slot(row, CELL.h), arena + slot(row, CELL.y), 4 * slot(row, CELL.hidden_size))
        return 0

    return rnn


def _make_rnn(lanes, clipped, f, scaled):
    gates, gate, flush_denormals = make_gates(lanes, 1, 1, scaled), make_gate(f, 0, clipped), make_flush_denormals(f)
    register_bytes = 4 * lanes

    def rnn(row, weights, state, arena):
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
            W_panel = panels_W + panel * (1 + input_size) * register_bytes
            R_panel = panels_R + panel * (1 + hidden_size) * register_bytes
            sums = gates(W_panel, x, input_size, R_panel, h, hidden_size)
            watched = watch(watched, sums)
            store(y + register_bytes * panel, flush_denormals(gate(sums[0], constants)))
        return has_nan(watched)

    return rnn
