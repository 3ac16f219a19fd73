"""A matrix product for each of many groups. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.guard import guard, has_nan, watch
from edgernn.kernels.panels import SCALE, saturate_scaled
from edgernn.kernels.rows import GroupedDenseRow, slots
from edgernn.kernels.simd import broadcast, load, multiply_add, slot, store
from edgernn.kernels.target import processor

X, Y, W, ROWS, INPUT_SIZE, OUTPUT_SIZE, GROUPS = slots(GroupedDenseRow)
LANES = processor().lanes
REGISTER_BYTES = 4 * LANES


def build():
    """The one kernel: groups lie beside each other in registers.

    What it writes behind the last group, the next output replaces.
    """
    compute = guard(_make)

    def grouped_dense(row, weights, state, arena):
        compute(row, weights, state, arena)
        return 0

    return grouped_dense


def _make(scaled):
    """Bias and weights follow each other in the order in which they are read."""

    def compute(row, weights, state, arena):
        x, y = arena + slot(row, X), arena + slot(row, Y)
        input_size, frame_bytes = slot(row, INPUT_SIZE), 4 * slot(row, GROUPS)
        watched = broadcast(0.0, LANES)
        for _ in range(slot(row, ROWS)):
            panel = weights + slot(row, W)
            for _ in range(slot(row, OUTPUT_SIZE)):
                for k in range(0, frame_bytes, REGISTER_BYTES):
                    total = load(panel, LANES)
                    if scaled:
                        total = total * SCALE * SCALE
                    panel += REGISTER_BYTES
                    source = x + k
                    for _ in range(input_size):
                        if scaled:
                            total = multiply_add(load(panel, LANES) * SCALE, load(source, LANES) * SCALE, total)
                        else:
                            total = multiply_add(load(panel, LANES), load(source, LANES), total)
                        panel += REGISTER_BYTES
                        source += frame_bytes
                    if scaled:
                        (total,) = saturate_scaled((total,))
                    watched = watch(watched, (total,))
                    store(y + k, total)
                y += frame_bytes
            x += input_size * frame_bytes
        return has_nan(watched)

    return compute
