"""Softmax over time in integers: whole models beside float, and the running sums alone beside float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import int8_feature_programs as programs
import numpy as np
import pytest
from numpy.typing import NDArray
from pooling_models import CHANNELS, pooling

import edgernn
from edgernn.program.operations.int8.reductions import REFERENCE_SCALE
from edgernn.program.program import Program
from edgernn.quantizer import compare
from edgernn.reference.runner import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models" / "made"
FRAMES = 2000
MAX_ERRORS = {"w8a16": 0.01, "w8a8": 0.02}  # of the range
MEAN_ERRORS = {"w8a16": 0.001, "w8a8": 0.005}

Array = NDArray[Any]


def samples(steps: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((steps, CHANNELS)).astype(np.float32)


def integers_of(program: Program, operands: Any = "w8a16") -> Program:
    return edgernn.quantize(program, samples(400, 0), operands=operands)


def expect_reference(program: Program, X: Array) -> None:
    expected = ReferenceRunner(program, np.float32).run(X)
    np.testing.assert_array_equal(edgernn.Runner(program).run(X), np.asarray(expected, np.float32))


@pytest.mark.parametrize("operands", MEAN_ERRORS)
@pytest.mark.parametrize("name", ["pool_attention_legacy", "pool_product_legacy"])
def test_models_of_an_exporter(name: str, operands: str) -> None:
    program = edgernn.load(MODELS / f"{name}.onnx")
    int8, X = integers_of(program, operands), samples(20_000, 1)
    y, got = edgernn.Runner(program).run(X), edgernn.Runner(int8).run(X)
    assert np.abs(got - y).max() < MAX_ERRORS[operands] * np.ptp(y)
    expect_reference(int8, X[:300])


@pytest.mark.parametrize("operands", MEAN_ERRORS)
@pytest.mark.parametrize(
    "choice", [{}, {"heads": 3}, {"scores": "masked"}, {"scores": "distances"}, {"gain": 0.05}], ids=str
)
def test_scores_of_all_kinds(choice: dict[str, Any], operands: str) -> None:
    program = pooling(**choice)
    int8, X = integers_of(program, operands), samples(FRAMES, 1)
    y, got = edgernn.Runner(program).run(X), edgernn.Runner(int8).run(X)
    assert np.abs(got - y).mean() < MEAN_ERRORS[operands] * np.ptp(y)
    expect_reference(int8, X[:300])


def test_results_behind_look_ahead() -> None:
    """Each step runs the tail on a copy of the sums; `flush` on the sums themselves."""
    program, X = pooling(look_ahead=2), samples(300, 1)
    int8 = integers_of(program)
    assert int8.tail_steps == 2
    y, runner = edgernn.Runner(program).run(X), edgernn.Runner(int8)
    got = runner.run(X)
    assert np.abs(got - y)[50:].max() < 0.01 * np.ptp(y)
    expect_reference(int8, X)
    at_end = edgernn.Runner(int8.with_tail("flush"))
    assert len(at_end.run(X)) == 0
    np.testing.assert_array_equal(np.array(at_end.flush()), got[-1:])


@pytest.mark.parametrize("look_ahead", [0, 1])
def test_windows_side_by_side(look_ahead: int) -> None:
    """Copies of the sums that begin one after the other, and end with a tail."""
    program, X = integers_of(pooling(look_ahead=look_ahead)), samples(200, 1)
    windows = program.with_window(30, 7)
    assert windows.staggered is not None
    expect_reference(windows, X)
    for window, begin in zip(edgernn.Runner(windows).run(X), range(0, 170, 7), strict=False):
        np.testing.assert_array_equal(window, edgernn.Runner(program).run(X[begin : begin + 30])[-1])


def test_a_snapshot_goes_on_with_the_same_integers() -> None:
    program, X = integers_of(pooling(heads=2)), samples(200, 1)
    whole, first, second = (edgernn.Runner(program) for _ in range(3))
    first.run(X[:100])
    second.restore(first.snapshot())
    np.testing.assert_array_equal(second.run(X[100:]), whole.run(X)[100:])


def test_states_have_the_meaning_of_float() -> None:
    """The reference is a score, and weighted / total the result."""
    program, X = pooling(), samples(500, 1)
    int8 = integers_of(program)
    runner, float_runner = edgernn.Runner(int8), edgernn.Runner(program)
    y, expected = runner.run(X)[-1], float_runner.run(X)[-1]
    largest, total, weighted = (np.asarray(runner.state[slot.name], np.float64) for slot in int8.state)
    np.testing.assert_allclose(weighted / total, y.ravel(), atol=1e-4)
    np.testing.assert_allclose(weighted / total, expected.ravel(), atol=0.01)
    sums = [np.asarray(float_runner.state[slot.name], np.float64) for slot in program.state]
    np.testing.assert_allclose(np.log(total) + largest, np.log(sums[1]) + sums[0], atol=0.01)


def test_the_report_compares_what_means_the_same() -> None:
    program = edgernn.load(MODELS / "pool_attention_legacy.onnx")
    report = compare(program, integers_of(program), samples(100, 1))
    assert list(report.state_drift) == ["/gru/GRU_output_0.h"]
    (pooled,) = (layer for layer in report.layers if layer.kind == "Int8RunningSoftmax")
    assert pooled.signal_to_noise_db > 50


# ---- the operation alone: integers in, integers out, beside float64


def exact(program: Program, scores: Array, values: Array) -> Array:
    """Running weighted means (T, N) of values (T, N), in float64."""
    operation = next(operation for operation in program.operations if operation.name == "op")
    scale = operation.multiplier * 2.0**-operation.shift * REFERENCE_SCALE
    logarithms = np.logaddexp.accumulate(scores * scale)  # of the sums of exponentials so far
    y = np.empty(values.shape)
    sums = np.zeros(values.shape[1])
    for t in range(len(scores)):
        decay = np.exp(logarithms[t - 1] - logarithms[t]) if t else 0.0
        sums = sums * decay + np.exp(scores[t] * scale - logarithms[t]) * values[t]
        y[t] = sums
    return y


def rising(steps: int) -> Array:
    return np.linspace(-32000, 32000, steps)


def falling(steps: int) -> Array:
    return np.linspace(32000, -32000, steps)


def jumping(steps: int) -> Array:
    return 16000 * np.sign(np.sin(np.arange(steps) / 300.0))


def noise(steps: int) -> Array:
    return np.random.default_rng(3).normal(0, 6000, steps)


@pytest.mark.parametrize("octaves", [0.5, 20.0, 300.0, 30_000.0])
@pytest.mark.parametrize("course", [rising, falling, jumping, noise])
def test_the_sums_alone(course: Any, octaves: float) -> None:
    """Scores that rise, fall and jump by hundreds of octaves: the result stays that of float64."""
    program, steps = programs.running_softmax(1, 4, octaves, bits=2), 20_000
    scores = np.clip(np.rint(course(steps)), -32768, 32767)
    values = np.random.default_rng(1).integers(-3000, 3000, (steps, 4)) + 4000
    got = edgernn.Runner(program).run(np.concatenate([scores[:, None], values], axis=1).astype(np.float32))
    error = np.abs(got.reshape(steps, 4) - exact(program, scores, values))
    assert error.max() < 0.3  # half a unit of the result is 0.125, of values that spread over 6000
