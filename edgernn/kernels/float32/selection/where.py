"""One of two numbers for each element.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import load, slot, store, where_equal
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import WhereInstruction, slots

WHERE = slots(WhereInstruction)
LANES = processor().lanes


def build(what):
    """The kernel called `what`."""
    return {"where": where}[what]


def where(row, weights, state, arena):
    """Whole registers are computed: values have room behind their end."""
    condition, y = arena + slot(row, WHERE.condition), arena + slot(row, WHERE.y)
    a, b = arena + slot(row, WHERE.a), arena + slot(row, WHERE.b)
    for k in range(0, 4 * slot(row, WHERE.size), 4 * LANES):
        store(y + k, where_equal(load(condition + k, LANES), 0.0, load(b + k, LANES), load(a + k, LANES)))
    return 0
