"""Since when channels hold no number, and since when samples are the same: a sensor that is gone, or stuck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_SAME_SAMPLES = 100  # of a sensor that lies still; fewer may be equal by chance


class ChannelWatch:
    """Looks at samples as they are sent.

    Examples
    --------
    >>> watch = ChannelWatch()
    >>> for second in range(4):
    ...     watch.look(np.array([[1.0, np.nan]], np.float32), finite=False, arrival_ns=second * 1_000_000_000)
    >>> watch.missing_since_ns()
    (1, 0)
    """

    def __init__(self) -> None:
        self._missing_since_ns: list[int | None] = []  # for each channel
        self._has_missing = False
        self._row = b""  # the last sample
        self._same = 0  # samples that were equal to it
        self._same_since_ns: int | None = None

    def look(self, X: NDArray[np.float32], *, finite: bool, arrival_ns: int) -> None:
        """Samples (n, C) have arrived; `finite` says that all numbers are known to be finite."""
        if not len(X):
            return
        row = X[-1].tobytes()
        if row == self._row:
            self._same += len(X)
        else:
            self._row, self._same, self._same_since_ns = row, 0, arrival_ns
        if finite and not self._has_missing:
            return
        are_missing = [not np.isfinite(channel).any() for channel in X.T]  # (C,)
        before = self._missing_since_ns or [None] * X.shape[1]
        self._missing_since_ns = [
            (arrival_ns if since_ns is None else since_ns) if is_missing else None
            for since_ns, is_missing in zip(before, are_missing, strict=True)
        ]
        self._has_missing = any(are_missing)

    def forget(self) -> None:
        """What comes next does not continue what came before."""
        self._missing_since_ns, self._has_missing = [], False
        self._row, self._same, self._same_since_ns = b"", 0, None

    def missing_since_ns(self) -> tuple[int, int] | None:
        """The channel that has held no number for the longest, and since when; None if there is none."""
        since = [(ns, channel) for channel, ns in enumerate(self._missing_since_ns) if ns is not None]
        return None if not since else min(since)[::-1]

    def same_since_ns(self) -> int | None:
        """When the last sample that was not like the one before arrived; None if it is not long ago."""
        return self._same_since_ns if self._same >= MIN_SAME_SAMPLES else None
