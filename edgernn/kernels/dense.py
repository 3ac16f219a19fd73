"""Matrix times vector plus bias. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.guard import guard, has_nan, watch
from edgernn.kernels.narrow import make_narrow_affine
from edgernn.kernels.panels import make_affine
from edgernn.kernels.rows import DenseRow, slots
from edgernn.kernels.simd import broadcast, slot, store

X, Y, W, ROWS, INPUT_SIZE, OUTPUT_SIZE, PANELS = slots(DenseRow)


def build(form, lanes):
    """The kernel for "panels" of `lanes`, or for a "narrow" matrix of up to `lanes` rows."""
    make = {"panels": _make_dense, "narrow": _make_narrow}[form]
    compute = guard(lambda scaled: make(int(lanes), scaled))

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


def _make_narrow(lanes, scaled):
    affine = make_narrow_affine(lanes, scaled)

    def dense(row, weights, state, arena):
        x, y, matrix = arena + slot(row, X), arena + slot(row, Y), weights + slot(row, W)
        input_size, output_size = slot(row, INPUT_SIZE), slot(row, OUTPUT_SIZE)
        watched = broadcast(0.0, lanes)
        for _ in range(slot(row, ROWS)):
            sums = affine(matrix, x, input_size)
            watched = watch(watched, sums)
            store(y, sums[0])  # what it writes behind the row's end, the next row replaces
            x += 4 * input_size
            y += 4 * output_size
        return has_nan(watched)

    return dense
