"""What moves numbers, of any type, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    ConstantValue,
    Lookup,
    ReadState,
    Rearrange,
    Shape,
    WriteState,
)
from edgernn.reference.arguments import Reference

Array = NDArray[Any]


def rearrange(inputs: list[Array], indices: NDArray[np.int64] | None, shape: Shape) -> Array:
    """All inputs end to end, or their elements by index."""
    joined: Array = np.concatenate([value.ravel() for value in inputs])
    return (joined if indices is None else joined[indices]).reshape(shape)


def read_state(region: Array, shape: Shape, reads_high: bool) -> Array:
    """The content of a state, or its high halves."""
    content: Array = region >> 16 if reads_high else region.copy()
    return content.reshape(shape)


def write_state(source: Array, region: Array) -> tuple[()]:
    """A value becomes the content of a state."""
    region[...] = source.ravel()
    return ()


def constant(weight_name: Array) -> Array:
    """A weight as a value."""
    return weight_name


def lookup(ids: Array, table: Array) -> Array:
    """Rows of a table; ids below 0 count from the end, those outside give the nearest row."""
    counted = np.where(ids < 0, ids + len(table), ids)
    rows: Array = table[np.clip(counted, 0, len(table) - 1)]
    return rows


OPERATIONS: dict[type, Reference] = {
    Rearrange: rearrange,
    ReadState: read_state,
    WriteState: write_state,
    ConstantValue: constant,
    Lookup: lookup,
}
