"""Matrix times vector plus bias. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.rows import DenseRow, slots
from edgernn.kernels.simd import make_affine, slot, store

X, Y, W, ROWS, INPUT_SIZE, OUTPUT_SIZE, PANELS = slots(DenseRow)


def build(lanes):
    """The kernel for panels of `lanes`."""
    lanes = int(lanes)
    affine = make_affine(lanes, 1)
    register_bytes = 4 * lanes

    def dense(row, weights, state, arena):
        x, y = arena + slot(row, X), arena + slot(row, Y)
        input_size, output_size, panels = slot(row, INPUT_SIZE), slot(row, OUTPUT_SIZE), slot(row, PANELS)
        for _ in range(slot(row, ROWS)):
            panel_W = weights + slot(row, W)
            for panel in range(panels):
                (result,) = affine(panel_W, x, input_size)
                panel_W += (1 + input_size) * register_bytes
                store(y + register_bytes * panel, result)  # what it writes behind the row's end, the next row replaces
            x += 4 * input_size
            y += 4 * output_size
        return 0

    return dense
