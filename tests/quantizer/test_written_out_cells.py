"""Recurrences written out in elementwise operations, in integers: also those that hold a state for long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_out_cells import KINDS, written_out

from edgernn.program.file import load_program, save
from edgernn.program.operations import Int32StateUpdate
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

SOAK = 100_000


def recording(steps: int, K: int = 2, seed: int = 1) -> np.ndarray:
    """Steps up and down, each for long, with noise."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.uniform(-1, 1, (steps // 2000 + 1, K)), 2000, axis=0)[:steps]
    return (levels + rng.normal(0, 0.1, (steps, K))).astype(np.float32)


def float64_run(program: Program, X: np.ndarray) -> np.ndarray:
    return np.asarray(ReferenceRunner(program).run(X))


@pytest.mark.parametrize("kind", KINDS)
def test_fast_units_have_16_bits_and_follow_float(kind: str) -> None:
    program, X = written_out(kind, slowness=0.02), recording(2000)
    int8 = quantize(program, X)
    assert int8.state[0].dtype == "int16"
    expected, actual = float64_run(program, X), float64_run(int8, X)
    assert np.abs(expected - actual).max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("kind", KINDS)
def test_slow_units_get_32_bits_and_follow_float(kind: str) -> None:
    program, X = written_out(kind), recording(SOAK)
    int8 = quantize(program, X[::10], states="auto")
    assert int8.state[0].dtype == "int32"
    assert any(isinstance(operation, Int32StateUpdate) for operation in int8.operations)
    expected, actual = Runner(program).run(X), Runner(int8).run(X)
    spread = np.ptp(expected, axis=0)
    assert (np.abs(expected - actual).max(axis=0) < 0.01 * spread).all(), np.abs(expected - actual).max(axis=0) / spread


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_steps_equal_the_reference(kind: str) -> None:
    X = recording(300)
    for states in ("s16", "s32"):
        int8 = quantize(written_out(kind, slowness=0.01), X, states=states)
        assert np.array_equal(np.float32(float64_run(int8, X)), Runner(int8).run(X)), states


def test_a_program_file_keeps_wide_updates(tmp_path: Path) -> None:
    int8 = quantize(written_out("fastgrnn", slowness=0.01), recording(300), states="s32")
    save(int8, tmp_path / "cell.safetensors")
    assert load_program(tmp_path / "cell.safetensors").hash == int8.hash
