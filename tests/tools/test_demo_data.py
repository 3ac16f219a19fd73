"""The shipped model and recording: what they claim, and that the model recognizes the recording as streamed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

import edgernn

DATA = Path(str(resources.files("edgernn") / "data"))
MODEL = DATA / "demo_model.onnx"
RECORDING = DATA / "demo_recording.npz"
TRAINED_ACCURACY = 0.971  # what tools/train_demo.py printed for the demo recording

Recording = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def recording() -> Recording:
    with np.load(RECORDING, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def expected(recording: Recording) -> NDArray[np.float32]:
    """Probabilities (N, labels) that onnxruntime gives on the whole recording."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"samples": recording["samples"][None]})[0])[0]


def vote_accuracy(probabilities: NDArray[np.float32], recording: Recording) -> float:
    """Mean over the labels of the share of seconds whose averaged probabilities are largest for the true label."""
    second = int(recording["rate_hz"])
    right: dict[int, list[bool]] = {}
    bounds = zip(recording["interval_start"], recording["interval_stop"], recording["interval_label"], strict=True)
    for start, stop, label in bounds:
        for begin in range(start, stop - second + 1, second):
            vote = probabilities[begin : begin + second].mean(axis=0).argmax()
            right.setdefault(int(label), []).append(bool(vote == label))
    return float(np.mean([np.mean(votes) for votes in right.values()]))


def test_the_files_are_small_and_the_net_has_at_most_10000_weights() -> None:
    assert MODEL.stat().st_size < 64_000
    assert RECORDING.stat().st_size < 300_000
    initializers = onnx.load(MODEL).graph.initializer
    assert 1_000 < sum(int(np.prod(tensor.dims)) for tensor in initializers) <= 10_000


def test_model_and_recording_name_the_same_labels_channels_and_rate(recording: Recording) -> None:
    properties = {entry.key: entry.value for entry in onnx.load(MODEL).metadata_props}
    metadata = edgernn.Metadata.from_properties(properties)
    assert metadata.labels == tuple(recording["label_names"])
    assert metadata.channels == tuple(recording["channel_names"])
    assert len(metadata.units) == len(metadata.channels)
    assert metadata.rate_hz == recording["rate_hz"] == 50.0
    assert metadata.window_steps == 200
    assert metadata.decision.threshold > 1.0 / len(metadata.labels)


def test_the_recording_is_clean_and_its_intervals_cover_all_labels_and_samples(recording: Recording) -> None:
    samples, start, stop = recording["samples"], recording["interval_start"], recording["interval_stop"]
    assert samples.dtype == np.float32
    assert samples.shape == (stop[-1], 6)
    assert np.isfinite(samples).all()
    assert start[0] == 0
    np.testing.assert_array_equal(start[1:], stop[:-1])
    assert sorted(recording["interval_label"]) == list(range(len(recording["label_names"])))
    assert 120 <= len(samples) / recording["rate_hz"] <= 180
    # Arms move slowly: most of what is measured is gravity, so the unit is g.
    assert np.median(np.linalg.norm(samples[:, :3], axis=1)) == pytest.approx(1.0, abs=0.1)


def test_the_model_recognizes_the_recording_as_well_as_when_it_was_trained(
    recording: Recording, expected: NDArray[np.float32]
) -> None:
    np.testing.assert_allclose(expected.sum(axis=1), 1.0, atol=1e-5)
    assert vote_accuracy(expected, recording) == pytest.approx(TRAINED_ACCURACY, abs=0.01)


def test_edgernn_streams_the_recording_as_onnxruntime_sees_it_whole(
    recording: Recording, expected: NDArray[np.float32]
) -> None:
    program = edgernn.load(MODEL)
    assert program.mode == "continuous"
    probabilities = edgernn.Runner(program).run(recording["samples"])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert vote_accuracy(probabilities, recording) == vote_accuracy(expected, recording)
