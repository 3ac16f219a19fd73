"""Frames without the mean of them all, squared: what a variance over time is the mean of.

No frame's own is known before the end, but their mean is: with the means m of the frames so far, it is that of
``(x[t] - m[t - 1]) (x[t] - m[t])``. Source: B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares
and Products", Technometrics 4(3), 1962.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor


@dataclass(frozen=True, eq=False)
class Deviations(Signal):
    """Frames without the mean of them all; `elements` are of the frames, and `mean` is that of all up to each."""

    is_known: ClassVar[bool] = False

    mean: Signal
    is_squared: bool = False

    def unknown(self) -> NeedsWindowError:
        return NeedsWindowError(
            "the mean of the whole sequence is taken from each frame, so the end of the sequence is needed before its "
            "beginning"
        )

    def frames(self) -> Signal:
        """The frames as they are."""
        return Signal(self.axes, self.elements, bases=self.bases, timing=self.timing)


def deviations(builder: ProgramBuilder, x: Tensor, mean: Tensor) -> Deviations | None:
    """What ``x - mean`` is, where that is the mean of x over time; None where it is something else."""
    if not isinstance(x, Signal) or not isinstance(mean, Signal) or len(mean.bases) != 1 or mean.rank > x.rank:
        return None
    if mean.bases[0] not in builder.findings.running_means:
        return None
    source, running = builder.findings.running_means[mean.bases[0]]
    if x.timing != source.timing or x.bases != source.bases or x.elements.size != source.elements.size:
        return None
    order = np.argsort(source.elements.ravel())  # where each number of the value lies in the mean
    places = np.searchsorted(source.elements.ravel()[order], x.elements).clip(max=order.size - 1)
    own = order[places]
    shape = (1,) * (x.rank - mean.rank) + mean.elements.shape
    if (source.elements.ravel()[own] != x.elements).any() or shape != x.elements.shape:
        return None
    if (mean.elements.reshape(shape) != own).any():
        return None
    return Deviations(
        x.axes, x.elements, bases=x.bases, timing=x.timing, mean=replace(running, axes=x.axes, elements=own)
    )


def squared(x: Tensor, other: Tensor) -> Deviations | None:
    """The squares of deviations, where `other` is x itself, or an exponent of 2; None where it is something else."""
    if not isinstance(x, Deviations) or x.is_squared:
        return None
    is_two = isinstance(other, Constant) and other.elements.size == 1 and other.elements.dtype.kind in "fiu"
    if other is not x and not (is_two and other.elements.item() == 2):
        return None
    return replace(x, is_squared=True)
