"""Trained models keep their accuracy as int8 programs: the shipped model on unseen people, against onnxruntime."""

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import edgernn
from edgernn.quantizer import quantize
from edgernn.reference.runner import ReferenceRunner

DATA = Path(str(resources.files("edgernn") / "data"))
CALIBRATION_STEPS = 300  # of each exercise; the rest is what is judged


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    with np.load(DATA / "demo_recording.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def float_scores(recording: dict[str, Any]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(DATA / "demo_model.onnx"), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"samples": recording["samples"][None]})[0])[0]  # (T, 7)


@pytest.mark.parametrize(("operands", "agreement", "loss"), [("w8a16", 0.99, 0.005), ("w8a8", 0.97, 0.015)])
def test_the_shipped_model_keeps_its_accuracy(
    recording: dict[str, Any], float_scores: np.ndarray, operands: Any, agreement: float, loss: float
) -> None:
    samples, starts = recording["samples"], recording["interval_start"]
    calibration = [samples[start : start + CALIBRATION_STEPS] for start in starts]
    int8 = quantize(edgernn.load(DATA / "demo_model.onnx"), calibration, operands=operands)
    scores = ReferenceRunner(int8).run(samples)  # one stream without a reset
    judged, labels = np.zeros(len(samples), bool), np.zeros(len(samples), int)
    for start, stop, label in zip(starts, recording["interval_stop"], recording["interval_label"], strict=True):
        judged[start + CALIBRATION_STEPS : stop] = True
        labels[start:stop] = label
    before, after = float_scores.argmax(axis=1)[judged], scores.argmax(axis=1)[judged]
    assert np.mean(before == after) >= agreement
    assert np.mean(before == labels[judged]) - np.mean(after == labels[judged]) <= loss
