"""Scores to events: moving average, threshold with hysteresis, minimum length, hold-off, a label that means nothing.

Decisions are computed in whole numbers, so that every back end makes the same ones. For each output of the model, with
scores ``s[0..K-1]`` and `DecisionSettings`:

1. ``q[k] = floor(s[k] * 32768 + 0.5)``, limited to ±(2**31 - 1); a score that is not a number counts as 0.
2. ``S[k]`` is the sum of ``q[k]`` over the last ``m`` outputs, this one included, where ``m`` is `smoothing_steps`, or
   the number of outputs since the reset if there were fewer.
3. If a label ``a`` is recognized and ``S[a] < m * R``, with ``R = floor(release * 32768 + 0.5)``, it ends.
4. ``top`` is the first label with the largest sum. It qualifies if it is not the `nothing` label and
   ``S[top] >= m * T``, with ``T = floor(threshold * 32768 + 0.5)``.
5. ``held`` counts the outputs in a row in which the same label qualified: it grows by one, begins at one for another
   label, and is 0 where none qualifies.
6. If the hold-off counter is above 0, it is lowered by one and there is no event. Otherwise, if ``held >=
   minimum_steps`` and ``top`` is not the recognized label, there is an event: ``top`` becomes the recognized label and
   the hold-off counter is set to `hold_off_steps`. The event's score is ``S[top] / (m * 32768)``.

Memory is fixed: a ring of `smoothing_steps` outputs and one 64-bit sum for each label.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError, InputError
from edgernn.kernels.native import native_function
from edgernn.program.metadata import DecisionSettings

ONE = 32768  # the score 1.0
MAX_RING = 1 << 24  # smoothing steps times labels


class Decision(NamedTuple):
    """A label was recognized in an output of the model.

    Attributes
    ----------
    output : int
        Index of the output in the block that was fed.
    label : int
        Index of the label.
    score : float
        Its smoothed score.
    """

    output: int
    label: int
    score: float


class Decider:
    """Turns blocks of scores into decisions; any split into blocks gives the same ones.

    Parameters
    ----------
    settings : DecisionSettings
    labels : sequence of str
        Names of the scores; the decider needs them to find the `nothing` label.

    Raises
    ------
    ConfigError
        The `nothing` label is not among the labels, or the smoothing is too long.

    Examples
    --------
    >>> decider = Decider(DecisionSettings(threshold=0.6, nothing="rest"), ("rest", "wave"))
    >>> decider.feed(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]))
    [Decision(output=1, label=1, score=0.79998779296875)]
    """

    def __init__(self, settings: DecisionSettings, labels: tuple[str, ...]) -> None:
        if settings.nothing is not None and settings.nothing not in labels:
            raise ConfigError(f"decision.nothing is {settings.nothing!r}, the labels are {', '.join(labels)}")
        if settings.smoothing_steps * len(labels) > MAX_RING:
            raise ConfigError(
                f"decision.smoothing_steps is {settings.smoothing_steps}: with {len(labels)} labels at most "
                f"{MAX_RING // len(labels)}"
            )
        self.settings = settings
        self.labels = labels
        self._decide = native_function("stream.decide", 8)
        self._rules = np.array(
            [
                settings.smoothing_steps,
                fixed(settings.threshold),
                fixed(settings.release),
                settings.minimum_steps,
                settings.hold_off_steps,
                -1 if settings.nothing is None else labels.index(settings.nothing),
            ],
            np.int64,
        )  # (6,)
        self._ring = np.zeros((settings.smoothing_steps, len(labels)), np.int32)
        self._sums = np.zeros(len(labels), np.int64)  # (K,)
        self._memory = np.zeros(5, np.int64)  # outputs seen, recognized label, candidate, held, hold-off left
        self._make_room(64)
        self.reset()

    def _make_room(self, outputs: int) -> None:
        """Memory for blocks of so many outputs."""
        self._block = np.zeros((outputs, len(self.labels)), np.float64)
        self._found = np.zeros((outputs, 4), np.int64)  # output, label, sum, m of each decision
        self._block_address = self._block.ctypes.data
        arrays = (self._rules, self._ring, self._sums, self._memory, self._found)
        self._addresses = [array.ctypes.data for array in arrays]

    def reset(self) -> None:
        """Forget all scores."""
        self._ring[...] = 0
        self._sums[...] = 0
        self._memory[...] = (0, -1, -1, 0, 0)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Smoothed scores (K,) of the last output; zeros before the first."""
        outputs = min(int(self._memory[0]), self.settings.smoothing_steps)
        return self._sums / (ONE * max(outputs, 1))

    def feed(self, scores: NDArray[Any]) -> list[Decision]:
        """Decide on a block of scores.

        Parameters
        ----------
        scores : ndarray (n, K)
            One row for each output of the model, in their order.

        Returns
        -------
        list of Decision
        """
        if scores.shape[1:] != self._sums.shape:
            raise InputError(f"scores have shape {scores.shape}, there are {len(self.labels)} labels")
        if len(scores) > len(self._found):
            self._make_room(len(scores))
        self._block[: len(scores)] = scores
        count = self._decide(self._block_address, *scores.shape, *self._addresses)
        return [Decision(output, label, total / (m * ONE)) for output, label, total, m in self._found[:count].tolist()]


def fixed(score: float) -> int:
    """A score as the whole number that decisions are made with."""
    return int(np.floor(score * ONE + 0.5))
