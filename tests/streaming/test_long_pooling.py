"""Pooling over time since the reset stays exact over ten million frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from sequence_models import make_model

import edgernn
from edgernn.importers.onnx.importer import import_model

STEPS, CHUNK = 10_000_000, 1_000_000
CHANNELS = 3


def chunks() -> list[NDArray[np.float32]]:
    """Frames (CHUNK, CHANNELS) far from zero, among which a float32 sum would soon lose everything."""
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((CHUNK, CHANNELS)).astype(np.float32)
    return [frames + np.float32(1000 + part) for part in range(STEPS // CHUNK)]


def pooled(operator: str) -> edgernn.Runner:
    node = helper.make_node(operator, ["x"], ["y"], axes=[1], keepdims=0)
    model = make_model([node], {"x": (1, "time", CHANNELS)}, ["y"], opset=11)
    return edgernn.Runner(import_model(model).program)


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"])
def test_reduction_of_ten_million_frames(operator: str) -> None:
    runner, frames = pooled(operator), chunks()
    last = [runner.run(part)[-1] for part in frames][-1]
    match operator:
        case "ReduceMax":
            expected = np.max([part.max(axis=0) for part in frames], axis=0)
        case "ReduceMin":
            expected = np.min([part.min(axis=0) for part in frames], axis=0)
        case _:
            expected = np.sum([part.sum(axis=0, dtype=np.float64) for part in frames], axis=0)
            expected = expected / STEPS if operator == "ReduceMean" else expected
    np.testing.assert_allclose(last, expected, rtol=2**-23)


def test_attention_pooling_of_ten_million_frames() -> None:
    """``sum(softmax(scores) * values)``; scores of many magnitudes, so that the largest so far changes often."""
    nodes = [
        helper.make_node("Slice", ["x", "0", "1", "2"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=1),
        helper.make_node("Mul", ["shares", "x"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "1"], ["y"], keepdims=0),
    ]
    weights = {name: np.array([int(name)]) for name in ("0", "1", "2")}
    model = make_model(nodes, {"x": (1, "time", CHANNELS)}, ["y"], weights)
    runner = edgernn.Runner(import_model(model).program)
    frames = [part - np.float32(1000) for part in chunks()]
    last = [runner.run(part)[-1] for part in frames][-1]
    scores = np.concatenate([part[:, 0] for part in frames]).astype(np.float64)  # (STEPS,)
    shares = np.exp(scores - scores.max())
    values = np.concatenate(frames)  # (STEPS, CHANNELS)
    expected = (shares[:, None] * values).sum(axis=0) / shares.sum()
    np.testing.assert_allclose(last, expected, rtol=1e-6)
