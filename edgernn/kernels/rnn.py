"""Elman cell, as the ONNX operator RNN defines it. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.cells import nth, turn_around
from edgernn.kernels.functions import make_gate, settle
from edgernn.kernels.layout import copy_bytes
from edgernn.kernels.rows import CellRow, slots
from edgernn.kernels.simd import make_affine, slot, store

X, H, Y, W, R, CONSTANTS, INPUT_SIZE, HIDDEN_SIZE, PANELS, TURN, *_ = slots(CellRow)


def build(lanes, clip, f):
    """The kernel for panels of `lanes`."""
    lanes = int(lanes)
    affine = make_affine(lanes, 1)
    gate = make_gate(f, 0, clip == "clip")
    register_bytes = 4 * lanes

    def rnn(row, weights, state, arena):
        x, h, y = arena + slot(row, X), state + slot(row, H), arena + slot(row, Y)
        panels_W, panels_R, constants = weights + slot(row, W), weights + slot(row, R), weights + slot(row, CONSTANTS)
        input_size, hidden_size, panels = slot(row, INPUT_SIZE), slot(row, HIDDEN_SIZE), slot(row, PANELS)
        backwards = turn_around(arena + slot(row, TURN))
        for index in range(panels):
            panel = nth(index, panels, backwards)
            (Wx,) = affine(panels_W + panel * (1 + input_size) * register_bytes, x, input_size)
            (Rh,) = affine(panels_R + panel * (1 + hidden_size) * register_bytes, h, hidden_size)
            store(y + register_bytes * panel, settle(gate(Wx + Rh, constants)))
        copy_bytes(h, y, 4 * hidden_size)
        return 0

    return rnn
