"""Scores: the numbers of a model's output that decisions are made on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError
from edgernn.program.metadata import Metadata
from edgernn.program.program import Program
from edgernn.program.scores import has_complement, label_mismatch, makes_probabilities, score_layout
from edgernn.stream.config import StreamSettings


class Scores:
    """Takes the scores (m, K) of decisions from the outputs of a model.

    Raises
    ------
    ConfigError
        The model does not end in probabilities and the settings do not say what its numbers are, or the labels do not
        fit.
    """

    def __init__(self, program: Program, metadata: Metadata, settings: StreamSettings) -> None:
        port, self._layout = program.outputs[0], score_layout(program)
        self._several = len(program.outputs) > 1
        self._name = port.name
        self._logits = settings.logits
        if not (settings.logits or settings.raw_scores or makes_probabilities(program)):
            raise ConfigError(
                f"output {port.name} does not come from a Softmax or Sigmoid: give --logits to apply "
                "Softmax, or --raw-scores to decide on its numbers directly"
            )
        self._complement = has_complement(self._layout.size, len(metadata.labels))
        size = 2 if self._complement else self._layout.size
        self.labels = metadata.labels or tuple(str(k) for k in range(size))
        complaint = label_mismatch(program, self.labels)
        if complaint is not None:
            raise ConfigError(complaint)

    def __call__(self, outputs: Any) -> NDArray[Any]:
        Y: NDArray[Any] = outputs[self._name] if self._several else outputs
        layout = self._layout
        if layout.newest_only:
            Y = np.take(Y, -1, axis=1 + layout.axis)  # the newest frame of each window
        Y = Y.reshape(Y.size // layout.size, layout.size)  # (m, K), a row for each frame
        if self._complement:
            p = 1 / (1 + np.exp(-Y)) if self._logits else Y  # (m, 1)
            return np.concatenate([1 - p, p], axis=1)
        if self._logits:
            exponentials = np.exp(Y - Y.max(axis=1, keepdims=True))
            scores: NDArray[Any] = exponentials / exponentials.sum(axis=1, keepdims=True)
            return scores
        return Y
