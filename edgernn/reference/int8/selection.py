"""Integer comparisons and choices: ARITHMETIC.md section 6, formula by formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    Int8Compare,
    Int8Where,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.int8.base import (
    Array,
    rescale,
)

TRUTH = 1 << 14

COMPARISONS: dict[str, Callable[[Array, Array], NDArray[Any]]] = {
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}

LOGIC: dict[str, Callable[[Array, Array], NDArray[Any]]] = {
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}


def compare(function: str, a: Array, b: Array, multipliers: Sequence[int], shifts: Sequence[int]) -> Array:
    """2^14 where it holds, else 0."""
    if function in LOGIC:
        return np.where(LOGIC[function](a, b), TRUTH, 0)
    m, s = np.array(multipliers, np.int64), np.array(shifts, np.int64)
    return np.where(COMPARISONS[function](rescale(a, m[0], s[0]), rescale(b, m[1], s[1])), TRUTH, 0)


def where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition is not 0, else b."""
    return np.where(condition != 0, a, b)


OPERATIONS: dict[type, Reference] = {
    Int8Compare: compare,
    Int8Where: where,
}
