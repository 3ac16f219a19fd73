"""Nets with convolutions, pooling, norms, attention and ids in integers: close to float, and the same when compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unquantized_programs import PROGRAMS, convolutions, recording, sample

import edgernn
from edgernn.quantizer import compare, quantize
from edgernn.reference.runner import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models" / "torch"
MAX_ERRORS = {"convolutions": 0.005, "attention": 0.02, "ids": 0.001, "repeated": 0.01}  # error, of the range


@pytest.mark.parametrize("name", PROGRAMS)
def test_integers_follow_float(name: str) -> None:
    program, X = PROGRAMS[name](), sample(name)
    int8 = quantize(program, X)
    expected, actual = ReferenceRunner(program).run(X), ReferenceRunner(int8).run(X)
    close = np.abs(expected - actual) < MAX_ERRORS[name] * np.ptp(expected)
    assert close.mean() > (0.99 if name == "attention" else 0.9999)  # a choice may fall the other way


@pytest.mark.parametrize("operands", ["w8a16", "w8a8"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_integers_are_those_of_the_reference(name: str, operands: Any) -> None:
    X = sample(name)
    int8 = quantize(PROGRAMS[name](), X, operands=operands)
    expected = ReferenceRunner(int8, np.float32).run(X)
    assert np.array_equal(np.asarray(expected, np.float32), edgernn.Runner(int8).run(X))


@pytest.mark.parametrize("name", PROGRAMS)
def test_windows_begin_with_the_padding_of_the_rings(name: str) -> None:
    X = sample(name)[:120]
    int8 = quantize(PROGRAMS[name](), X)
    windows = ReferenceRunner(int8.with_window(20, 6), np.float32).run(X)
    assert np.array_equal(np.asarray(windows, np.float32), edgernn.Runner(int8.with_window(20, 6)).run(X))
    for window, begin in zip(windows, range(0, 100, 6), strict=False):
        assert np.array_equal(window, ReferenceRunner(int8, np.float32).run(X[begin : begin + 20]))


def test_the_report_leaves_out_steps_without_outputs() -> None:
    program, X = convolutions(), recording(200)
    report = compare(program, quantize(program, X), X)
    assert report.frames == 100
    assert {"conv", "depth", "mean"} <= {layer.name for layer in report.layers}
    assert all(layer.signal_to_noise_db > 40 for layer in report.layers)
    assert max(drift for name, drift in report.state_drift.items() if name != "total") < 0.1


@pytest.mark.parametrize("states", ["s16", "s32"])
def test_windows_of_a_bidirectional_cell_begin_with_its_first_state(states: Any) -> None:
    program = edgernn.load(MODELS / "lstm_l1_bi_tm_legacy.onnx")
    X = np.random.default_rng(3).standard_normal((200, program.inputs[0].size)).astype(np.float32)
    int8 = quantize(program, X, states=states)
    expected = ReferenceRunner(program).run(X)
    integers, compiled = ReferenceRunner(int8, np.float32).run(X), edgernn.Runner(int8).run(X)
    for name, frames in expected.items():
        assert np.abs(frames - integers[name]).max() < 0.02
        assert np.array_equal(np.asarray(integers[name], np.float32), compiled[name])
