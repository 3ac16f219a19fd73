"""The whole path without hardware: a recording is played into a virtual serial port and recognized as it arrives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError
from edgernn.stream.events import Event
from edgernn.stream.sources.base import Source
from edgernn.stream.sources.memory import MemorySource
from edgernn.stream.sources.virtual_port import VirtualBoard, VirtualPort, csv_frames
from edgernn.stream.stream import Stream, StreamStatus, open_stream

DATA = Path(__file__).parent / "data"
MODEL = DATA / "demo_model.onnx"
RECORDING = DATA / "demo_recording.npz"


class LabelledInterval(NamedTuple):
    """What a person did from sample `start` up to, not including, sample `stop`."""

    start: int
    stop: int
    label: str


class LabelledRecording(NamedTuple):
    """Samples (N, channels) at `rate_hz`, and what was done when."""

    samples: NDArray[np.float32]
    rate_hz: float
    intervals: tuple[LabelledInterval, ...]


class Played(NamedTuple):
    """What came of playing a recording."""

    events: tuple[Event, ...]
    status: StreamStatus


class Recognition(NamedTuple):
    """What the model made of an interval.

    `after_s` is the time from its start to the first event of its label, None if there was none; `others` are the
    events of other labels in it.
    """

    interval: LabelledInterval
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
        intervals = [LabelledInterval(start, stop, names[label]) for start, stop, label in zip(*columns, strict=True)]
    stop = len(samples) if seconds is None else min(len(samples), int(seconds * rate_hz))
    if stop < 1:
        raise InputError(f"{seconds} s are less than one sample at {rate_hz:g} Hz")
    kept = (interval._replace(stop=min(interval.stop, stop)) for interval in intervals if interval.start < stop)
    return LabelledRecording(samples[:stop], rate_hz, tuple(kept))


@contextmanager
def virtual_device() -> Iterator[tuple[str | Source, Callable[[bytes], object]]]:
    """What to open, and how a board writes to it.

    A pseudo-terminal, opened as any serial port is; where the system has none, a source inside the process.
    """
    if hasattr(os, "openpty"):
        with VirtualPort() as port:
            yield port.device, port.write
    else:
        memory = MemorySource()
        yield memory, memory.write


def play(
    recording: LabelledRecording,
    *,
    speed: float = 1.0,
    on_event: Callable[[Event], None] = lambda event: None,
    on_read: Callable[[Stream], None] = lambda stream: None,
) -> Played:
    """Play a recording into a virtual port and recognize what comes out of it. Ctrl-C ends it early.

    Parameters
    ----------
    recording : LabelledRecording
    speed : float
        Times faster than it was recorded.
    on_event : callable
        Called with each event.
    on_read : callable
        Called with the stream after each read of the port.

    Examples
    --------
    >>> recording = read_recording(seconds=2)
    >>> play(recording, speed=50).status.counts["malformed"]
    0
    """
    events = []
    with (
        virtual_device() as (device, write),
        open_stream(MODEL, device, format="csv", allow_rate=speed != 1.0, reconnect=False) as stream,
    ):
        lines = chain([b"\r\n"], csv_frames(recording.samples))  # a reader trusts only what follows an end of line
        board = VirtualBoard(write, lines, recording.rate_hz * speed)
        board.start()
        bytes_before = None
        with suppress(KeyboardInterrupt):
            for found in stream.reads():
                for event in found:
                    events.append(event)
                    on_event(event)
                on_read(stream)
                if board.done.is_set():
                    if stream.status().bytes == bytes_before:  # nothing came since the last look
                        break
                    bytes_before = stream.status().bytes
        board.stop()
        return Played(tuple(events), stream.status())


def compare(recording: LabelledRecording, events: Sequence[Event], steps: int) -> list[Recognition]:
    """Events against the recording's true labels, as far as the first `steps` samples go."""
    recognitions = []
    for interval in (interval for interval in recording.intervals if interval.start < steps):
        inside = [event for event in events if interval.start <= event.step < interval.stop]
        right = [event.step for event in inside if event.label == interval.label]
        after_s = (right[0] - interval.start) / recording.rate_hz if right else None
        others = tuple(event for event in inside if event.label != interval.label)
        recognitions.append(Recognition(interval, after_s, others))
    return recognitions
