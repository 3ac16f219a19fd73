"""How well a model recognizes exercises: votes against true labels, as tables.

**One-second vote.** A person's recordings of one wrist are laid end to end and streamed without a reset. Each recording
is cut into seconds (50 samples) from its first sample; the probabilities of a second are averaged, the largest is the
vote. Every whole second counts, those just after a change of exercise too. *Macro accuracy* is the mean over the seven
exercises of the share of seconds voted right.

**Window vote.** The same model on sliding windows: a fresh state for each window within one recording, a vote from its
last sample, a window every quarter of its length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from watch_data import RATE_HZ, Recording

Scores = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # samples (T, 6) -> probabilities (T, labels)
Confusion = NDArray[np.int64]  # (labels, labels) votes, true label by vote

SECOND = int(RATE_HZ)


def stream_confusion(scores: Scores, recordings: Sequence[Recording], labels: int) -> Confusion:
    """True label by one-second vote, streamed without a reset over all recordings of a person and wrist."""
    confusion = np.zeros((labels, labels), np.int64)
    for _, group in groupby(recordings, key=lambda recording: (recording.person, recording.side)):
        session = list(group)
        probabilities = scores(np.concatenate([recording.samples for recording in session]))  # (T, labels)
        pieces = np.split(probabilities, np.cumsum([len(recording.samples) for recording in session])[:-1])
        for recording, piece in zip(session, pieces, strict=True):
            seconds = len(piece) // SECOND
            votes = piece[: seconds * SECOND].reshape(seconds, SECOND, labels).mean(axis=1).argmax(axis=1)
            np.add.at(confusion, (recording.label, votes), 1)
    return confusion


def recording_confusion(scores: Scores, recording: Mapping[str, NDArray[Any]]) -> Confusion:
    """One-second votes over a demo recording, streamed without a reset."""
    bounds = zip(recording["interval_start"], recording["interval_stop"], recording["interval_label"], strict=True)
    session = [Recording(recording["samples"][start:stop], int(label), 0, 0) for start, stop, label in bounds]
    return stream_confusion(scores, session, len(recording["label_names"]))


def window_confusion(scores: Scores, recordings: Sequence[Recording], labels: int, steps: int) -> Confusion:
    """True label by vote of the last sample of sliding windows, each from a fresh state."""
    confusion = np.zeros((labels, labels), np.int64)
    for recording in recordings:
        for begin in range(0, len(recording.samples) - steps + 1, steps // 4):
            vote = scores(recording.samples[begin : begin + steps])[-1].argmax()
            confusion[recording.label, vote] += 1
    return confusion


def macro_accuracy(confusion: Confusion) -> float:
    """Mean over the true labels of the share that was recognized."""
    return float(np.mean(np.diag(confusion) / confusion.sum(axis=1)))


def print_confusion(title: str, confusion: Confusion, labels: Sequence[str]) -> None:
    """The accuracy and the table of one evaluation."""
    print(f"{title}: macro accuracy {macro_accuracy(confusion):.3f}")
    print("true  " + " ".join(f"{label:>5}" for label in labels))
    for label, row in zip(labels, confusion, strict=True):
        print(f"{label:<5} " + " ".join(f"{count:5d}" for count in row))
