"""Products of all frames with each other, as attention makes them: no tensor of a stream, but what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.streams.values import Signal, TimePairs

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class AttentionScores(TimePairs):
    """Scores of frames with each other: ``scale * queries @ keys + bias``, and with `shares` the softmax of that.

    Its axes are those of the product. `bias` is (..., T, T), or None.
    """

    is_known: ClassVar[bool] = False

    queries: Signal | None = None
    keys: Signal | None = None
    scale: float = 1.0
    bias: Array | None = None
    shares: bool = False


def scores_of(a: Signal, b: Signal, scale: float) -> AttentionScores:
    """The product of frames (..., time, size) with frames (..., size, time)."""
    axes = (*a.axes[:-2], a.axes[-2], b.axes[-1])
    elements = np.zeros((*a.elements.shape[:-2], 1, 1), np.int64)
    return AttentionScores(axes, elements, bases=(), timing=a.timing, queries=a, keys=b, scale=scale)
