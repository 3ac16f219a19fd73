"""Attention pooling, as ONNX graphs: a softmax over time of a score for each frame weights what is summed over time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from onnx import helper
from sequence_models import make_model

from edgernn.importers.onnx.importer import import_model
from edgernn.program.program import Program

CHANNELS, UNITS = 3, 6
SCORES = {
    "plain": [],
    "masked": [  # frames whose first channel is below -1 have no share
        helper.make_node("Slice", ["x", "0", "1", "2"], ["first"]),
        helper.make_node("Less", ["first", "least"], ["is out"]),
        helper.make_node("Where", ["is out", "mask", "plain"], ["masked"]),
    ],
    "distances": [  # 0 at best, with a long tail
        helper.make_node("Mul", ["plain", "plain"], ["squared"]),
        helper.make_node("Neg", ["squared"], ["distances"]),
    ],
}


def pooling(
    scores: Literal["plain", "masked", "distances"] = "plain", heads: int = 1, look_ahead: int = 0, gain: float = 4.0
) -> Program:
    """A convolution, a score of each head for each frame, and the weighted mean of the frames.

    With `look_ahead` the convolution is symmetric.
    """
    rng = np.random.default_rng(5)
    taps = 2 * look_ahead + 1
    weights: dict[str, Any] = {
        "W": (rng.uniform(-1, 1, (UNITS, CHANNELS, taps)) / np.sqrt(taps)).astype(np.float32),
        "S": rng.uniform(-gain, gain, (UNITS, heads)).astype(np.float32),
        "least": np.array(-1.0, np.float32),
        "mask": np.array(-1e9, np.float32),
        **{str(number): np.array([number]) for number in range(4)},
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["by channel"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["by channel", "W"], ["conv"], pads=[look_ahead, look_ahead]),
        helper.make_node("Transpose", ["conv"], ["by time"], perm=[0, 2, 1]),
        helper.make_node("Tanh", ["by time"], ["frames"]),
        helper.make_node("MatMul", ["frames", "S"], ["plain"]),
        *SCORES[scores],
        helper.make_node("Softmax", [scores], ["shares"], axis=1),
        helper.make_node("Unsqueeze", ["shares", "3"], ["of frames"]),
        helper.make_node("Unsqueeze", ["frames", "2"], ["of heads"]),
        helper.make_node("Mul", ["of frames", "of heads"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "1"], ["y"], keepdims=0),
    ]
    return import_model(make_model(nodes, {"x": (1, "time", CHANNELS)}, ["y"], weights)).program
