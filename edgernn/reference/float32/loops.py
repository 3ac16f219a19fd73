"""Frames in and out of the iterations of a Repeat, in plain NumPy; the runner repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    PutFrame,
    TakeFrame,
)
from edgernn.reference.arguments import Reference

Array = NDArray[Any]


def take_frame(source: Array, iteration: int, reverse: bool) -> Array:
    """The iteration's frame out of frames."""
    return np.atleast_1d(source[-1 - iteration if reverse else iteration])


def put_frame(source: Array, collected: Array | None, iteration: int, count: int, reverse: bool) -> Array:
    """What the iterations before have collected, with this one's frame."""
    y = np.zeros((count, *source.shape), source.dtype) if collected is None else collected
    y[count - 1 - iteration if reverse else iteration] = source
    return y


OPERATIONS: dict[type, Reference] = {
    TakeFrame: take_frame,
    PutFrame: put_frame,
}
