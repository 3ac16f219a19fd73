"""Nets on people they have not seen keep their accuracy in integers, also at the end of a long stream."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

import edgernn

TOOLS = Path(__file__).parents[2] / "tools"
LIMITS = {"w8a16": (0.99, 0.005), "w8a8": (0.97, 0.015)}  # least agreement, largest loss of accuracy


@pytest.fixture
def int8_accuracy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import int8_accuracy

    return int8_accuracy


@pytest.mark.parametrize("operands", LIMITS)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "fastgrnn", "tcn"])
def test_accuracy_and_agreement(int8_accuracy: ModuleType, cell: str, operands: Any) -> None:
    agreement, loss = LIMITS[operands]
    result = int8_accuracy.measure(cell, operands)
    assert result.recordings == 42
    assert result.float_accuracy > 0.65  # of seven exercises: the net has learned something
    assert result.float_accuracy - result.int8_accuracy <= loss
    assert min(result.agreement, result.agreement_at_begin, result.agreement_at_end) >= agreement


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "tcn"])
def test_the_float_program_is_the_trained_net(int8_accuracy: ModuleType, cell: str) -> None:
    """The oracle of what int8 is measured against: onnxruntime on a whole sequence."""
    path = int8_accuracy.WATCH / f"{cell}.onnx"
    with np.load(int8_accuracy.WATCH / "held_out.npz") as arrays:
        samples = arrays["samples"][:2000]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"samples": samples[None]})
    assert np.abs(edgernn.Runner(edgernn.load(path)).run(samples) - np.asarray(scores)[0]).max() < 1e-4


def test_the_float_program_of_a_written_out_cell_is_the_trained_net(int8_accuracy: ModuleType) -> None:
    path = int8_accuracy.WATCH / "fastgrnn.onnx"
    with np.load(int8_accuracy.WATCH / "held_out.npz") as arrays:
        samples = arrays["samples"][:500]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    runner, h = edgernn.Runner(edgernn.load(path)), np.zeros((1, 32), np.float32)
    for sample in samples:
        scores, h = session.run(None, {"samples": sample[None], "h": h})
        assert np.abs(runner.step(sample) - np.asarray(scores)[0]).max() < 1e-4
