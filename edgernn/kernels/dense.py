"""Matrix times vector plus bias. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.panels import guard, has_nan, make_affine, watch
from edgernn.kernels.rows import DenseRow, slots
from edgernn.kernels.simd import broadcast, slot, store

X, Y, W, ROWS, INPUT_SIZE, OUTPUT_SIZE, PANELS = slots(DenseRow)


def build(lanes):
    """The kernel for panels of `lanes`."""
    compute = guard(lambda scaled: _make_dense(int(lanes), scaled))

    def dense(row, weights, state, arena):
        compute(row, weights, state, arena)
        return 0

    return dense


def _make_dense(lanes, scaled):
    affine = make_affine(lanes, 1, scaled)
    register_bytes = 4 * lanes

    def dense(row, weights, state, arena):
        x, y = arena + slot(row, X), arena + slot(row, Y)
        input_size, output_size, panels = slot(row, INPUT_SIZE), slot(row, OUTPUT_SIZE), slot(row, PANELS)
        watched = broadcast(0.0, lanes)
        for _ in range(slot(row, ROWS)):
            panel_W = weights + slot(row, W)
            for panel in range(panels):
                sums = affine(panel_W, x, input_size)
                watched = watch(watched, sums)
                panel_W += (1 + input_size) * register_bytes
                store(y + register_bytes * panel, sums[0])  # what it writes behind the row's end, the next row replaces
            x += 4 * input_size
            y += 4 * output_size
        return has_nan(watched)

    return dense
