"""The largest or smallest int16 of vectors and where they are. Imports Numba: loaded only to compile."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import int16_at, int32_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import SelectInstruction, slots

SELECT = slots(SelectInstruction)


def build(what, order, ties="first"):
    """The kernel "arg" (one index, of equal numbers the "first" or "last") or "top" for the "largest" or "smallest"."""
    return _arg(order == "largest", ties == "last") if what == "arg" else _top(order == "largest")


def _arg(is_largest, is_last):
    def arg(row, weights, state, arena):
        x, indices = int16_at(arena + slot(row, SELECT.x)), int32_at(arena + slot(row, SELECT.indices))
        size, first = slot(row, SELECT.size), 0
        for index in range(slot(row, SELECT.rows)):
            best = 0
            for k in range(1, size):
                number, before = x[first + k], x[first + best]
                better = number > before if is_largest else number < before
                if better or (is_last and number == before):
                    best = k
            indices[index] = best
            first += size
        return 0

    return arg


def _top(is_largest):
    """Each is the best of those that come after the one before it; of equal ones the first."""

    def top(row, weights, state, arena):
        x, y = int16_at(arena + slot(row, SELECT.x)), int16_at(arena + slot(row, SELECT.y))
        indices = int32_at(arena + slot(row, SELECT.indices))
        size, most, first, to = slot(row, SELECT.size), slot(row, SELECT.k), 0, 0
        for _ in range(slot(row, SELECT.rows)):
            for rank in range(most):
                best = -1
                for k in range(size):
                    own = x[first + k]
                    if rank > 0:
                        before = y[to + rank - 1]
                        taken = own > before if is_largest else own < before
                        if taken or (own == before and k <= indices[to + rank - 1]):
                            continue
                    if best < 0 or (own > x[first + best] if is_largest else own < x[first + best]):
                        best = k
                y[to + rank] = x[first + best]
                indices[to + rank] = best
            first += size
            to += most
        return 0

    return top
