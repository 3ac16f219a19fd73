"""Scores: the numbers of a model's output that decisions are made on."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError
from edgernn.program.metadata import Metadata
from edgernn.program.operations import Dequantize, Int8Softmax, Int8Unary, Rearrange, Shape, Softmax, Unary
from edgernn.program.program import Program
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
        port = program.outputs[0]
        self._several = len(program.outputs) > 1
        self._name = port.name
        self._logits = settings.logits
        self._frame_axis = None
        if program.window is not None and program.description.outputs[0].per_frame:
            self._frame_axis = 1 + program.description.outputs[0].time_axis
        frame = frame_shape(program)
        self._frame_size = frame_size = prod(frame)
        if not (settings.logits or settings.raw_scores or _ends_in_probabilities(program)):
            raise ConfigError(
                f"output {port.name} does not come from a Softmax or Sigmoid: give --logits to apply "
                "Softmax, or --raw-scores to decide on its numbers directly"
            )
        self._complement = frame_size == 1 and len(metadata.labels) == 2
        size = 2 if self._complement else frame_size
        self.labels = metadata.labels or tuple(str(k) for k in range(size))
        if len(self.labels) != size:
            complaint = f"there are {len(self.labels)} labels, output {port.name} has {size} scores"
            if frame and len(self.labels) == frame[-1]:
                complaint += (
                    f", {prod(frame[:-1])} rows of {frame[-1]}: decisions need a single row, so export the model with "
                    "the one that counts as its first output"
                )
            raise ConfigError(complaint)

    def __call__(self, outputs: Any) -> NDArray[Any]:
        Y: NDArray[Any] = outputs[self._name] if self._several else outputs
        if self._frame_axis is not None:
            Y = np.take(Y, -1, axis=self._frame_axis)  # the newest frame of each window
        Y = Y.reshape(Y.size // self._frame_size, self._frame_size)  # (m, K), a row for each frame of a step
        if self._complement:
            p = 1 / (1 + np.exp(-Y)) if self._logits else Y  # (m, 1)
            return np.concatenate([1 - p, p], axis=1)
        if self._logits:
            exponentials = np.exp(Y - Y.max(axis=1, keepdims=True))
            scores: NDArray[Any] = exponentials / exponentials.sum(axis=1, keepdims=True)
            return scores
        return Y


def frame_shape(program: Program) -> Shape:
    """Shape of one frame of the first output, without the axis along which a window or a step has several of them."""
    output, shape = program.description.outputs[0], program.outputs[0].shape
    if output.frames == 1 and not (output.per_frame and program.window is not None):
        return shape
    return (*shape[: output.time_axis], *shape[output.time_axis + 1 :])


def _ends_in_probabilities(program: Program) -> bool:
    """Whether the first output is written by a Softmax or Sigmoid, apart from changes of its shape and number type."""
    writers = {name: operation for operation in program.operations for name in operation.outputs}
    operation = writers.get(program.description.outputs[0].value)
    while isinstance(operation, Rearrange | Dequantize) and len(operation.inputs) == 1:
        operation = writers.get(operation.inputs[0])
    match operation:
        case Softmax():
            return not operation.logarithm
        case Unary():
            return operation.function in {"Sigmoid", "HardSigmoid"}
        case Int8Softmax():
            return True
        case Int8Unary():
            return operation.function.function == "Sigmoid"
    return False
