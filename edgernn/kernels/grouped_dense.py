"""A matrix product for each of many groups. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.rows import GroupedDenseRow, slots
from edgernn.kernels.simd import load, multiply_add, slot, store
from edgernn.kernels.target import processor

X, Y, W, ROWS, INPUT_SIZE, OUTPUT_SIZE, GROUPS = slots(GroupedDenseRow)
LANES = processor().lanes
REGISTER_BYTES = 4 * LANES


def build():
    """The one kernel: groups lie beside each other in registers.

    What it writes behind the last group, the next output replaces.
    """
    return grouped_dense


def grouped_dense(row, weights, state, arena):
    """Bias and weights follow each other in the order in which they are read."""
    x, y = arena + slot(row, X), arena + slot(row, Y)
    input_size, frame_bytes = slot(row, INPUT_SIZE), 4 * slot(row, GROUPS)
    for _ in range(slot(row, ROWS)):
        panel = weights + slot(row, W)
        for _ in range(slot(row, OUTPUT_SIZE)):
            for k in range(0, frame_bytes, REGISTER_BYTES):
                total = load(panel, LANES)
                panel += REGISTER_BYTES
                source = x + k
                for _ in range(input_size):
                    total = multiply_add(load(panel, LANES), load(source, LANES), total)
                    panel += REGISTER_BYTES
                    source += frame_bytes
                store(y + k, total)
            y += frame_bytes
        x += input_size * frame_bytes
    return 0
