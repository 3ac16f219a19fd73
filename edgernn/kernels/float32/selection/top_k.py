"""The largest or smallest numbers of vectors and where they are.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from math import isnan

from edgernn.kernels.codegen.simd import inline, load_float, load_int, slot, store_float, store_int
from edgernn.kernels.instructions import SelectInstruction, slots

SELECT = slots(SelectInstruction)


@inline
def is_larger(a, b):
    """Whether a comes before b in descending order; NaN comes before every number."""
    return a > b or (isnan(a) and not isnan(b))


@inline
def is_smaller(a, b):
    """Whether a comes before b in ascending order, NaN first, as `is_larger` has it."""
    return a < b or (isnan(a) and not isnan(b))


def build(what, order, ties="first"):
    """The kernel "arg" (one index, of equal numbers the "first" or "last") or "top" for the "largest" or "smallest"."""
    comes_before = {"largest": is_larger, "smallest": is_smaller}[order]
    return _arg(comes_before, ties == "last") if what == "arg" else _top(comes_before)


def _arg(comes_before, is_last):
    def arg(row, weights, state, arena):
        x, indices, size = arena + slot(row, SELECT.x), arena + slot(row, SELECT.indices), slot(row, SELECT.size)
        for _ in range(slot(row, SELECT.rows)):
            best, index = load_float(x), 0
            for k in range(1, size):
                number = load_float(x + 4 * k)
                if comes_before(number, best) or (is_last and not comes_before(best, number)):
                    best, index = number, k
            store_int(indices, index)
            x += 4 * size
            indices += 4
        return 0

    return arg


def _top(comes_before):
    """Insertion into a list of k: equal numbers stay in their order."""

    def top(row, weights, state, arena):
        x, y, indices = arena + slot(row, SELECT.x), arena + slot(row, SELECT.y), arena + slot(row, SELECT.indices)
        size, most = slot(row, SELECT.size), slot(row, SELECT.k)
        for _ in range(slot(row, SELECT.rows)):
            for k in range(size):
                number = load_float(x + 4 * k)
                place = min(k, most)
                while place > 0 and comes_before(number, load_float(y + 4 * (place - 1))):
                    place -= 1
                if place == most:
                    continue
                for behind in range(min(k, most - 1), place, -1):
                    store_float(y + 4 * behind, load_float(y + 4 * (behind - 1)))
                    store_int(indices + 4 * behind, load_int(indices + 4 * (behind - 1)))
                store_float(y + 4 * place, number)
                store_int(indices + 4 * place, k)
            x += 4 * size
            y += 4 * most
            indices += 4 * most
        return 0

    return top
