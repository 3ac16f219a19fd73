"""Long short-term memory, as the ONNX operator LSTM defines it.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, load, multiply_add, slot, store
from edgernn.kernels.float32.functions import make_flush_denormals, make_gate
from edgernn.kernels.float32.guard import guard, has_nan, watch
from edgernn.kernels.float32.movement import copy_bytes
from edgernn.kernels.float32.products.panels import make_gates
from edgernn.kernels.float32.recurrent.cells import nth, turn_around
from edgernn.kernels.instructions import CellInstruction, slots

CELL = slots(CellInstruction)


def build(lanes, peepholes, forget, clip, f, g, h_function):
    """The kernel for panels of `lanes`, with "peepholes" or not, the gate f computed on its own or "coupled" to i."""
    form = int(lanes), peepholes == "peepholes", forget == "coupled", clip == "clip"
    compute = guard(lambda scaled: _make_lstm(*form, f, g, h_function, scaled))

    def lstm(row, weights, state, arena):
        compute(row, weights, state, arena)
        copy_bytes(state + slot(row, CELL.h), arena + slot(row, CELL.y), 4 * slot(row, CELL.hidden_size))
        copy_bytes(state + slot(row, CELL.c), arena + slot(row, CELL.scratch), 4 * slot(row, CELL.hidden_size))
        return 0

    return lstm


def _make_lstm(lanes, has_peepholes, coupled, clipped, f, g, h_function, scaled):
    gates, flush_denormals = make_gates(lanes, 4, 4, scaled), make_flush_denormals(f, g, h_function)
    gate, cell, output = make_gate(f, 0, clipped), make_gate(g, 1, clipped), make_gate(h_function, 2, False)
    register_bytes = 4 * lanes

    def lstm(row, weights, state, arena):
        x, h, c, y = (
            arena + slot(row, CELL.x),
            state + slot(row, CELL.h),
            state + slot(row, CELL.c),
            arena + slot(row, CELL.y),
        )
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
        new_c = arena + slot(row, CELL.scratch)
        backwards = turn_around(arena + slot(row, CELL.turn))
        watched = broadcast(0.0, lanes)
        for index in range(panels):
            panel = nth(index, panels, backwards)
            W_panel = panels_W + panel * (1 + input_size) * 4 * register_bytes
            R_panel = panels_R + panel * (1 + hidden_size) * 4 * register_bytes
            sums = gates(W_panel, x, input_size, R_panel, h, hidden_size)
            watched = watch(watched, sums)
            i, o, f, g = sums
            peephole = weights + slot(row, CELL.P) + panel * 3 * register_bytes
            unit = register_bytes * panel
            c_old = load(c + unit, lanes)
            if has_peepholes:
                i = multiply_add(load(peephole, lanes), c_old, i)
                f = multiply_add(load(peephole + 2 * register_bytes, lanes), c_old, f)
            i = gate(i, constants)
            f = 1.0 - i if coupled else gate(f, constants)
            c_new = flush_denormals(multiply_add(f, c_old, i * cell(g, constants)))
            if has_peepholes:
                o = multiply_add(load(peephole + register_bytes, lanes), c_new, o)
            store(y + unit, flush_denormals(gate(o, constants) * output(c_new, constants)))
            store(new_c + unit, c_new)
        return has_nan(watched)

    return lstm
