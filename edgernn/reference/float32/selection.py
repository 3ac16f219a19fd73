"""Choices in plain NumPy, of any number type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    ArgMax,
    Shape,
    TopK,
    Where,
)
from edgernn.reference.arguments import Reference

Array = NDArray[np.floating[Any]]


def arg_max(x: Array, last: bool, smallest: bool) -> NDArray[np.int64]:
    """Index of the largest number of the last axis, or the smallest; of equal ones the first, or the last."""
    ordered = -x if smallest else x
    index: NDArray[np.int64] = np.asarray(
        x.shape[-1] - 1 - ordered[..., ::-1].argmax(axis=-1) if last else ordered.argmax(axis=-1)
    )
    return index


def top_k(x: Array, k: int, largest: bool) -> tuple[Array, NDArray[np.int64]]:
    """The k largest numbers of the last axis, or smallest, in order, and where they are; of equal ones the first."""
    indices = np.argsort(-x if largest else x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices


def arg_max_of(x: Array, last: bool, smallest: bool, output_shape: Shape) -> NDArray[np.int64]:
    """`arg_max`, as an array of at least one axis."""
    return arg_max(x, last, smallest).reshape(output_shape)


def where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition is not 0, else b."""
    return np.where(condition != 0, a, b)


OPERATIONS: dict[type, Reference] = {
    ArgMax: arg_max_of,
    TopK: top_k,
    Where: where,
}
