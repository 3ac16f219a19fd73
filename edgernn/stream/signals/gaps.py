"""What the model gets where samples are missing or hold numbers that are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

GapPolicy = Literal["hold", "interpolate", "reset"]
UNKNOWN = -1  # samples are missing, and nobody knows how many


class Segment(NamedTuple):
    """Samples without a gap.

    Attributes
    ----------
    X : ndarray float32 (n, C)
    reset : bool
        The model is reset before the first of them.
    """

    X: NDArray[np.float32]
    reset: bool


class Gaps:
    """Fills gaps, or resets the model after them. Remembers one sample.

    Parameters
    ----------
    policy : {"hold", "interpolate", "reset"}
        A missing sample repeats the last good one, lies on a line from it to the next, or resets the model.
        A number that is not finite is treated as missing; with "interpolate" the channel holds its last value, because
        the next one is not known yet.
    most : int
        Missing samples in a row that are filled; a longer gap resets the model.

    Attributes
    ----------
    filled, resets : int
        Samples made up, new beginnings asked for.

    Examples
    --------
    >>> gaps = Gaps("interpolate", most=5)
    >>> [segment.X.tolist() for segment in gaps(np.array([[1.0], [4.0]], np.float32), missing=[0, 2])]
    [[[1.0], [2.0], [3.0], [4.0]]]
    """

    def __init__(self, policy: GapPolicy = "hold", most: int = 10) -> None:
        self.policy = policy
        self.most = most
        self.filled = 0
        self.resets = 0
        self._last: NDArray[np.float32] | None = None  # (C,) the last good sample
        self._bad = 0  # samples in a row that were not finite
        self._reset = False  # owed to the next segment

    def __call__(
        self, X: NDArray[np.float32], missing: Sequence[int] | None = None, *, finite: bool = False
    ) -> list[Segment]:
        """Samples (n, C) to segments without gaps.

        `missing` says how many samples are missing before each one, or `UNKNOWN`; `finite`, that all numbers of X are
        known to be finite.
        """
        if not len(X):
            return []
        if missing is None and not self._reset and not self._bad and (finite or np.isfinite(X).all()):
            self._last = X[-1]
            return [Segment(X, False)]
        return self._fill(X, missing or [0] * len(X))

    def outage(self) -> None:
        """An unknown number of samples is missing before the next one."""
        self._reset |= self._last is not None  # before the first sample there is nothing to reset
        self._last = None
        self._bad = 0

    def _fill(self, X: NDArray[np.float32], missing: Sequence[int]) -> list[Segment]:
        segments: list[Segment] = []
        rows: list[NDArray[np.float32]] = []
        is_after_reset = False
        for x, count in zip(X, missing, strict=True):
            made_up = self._sample(x, count)
            if self._reset and made_up:
                if rows:
                    segments.append(Segment(np.array(rows), is_after_reset))
                rows, is_after_reset, self._reset = [], True, False
                self.resets += 1
            rows += made_up
        if rows:
            segments.append(Segment(np.array(rows), is_after_reset))
        return segments

    def _sample(self, x: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
        """What stands for `count` missing samples and `x`; asks for a new beginning where they cannot be filled."""
        finite = np.isfinite(x)
        if count == UNKNOWN or count > self.most or (count and self.policy == "reset"):
            self.outage()
        if not finite.all():
            self._bad += 1
            if self.policy == "reset" or self._bad > self.most:
                self.outage()
            if self._last is None:
                return []
            x = np.where(finite, x, self._last)
            self.filled += 1
        else:
            self._bad = 0
        rows = []
        if count > 0 and self._last is not None:
            share = np.arange(1, count + 1, dtype=np.float32)[:, None] / np.float32(count + 1)  # (count, 1)
            share = share if self.policy == "interpolate" else np.zeros_like(share)
            rows = list((1 - share) * self._last + share * x)  # (count, C)
            self.filled += count
        self._last = x
        return [*rows, x]
