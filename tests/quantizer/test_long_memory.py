"""States that hold for thousands of steps through a matrix: rounding to int8 would move its eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from long_memory import complex_recurrence, dense_recurrence

import edgernn
from edgernn.program.operations import Int32StateUpdate
from edgernn.program.program import Program
from edgernn.quantizer import compare, quantize
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

MEMORY = Path(__file__).parents[1] / "models" / "memory"


def slow_signal(rng: np.random.Generator, steps: int) -> np.ndarray:
    """A running sum of noise, centred, (steps, 1)."""
    walk = np.cumsum(rng.normal(size=(steps, 1)) * 0.02, axis=0)
    return np.asarray(walk - walk.mean(axis=0), np.float32)


def noise(rng: np.random.Generator, steps: int) -> np.ndarray:
    return rng.normal(size=(steps, 1)).astype(np.float32)


def magnitudes(rng: np.random.Generator, steps: int) -> np.ndarray:
    return np.abs(noise(rng, steps))


def _state(runner: Runner, program: Program) -> np.ndarray:
    return np.concatenate([np.array(runner.state[slot.name]) for slot in program.state])


def has_matrices(int8: Program) -> bool:
    return any(isinstance(operation, Int32StateUpdate) and operation.matrices for operation in int8.operations)


def error(expected: np.ndarray, actual: np.ndarray) -> float:
    """Root mean square of the difference, as a part of the spread of the signal."""
    return float(np.sqrt(np.mean((expected - actual) ** 2)) / expected.std())


@pytest.mark.parametrize(
    ("name", "signal", "states"),
    [
        ("lmu1000", slow_signal, None),
        ("dense_step", noise, {"hin": "hout"}),
        ("relu_grow", magnitudes, None),
    ],
)
def test_published_shapes_of_long_memory_stay_within_a_percent(
    name: str, signal: Callable[[np.random.Generator, int], np.ndarray], states: dict[str, str] | None
) -> None:
    program = edgernn.load(MEMORY / f"{name}.onnx", states=states)
    X = signal(np.random.default_rng(1), 4000)
    int8 = quantize(program, X)
    assert has_matrices(int8)
    assert error(Runner(program).run(X), Runner(int8).run(X)) < 0.01


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.99, 0.999, 0.9999]), st.booleans())
@example(seed=0, radius=0.9999, is_dense=True)
@example(seed=1, radius=0.9999, is_dense=False)
def test_eigenvalues_near_1_stay_where_they_are(seed: int, radius: float, is_dense: bool) -> None:
    program = (dense_recurrence if is_dense else complex_recurrence)(seed, radius)
    X = noise(np.random.default_rng(seed), 3000)
    int8 = quantize(program, X)
    expected, actual = Runner(program), Runner(int8)
    pairs = []
    for x in X:
        expected.step(x)
        actual.step(x)
        pairs.append(
            [np.concatenate([np.array(run.state[slot.name]) for slot in program.state]) for run in (expected, actual)]
        )
    float_state, int8_state = np.array(pairs).swapaxes(0, 1)
    assert error(float_state, int8_state) < 0.002


@pytest.mark.parametrize("make", [dense_recurrence, complex_recurrence])
def test_back_ends_agree(make: Callable[[int, float], Program]) -> None:
    X = noise(np.random.default_rng(3), 1000)
    int8 = quantize(make(3, 0.999), X)
    beyond = np.concatenate([X, 1000 * X])  # saturates, too
    np.testing.assert_array_equal(Runner(int8).run(beyond), np.asarray(ReferenceRunner(int8).run(beyond)))


def test_short_memory_keeps_int8_weights() -> None:
    int8 = quantize(dense_recurrence(2, 0.5), noise(np.random.default_rng(2), 1000))
    assert not has_matrices(int8)
    assert int8.state[0].dtype == "int16"


def test_int16_states_may_be_asked_for() -> None:
    int8 = quantize(dense_recurrence(2, 0.999), noise(np.random.default_rng(2), 1000), states="s16")
    assert not has_matrices(int8)


def test_the_report_names_what_holds_for_long() -> None:
    program, X = dense_recurrence(2, 0.999), noise(np.random.default_rng(2), 1000)
    report = compare(program, quantize(program, X), X)
    assert report.long_memory == ("sum",)
    assert "long memory: sum" in report.table()
