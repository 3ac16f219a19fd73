"""Pooling over time since the reset stays exact over ten million frames."""

from __future__ import annotations

import int8_feature_programs as programs
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from sequence_models import make_model

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations.int8.reductions import REFERENCE_SCALE

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


def integer_scores(course: str) -> NDArray[np.float64]:
    """Scores (STEPS,) that a stream could have for hours."""
    rng, t = np.random.default_rng(1), np.arange(STEPS)
    match course:
        case "noise":
            scores = rng.normal(0, 5000, STEPS)
        case "rising":
            scores = np.linspace(-30_000, 30_000, STEPS)
        case "falling":
            scores = np.linspace(30_000, -30_000, STEPS) + rng.normal(0, 500, STEPS)
        case "jumping":
            scores = 20_000 * np.sign(np.sin(t / 1e5)) + rng.normal(0, 500, STEPS)
        case _:  # one frame that outweighs each other a thousand times
            scores = np.where(t == 0, 32_767, rng.normal(-10_000, 3000, STEPS))
    return np.clip(np.rint(scores), -32_768, 32_767)


@pytest.mark.parametrize("course", ["noise", "rising", "falling", "jumping", "outlier"])
def test_integer_attention_pooling_of_ten_million_frames(course: str) -> None:
    """The sums of integers lose nothing: the result is the nearest integer to that of float64."""
    program = programs.running_softmax(1, CHANNELS, 5.0, bits=4)
    operation = next(operation for operation in program.operations if operation.name == "op")
    octave = operation.multiplier * 2.0**-operation.shift * REFERENCE_SCALE
    scores, rng = integer_scores(course), np.random.default_rng(2)
    runner, total, weighted = edgernn.Runner(program), 0.0, np.zeros(CHANNELS)
    for begin in range(0, STEPS, CHUNK):
        values = rng.integers(-900, 900, (CHUNK, CHANNELS)) + 200 + begin // 50_000
        part = scores[begin : begin + CHUNK]
        last = runner.run(np.concatenate([part[:, np.newaxis], values], axis=1).astype(np.float32))[-1]
        weights = np.exp((part - scores.max()) * octave)
        total, weighted = total + weights.sum(), weighted + weights @ values
        np.testing.assert_allclose(last.ravel(), weighted / total, rtol=0, atol=0.505 / 16)
