"""The last frames of a sequence, in a ring, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    DelayLine,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.int8.base import operand

Array = NDArray[Any]


def delay_line(
    source: Array, ring: Array, position: Array, length: int, taps: int, dilation: int, int8_storage: bool
) -> Array:
    """Write a frame and give the taps (taps, *frame)."""
    frames = ring.reshape(length, -1)
    frames[position[0]] = operand(source.ravel().astype(np.int64), 8) if int8_storage else source.ravel()
    position[0] = (position[0] + 1) % length
    rows = (position[0] + np.arange(taps) * dilation) % length
    found = frames[rows].reshape(taps, *source.shape)
    return found.astype(np.int64) * 256 if int8_storage else found


OPERATIONS: dict[type, Reference] = {
    DelayLine: delay_line,
}
