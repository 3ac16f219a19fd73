"""The watch recordings: people doing shoulder exercises, and endless augmented streams of them for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 50.0
UNITS = ("g", "g", "g", "rad/s", "rad/s", "rad/s")
MIRROR = np.array([-1, 1, 1, 1, -1, -1], np.float32)  # the other wrist: x points the other way, rotations follow


@dataclass(frozen=True)
class Recording:
    """One exercise, repeated by one person with the watch on one wrist."""

    samples: NDArray[np.float32]  # (N, 6) acceleration in g, angular velocity in rad/s
    label: int
    person: int
    side: int


@dataclass(frozen=True)
class WatchData:
    """All recordings with the names of their labels and channels."""

    recordings: tuple[Recording, ...]
    labels: tuple[str, ...]
    channels: tuple[str, ...]

    def of_people(self, people: Sequence[int]) -> tuple[Recording, ...]:
        """The recordings of the people with these numbers, in order of person, side and label."""
        chosen = (recording for recording in self.recordings if recording.person in people)
        return tuple(sorted(chosen, key=lambda recording: (recording.person, recording.side, recording.label)))

    @property
    def people(self) -> tuple[int, ...]:
        """Numbers of all people."""
        return tuple(sorted({recording.person for recording in self.recordings}))


def read_watch_data(path: Path) -> WatchData:
    """Read the recordings, which lie end to end in one .npz file.

    The file holds `samples` (N, 6), and for each recording its `lengths`, `label`, `subject` and `side`, with
    `label_names` and `channel_names`.
    """
    with np.load(path, allow_pickle=False) as file:
        pieces = np.split(file["samples"].astype(np.float32), np.cumsum(file["lengths"])[:-1])
        described = zip(pieces, file["label"], file["subject"], file["side"], strict=True)
        recordings = tuple(
            Recording(samples, int(label), int(who), int(side)) for samples, label, who, side in described
        )
        labels = tuple(str(name) for name in file["label_names"])
        channels = tuple(str(name) for name in file["channel_names"])
    return WatchData(recordings, labels, channels)


class ExerciseStreams:
    """Endless streams of exercises, one after another as in real use, each varied as another wearer would.

    An exercise is a piece of a recording of 4 to 20 s. It may be mirrored to the other wrist, played faster or slower
    (angular velocity follows), turned with the watch on the wrist, scaled and made noisy.

    Parameters
    ----------
    recordings : sequence of Recording
        What to draw from; each label is drawn equally often.
    streams : int
        Streams side by side.
    rng : numpy.random.Generator
        All chance comes from here.
    """

    def __init__(self, recordings: Sequence[Recording], streams: int, rng: np.random.Generator) -> None:
        labels = sorted({recording.label for recording in recordings})
        by_label = [[recording for recording in recordings if recording.label == label] for label in labels]
        self._streams = [_ExerciseStream(by_label, rng) for _ in range(streams)]

    def next(self, steps: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """The next steps of all streams: samples (steps, streams, 6), labels and steps since the last change of
        exercise (steps, streams)."""
        samples, labels, ages = zip(*(stream.next(steps) for stream in self._streams), strict=True)
        return np.stack(samples, axis=1), np.stack(labels, axis=1), np.stack(ages, axis=1)


class _ExerciseStream:
    """One endless stream; what is drawn and not yet taken waits in arrays of equal length."""

    def __init__(self, by_label: list[list[Recording]], rng: np.random.Generator) -> None:
        self._by_label = by_label
        self._rng = rng
        self._samples = np.empty((0, 6), np.float32)
        self._labels = np.empty(0, np.int64)
        self._ages = np.empty(0, np.int64)

    def next(self, steps: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        while len(self._samples) < steps:
            self._extend()
        taken = self._samples[:steps], self._labels[:steps], self._ages[:steps]
        self._samples, self._labels, self._ages = self._samples[steps:], self._labels[steps:], self._ages[steps:]
        return taken

    def _extend(self) -> None:
        candidates = self._by_label[self._rng.integers(len(self._by_label))]
        recording = candidates[self._rng.integers(len(candidates))]
        samples = vary(recording.samples, int(RATE_HZ * self._rng.uniform(4.0, 20.0)), self._rng)
        self._samples = np.concatenate([self._samples, samples])
        self._labels = np.concatenate([self._labels, np.full(len(samples), recording.label)])
        self._ages = np.concatenate([self._ages, np.arange(len(samples))])


def vary(samples: NDArray[np.float32], steps: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A piece of at most `steps` samples as another wearer would have done it."""
    speed = np.exp(rng.uniform(-0.35, 0.35))
    steps = min(steps, int((len(samples) - 1) / speed))
    begin = rng.uniform(0.0, len(samples) - 1 - steps * speed)
    piece = _sample_at(samples, begin + speed * np.arange(steps))  # (steps, 6)
    if rng.random() < 0.5:
        piece = piece * MIRROR
    rotation = _small_rotation(rng)  # (3, 3)
    acceleration = piece[:, :3] @ rotation.T
    angular_velocity = piece[:, 3:] @ rotation.T * speed
    # Gravity keeps its length; what the arm adds to it grows with vigour.
    still = acceleration.mean(axis=0)
    acceleration = still + (acceleration - still) * rng.uniform(0.85, 1.2) + rng.normal(0.0, 0.03, 3)
    angular_velocity = angular_velocity * rng.uniform(0.85, 1.2) + rng.normal(0.0, 0.03, 3)
    varied = np.concatenate([acceleration, angular_velocity], axis=1)
    varied += rng.normal(0.0, 1.0, varied.shape) * np.repeat((0.02, 0.05), 3)
    return varied.astype(np.float32)


def _sample_at(samples: NDArray[np.float32], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation of (N, 6) at fractional positions."""
    below = np.minimum(position.astype(np.int64), len(samples) - 2)
    part = (position - below)[:, None]
    return np.asarray(samples[below] * (1.0 - part) + samples[below + 1] * part)


def _small_rotation(rng: np.random.Generator, about_arm: float = 0.3, across_arm: float = 0.12) -> NDArray[np.float64]:
    """A watch turns around the forearm (x) more than across it; angles are normal, in radians (Rodrigues' formula)."""
    x, y, z = rng.normal(0.0, 1.0, 3) * (about_arm, across_arm, across_arm)
    angle = float(np.sqrt(x * x + y * y + z * z)) + 1e-12
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) / angle  # (3, 3) cross product with the axis
    return np.asarray(np.eye(3) + np.sin(angle) * K + (1.0 - np.cos(angle)) * (K @ K))
