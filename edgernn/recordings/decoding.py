"""Decoding: the samples in the entries of a recording, with their arrival and label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.stream.formats import make_format
from edgernn.stream.formats.base import Format
from edgernn.stream.formats.detect import Detected, Detector
from edgernn.stream.recording import LabelMark, RecordedChunk


class DecodedBlock(NamedTuple):
    """Samples that became complete with one chunk.

    Attributes
    ----------
    values : ndarray float64 (n, width)
        What is not a finite number stands there as NaN.
    monotonic_ns : int
        Arrival of the chunk.
    label : str or None
        What was done when it arrived.
    sequence, device_time_us : ndarray int64 (n,) or None
        As the board sent them.
    channels, units : tuple of str
        Names of the numbers and their units, if the board sent them.
    """

    values: NDArray[np.float64]
    monotonic_ns: int
    label: str | None
    sequence: NDArray[np.int64] | None
    device_time_us: NDArray[np.int64] | None
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def decode(entries: Iterable[RecordedChunk | LabelMark], label: str | None = None) -> Iterator[DecodedBlock]:
    """The samples of a recording; its format is found out from its first bytes.

    `label` holds up to the first mark.

    Examples
    --------
    >>> entries = [LabelMark(0, 0, "wave"), RecordedChunk(5, 0, b"1,2\\n3,4\\n")]
    >>> [(block.values.tolist(), block.label) for block in decode(entries)]
    [([[1.0, 2.0], [3.0, 4.0]], 'wave')]
    """
    detector = Detector(whole_start=True)
    parser: Format | None = None
    found: Detected | None = None
    for entry in entries:
        if isinstance(entry, LabelMark):
            label = entry.label
            continue
        data = entry.data
        if entry.after_gap and parser is None:
            detector = Detector(heading=detector.heading)
        elif entry.after_gap and parser is not None:
            parser.resynchronise()
        if parser is None:
            found = detector.feed(data)
            if found is None:
                continue
            parser = make_format(found.format, found.width, whole_start=detector.whole_start, channels=found.channels)
            data = bytes(detector.seen)
        assert found is not None
        for samples in parser.feed(data):
            sequence, time_us = samples.sequence, samples.device_time_us
            yield DecodedBlock(
                samples.values.copy(),
                entry.monotonic_ns,
                label,
                None if sequence is None else sequence.copy(),
                None if time_us is None else time_us.copy(),
                found.channels,
                found.units,
            )
