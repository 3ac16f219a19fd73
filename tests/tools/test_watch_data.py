"""The training data of the demo model: read by person, varied as other wearers, laid into endless streams."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def watch_data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import watch_data

    return watch_data


def swing(seconds: float, label: int = 0) -> NDArray[np.float32]:
    """A slow movement (N, 6) with gravity on x, another pace for each label."""
    time = np.arange(int(seconds * 50)) / 50.0
    wave = 0.3 * np.sin(2.0 * np.pi * (0.4 + 0.2 * label) * time)
    return np.stack([1.0 + wave, wave, -wave, 2.0 * wave, wave, -wave], axis=1).astype(np.float32)


def test_recordings_are_split_as_they_were_laid_end_to_end(watch_data: ModuleType, tmp_path: Path) -> None:
    first, second = swing(3.0), swing(2.0, label=1)
    np.savez(
        tmp_path / "two.npz",
        samples=np.concatenate([first, second]),
        lengths=[len(first), len(second)],
        label=[0, 1],
        subject=[7, 3],
        side=[1, 0],
        label_names=["PEN", "ABD"],
        channel_names=["ax", "ay", "az", "wx", "wy", "wz"],
    )
    data = watch_data.read_watch_data(tmp_path / "two.npz")
    assert data.people == (3, 7)
    assert [recording.label for recording in data.of_people([7, 3])] == [1, 0]
    (recording,) = data.of_people([7])
    np.testing.assert_array_equal(recording.samples, first)


def test_a_varied_piece_keeps_gravity_and_size_but_is_never_the_same(watch_data: ModuleType) -> None:
    rng = np.random.default_rng(0)
    samples = swing(30.0)
    pieces = [watch_data.vary(samples, 400, rng) for _ in range(100)]
    assert {piece.shape for piece in pieces} == {(400, 6)}
    gravity = np.array([np.linalg.norm(piece[:, :3].mean(axis=0)) for piece in pieces])
    assert np.abs(gravity - 1.0).max() < 0.2
    mirrored = np.mean([piece[:, 0].mean() < 0.0 for piece in pieces])
    assert 0.3 < mirrored < 0.7
    assert not np.array_equal(pieces[0], pieces[1])


def test_a_piece_longer_than_its_recording_is_cut_not_read_beyond_the_end(watch_data: ModuleType) -> None:
    rng = np.random.default_rng(1)
    lengths = [len(watch_data.vary(swing(5.0), 1000, rng)) for _ in range(50)]
    assert all(0.65 * 250 <= length <= 1.45 * 250 for length in lengths)


def test_a_stream_goes_on_where_it_stopped(watch_data: ModuleType) -> None:
    recordings = [watch_data.Recording(swing(30.0, label), label, 1, 0) for label in range(3)]
    whole = watch_data.ExerciseStreams(recordings, 1, np.random.default_rng(2)).next(6000)
    stream = watch_data.ExerciseStreams(recordings, 1, np.random.default_rng(2))
    parts = zip(*(stream.next(200) for _ in range(30)), strict=True)
    for expected, part in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(part), expected)


def test_a_stream_is_made_of_all_exercises_each_4_to_20_seconds_long(watch_data: ModuleType) -> None:
    recordings = [watch_data.Recording(swing(30.0, label), label, 1, 0) for label in range(3)]
    samples, labels, ages = watch_data.ExerciseStreams(recordings, 2, np.random.default_rng(3)).next(6000)
    assert samples.shape == (6000, 2, 6)
    assert labels.shape == ages.shape == (6000, 2)
    assert set(np.unique(labels)) == {0, 1, 2}
    first = np.flatnonzero(ages[:, 0] == 0)  # the first step of each exercise
    lengths = np.diff(first)
    assert len(lengths) >= 5
    assert lengths.min() >= 200
    assert lengths.max() <= 1000
    for begin, length in zip(first, lengths, strict=False):
        np.testing.assert_array_equal(ages[begin : begin + length, 0], np.arange(length))
        assert len(set(labels[begin : begin + length, 0])) == 1
