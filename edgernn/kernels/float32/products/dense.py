"""Matrix times vector plus bias, and a function of the result.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, inline, slot, store
from edgernn.kernels.float32.functions import FUNCTIONS
from edgernn.kernels.float32.guard import guard, has_nan, watch
from edgernn.kernels.float32.products.few_rows import make_single_panel_affine
from edgernn.kernels.float32.products.panels import make_affine
from edgernn.kernels.instructions import DenseInstruction, slots

DENSE = slots(DenseInstruction)


def build(form, lanes, function="none"):
    """The kernel for "panels" of `lanes`, or for a "narrow" matrix of up to `lanes` rows.

    Results go through a `function` without constants. One more row would cost little, but the next layer would wait for
    what that row stores and loads.
    """
    make = {"panels": _make_dense, "narrow": _make_single_panel}[form]
    activation = inline(lambda x: x) if function == "none" else _without_constants(FUNCTIONS[function])
    compute = guard(lambda scaled: make(int(lanes), scaled, activation))

    def dense(row, weights, state, arena):
        compute(row, weights, state, arena)
        return 0

    return dense


def _without_constants(function):
    return inline(lambda x: function(x, 0.0, 0.0))


def _make_dense(lanes, scaled, activation):
    affine = make_affine(lanes, 1, scaled)
    register_bytes = 4 * lanes

    def dense(row, weights, state, arena):
        x, y = arena + slot(row, DENSE.x), arena + slot(row, DENSE.y)
        input_size, output_size, panels = (
            slot(row, DENSE.input_size),
            slot(row, DENSE.output_size),
            slot(row, DENSE.panels),
        )
        watched = broadcast(0.0, lanes)
        for _ in range(slot(row, DENSE.rows)):
            panel_W = weights + slot(row, DENSE.W)
            for panel in range(panels):
                sums = affine(panel_W, x, input_size)
                watched = watch(watched, sums)
                panel_W += (1 + input_size) * register_bytes
                # what it writes behind the row's end, the next row replaces
                store(y + register_bytes * panel, activation(sums[0]))
            x += 4 * input_size
            y += 4 * output_size
        return has_nan(watched)

    return dense


def _make_single_panel(lanes, scaled, activation):
    affine = make_single_panel_affine(lanes, scaled)

    def dense(row, weights, state, arena):
        x, y, matrix = arena + slot(row, DENSE.x), arena + slot(row, DENSE.y), weights + slot(row, DENSE.W)
        input_size, output_size = slot(row, DENSE.input_size), slot(row, DENSE.output_size)
        watched = broadcast(0.0, lanes)
        for _ in range(slot(row, DENSE.rows)):
            sums = affine(matrix, x, input_size)
            watched = watch(watched, sums)
            store(y, activation(sums[0]))  # what it writes behind the row's end, the next row replaces
            x += 4 * input_size
            y += 4 * output_size
        return has_nan(watched)

    return dense
