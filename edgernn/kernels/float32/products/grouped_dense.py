"""A matrix product for each of many groups. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, first_lanes, load, multiply_add, slot, store
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.guard import guard, has_nan, watch
from edgernn.kernels.float32.products.panels import SCALE, rescued
from edgernn.kernels.instructions import GroupedDenseInstruction, slots

GROUPED_DENSE = slots(GroupedDenseInstruction)
LANES = processor().lanes
REGISTER_BYTES = 4 * LANES


def build():
    """The one kernel: groups lie beside each other in registers.

    What it reads and writes behind the last group does not count: the next output replaces it.
    """
    compute = guard(_make)

    def grouped_dense(row, weights, state, arena):
        compute(row, weights, state, arena)
        return 0

    return grouped_dense


def _make(scaled):
    """Bias and weights follow each other in the order in which they are read."""

    def compute(row, weights, state, arena):
        x, y = arena + slot(row, GROUPED_DENSE.x), arena + slot(row, GROUPED_DENSE.y)
        input_size, groups = slot(row, GROUPED_DENSE.input_size), slot(row, GROUPED_DENSE.groups)
        frame_bytes = 4 * groups
        zero = broadcast(0.0, LANES)
        watched = zero
        for _ in range(slot(row, GROUPED_DENSE.rows)):
            panel = weights + slot(row, GROUPED_DENSE.W)
            for _ in range(slot(row, GROUPED_DENSE.output_size)):
                for k in range(0, frame_bytes, REGISTER_BYTES):
                    total = load(panel, LANES)
                    if scaled:
                        small = total * SCALE * SCALE
                    panel += REGISTER_BYTES
                    source = x + k
                    for _ in range(input_size):
                        total = multiply_add(load(panel, LANES), load(source, LANES), total)
                        if scaled:
                            small = multiply_add(load(panel, LANES) * SCALE, load(source, LANES) * SCALE, small)
                        panel += REGISTER_BYTES
                        source += frame_bytes
                    if scaled:
                        (total,) = rescued((total,), (small,))
                    watched = watch(watched, (first_lanes(groups - (k >> 2), total, zero),))
                    store(y + k, total)
                y += frame_bytes
            x += input_size * frame_bytes
        return has_nan(watched)

    return compute
