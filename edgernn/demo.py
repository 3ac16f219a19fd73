"""The whole path without hardware: a recording is played into a virtual serial port and recognised as it arrives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError
from edgernn.pipeline import Event
from edgernn.sources.base import Source
from edgernn.sources.memory import MemorySource
from edgernn.sources.virtual_port import Board, VirtualPort, csv_frames
from edgernn.stream import Stream, open_stream

DATA = Path(__file__).parent / "data"
MODEL = DATA / "demo_model.onnx"
RECORDING = DATA / "demo_recording.npz"


class Interval(NamedTuple):
    """What a person did from sample `start` up to, not including, sample `stop`."""

    start: int
    stop: int
    label: str


class LabelledRecording(NamedTuple):
    """Samples (N, channels) at `rate_hz`, and what was done when."""

    samples: NDArray[np.float32]
    rate_hz: float
    intervals: tuple[Interval, ...]


class Recognition(NamedTuple):
    """What the model made of an interval.

    `after_s` is the time from its start to the first event of its label, None if there was none; `others` are the
    events of other labels in it.
    """

    interval: Interval
    after_s: float | None
    others: tuple[Event, ...]


def read_recording(seconds: float | None = None) -> LabelledRecording:
    """The recording in the package, or its first `seconds`.

    Raises
    ------
    InputError
        `seconds` is shorter than one sample.
    """
    with np.load(RECORDING, allow_pickle=False) as arrays:
        rate_hz = float(arrays["rate_hz"])
        samples = arrays["samples"]
        names = arrays["label_names"].tolist()
        columns = (arrays[f"interval_{what}"].tolist() for what in ("start", "stop", "label"))
        intervals = [Interval(start, stop, names[label]) for start, stop, label in zip(*columns, strict=True)]
    stop = len(samples) if seconds is None else min(len(samples), int(seconds * rate_hz))
    if stop < 1:
        raise InputError(f"{seconds} s are less than one sample at {rate_hz:g} Hz")
    kept = (interval._replace(stop=min(interval.stop, stop)) for interval in intervals if interval.start < stop)
    return LabelledRecording(samples[:stop], rate_hz, tuple(kept))


@contextmanager
def virtual_device(frames: Iterator[bytes], rate_hz: float) -> Iterator[tuple[str | Source, Callable[[], int | None]]]:
    """A board that sends `frames`: what to open, and a function that gives the number of bytes once all are sent.

    A pseudo-terminal, opened as any serial port is; where the system has none, a source inside the process.
    """
    sent_bytes = 0
    port = VirtualPort() if hasattr(os, "openpty") else None
    memory = MemorySource()

    def write(data: bytes) -> None:
        nonlocal sent_bytes
        if port is None:
            memory.write(data)
            sent_bytes += len(data)
        else:
            sent_bytes += port.write(data)

    board = Board(write, frames, rate_hz)
    board.start()
    try:
        yield memory if port is None else port.device, lambda: sent_bytes if board.done.is_set() else None
    finally:
        board.stop()
        if port is not None:
            port.close()


def play(
    recording: LabelledRecording,
    *,
    speed: float = 1.0,
    on_event: Callable[[Event], None] = lambda event: None,
    on_read: Callable[[Stream], None] = lambda stream: None,
) -> list[Event]:
    """Play a recording into a virtual port and recognise what comes out of it.

    Parameters
    ----------
    recording : LabelledRecording
    speed : float
        Times faster than it was recorded.
    on_event : callable
        Called with each event.
    on_read : callable
        Called with the stream after each read of the port.

    Returns
    -------
    list of Event

    Examples
    --------
    >>> events = play(read_recording(seconds=5), speed=50)
    >>> events[0].label == read_recording().intervals[0].label
    True
    """
    events = []
    frames = csv_frames(recording.samples)
    with virtual_device(frames, recording.rate_hz * speed) as (device, sent_bytes):
        stream = open_stream(MODEL, device, format="csv", allow_rate=speed != 1.0, reconnect=False)
        with stream:
            for found in stream.reads():
                for event in found:
                    events.append(event)
                    on_event(event)
                on_read(stream)
                all_bytes = sent_bytes()
                if all_bytes is not None and stream.status().bytes >= all_bytes:
                    break
    return events


def compare(recording: LabelledRecording, events: list[Event]) -> list[Recognition]:
    """Events against the recording's true labels."""
    recognitions = []
    for interval in recording.intervals:
        inside = [event for event in events if interval.start <= event.step < interval.stop]
        right = [event.step for event in inside if event.label == interval.label]
        after_s = (right[0] - interval.start) / recording.rate_hz if right else None
        others = tuple(event for event in inside if event.label != interval.label)
        recognitions.append(Recognition(interval, after_s, others))
    return recognitions
