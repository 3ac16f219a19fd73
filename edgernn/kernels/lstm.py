"""Long short-term memory, as the ONNX operator LSTM defines it.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.cells import nth, turn_around
from edgernn.kernels.functions import make_gate, settle
from edgernn.kernels.layout import copy_bytes
from edgernn.kernels.rows import CellRow, slots
from edgernn.kernels.simd import load, make_affine, multiply_add, slot, store

X, H, Y, W, R, CONSTANTS, INPUT_SIZE, HIDDEN_SIZE, PANELS, TURN, C, P, SCRATCH, *_ = slots(CellRow)


def build(lanes, peepholes, forget, clip, f, g, h_function):
    """The kernel for panels of `lanes`, with "peepholes" or not, the gate f computed on its own or "coupled" to i."""
    lanes = int(lanes)
    affine = make_affine(lanes, 4)
    clipped, has_peepholes, coupled = clip == "clip", peepholes == "peepholes", forget == "coupled"
    gate, cell, output = make_gate(f, 0, clipped), make_gate(g, 1, clipped), make_gate(h_function, 2, False)
    register_bytes = 4 * lanes

    def lstm(row, weights, state, arena):
        x, h, c, y = arena + slot(row, X), state + slot(row, H), state + slot(row, C), arena + slot(row, Y)
        panels_W, panels_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size, panels = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE), slot(row, PANELS)
        new_c = arena + slot(row, SCRATCH)
        backwards = turn_around(arena + slot(row, TURN))
        for index in range(panels):
            panel = nth(index, panels, backwards)
            Wi, Wo, Wf, Wc = affine(panels_W + panel * (1 + input_size) * 4 * register_bytes, x, input_size)
            Ri, Ro, Rf, Rc = affine(panels_R + panel * (1 + hidden_size) * 4 * register_bytes, h, hidden_size)
            peephole = weights + slot(row, P) + panel * 3 * register_bytes
            unit = register_bytes * panel
            c_old = load(c + unit, lanes)
            i, o, f = Wi + Ri, Wo + Ro, Wf + Rf
            if has_peepholes:
                i = multiply_add(load(peephole, lanes), c_old, i)
                f = multiply_add(load(peephole + 2 * register_bytes, lanes), c_old, f)
            i = gate(i, constants)
            f = 1.0 - i if coupled else gate(f, constants)
            c_new = settle(multiply_add(f, c_old, i * cell(Wc + Rc, constants)))
            if has_peepholes:
                o = multiply_add(load(peephole + register_bytes, lanes), c_new, o)
            store(y + unit, settle(gate(o, constants) * output(c_new, constants)))
            store(new_c + unit, c_new)
        copy_bytes(h, y, 4 * hidden_size)
        copy_bytes(c, new_c, 4 * hidden_size)
        return 0

    return lstm
