"""Brings samples from the rate at which they come to the rate that the model was trained at, by straight lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Resample:
    """Output k lies on the line between the two samples around the time ``k / to_hz``. Remembers one sample.

    Where `to_hz` is lower, vibration above ``to_hz / 2`` folds into the result, as in a sensor without a filter.

    Parameters
    ----------
    from_hz, to_hz : float

    Examples
    --------
    >>> resample = Resample(from_hz=50.0, to_hz=100.0)
    >>> resample(np.array([[0.0], [4.0]], np.float32)).ravel().tolist()
    [0.0, 2.0, 4.0]
    >>> resample(np.array([[8.0]], np.float32)).ravel().tolist()
    [6.0, 8.0]
    """

    def __init__(self, from_hz: float, to_hz: float) -> None:
        self.from_hz = from_hz
        self._ratio = from_hz / to_hz  # samples from one output to the next
        self.reset()

    def reset(self) -> None:
        """Start again with the next sample."""
        self._last: NDArray[np.float32] | None = None  # (1, C)
        self._samples = 0
        self._outputs = 0

    def __call__(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples (n, C) to the outputs (m, C) that they complete; any split gives the same."""
        if not len(X):
            return X
        known = X if self._last is None else np.concatenate([self._last, X])
        first = self._samples - (self._last is not None)  # index of known[0]
        self._samples += len(X)
        self._last = X[-1:].copy()
        stop = int((self._samples - 1) / self._ratio) + 2  # one more than can be complete
        times = np.arange(self._outputs, stop) * self._ratio  # (m + some,) in samples from the first on
        times = times[times <= self._samples - 1]
        self._outputs += len(times)
        before = np.minimum(np.floor(times).astype(np.int64), max(self._samples - 2, 0))  # (m,)
        share = (times - before).astype(np.float32)[:, None]  # (m, 1)
        behind = np.minimum(before + 1, self._samples - 1)
        result: NDArray[np.float32] = (1 - share) * known[before - first] + share * known[behind - first]
        return result
