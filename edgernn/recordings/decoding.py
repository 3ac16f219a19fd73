"""Decoding: the samples in the entries of a recording, with their arrival and label."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.stream.formats import make_format
from edgernn.stream.formats.base import KINDS, Format, Samples
from edgernn.stream.formats.detect import Detected, Detector
from edgernn.stream.formats.needs import Needs
from edgernn.stream.recording import LabelMark, RecordedChunk

MAX_WAITING = 65536  # chunks


class DecodedBlock(NamedTuple):
    """Samples that became complete with one chunk.

    Attributes
    ----------
    values : ndarray float64 (n, width)
        What is not a finite number stands there as NaN.
    monotonic_ns : int
        Arrival of the chunk.
    labels : tuple of str or None
        What was done at each sample.
    sequence, device_time_us : ndarray int64 (n,) or None
        As the board sent them.
    channels, units : tuple of str
        Names of the numbers and their units, if the board sent them.
    """

    values: NDArray[np.float64]
    monotonic_ns: int
    labels: tuple[str | None, ...]
    sequence: NDArray[np.int64] | None
    device_time_us: NDArray[np.int64] | None
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def decode(
    entries: Iterable[RecordedChunk | LabelMark],
    label: str | None = None,
    *,
    needs: Needs | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[DecodedBlock]:
    """The samples of a recording or file; the form of its lines is found out from the first of them.

    `label` holds up to the first mark, or where lines have a column of labels. `needs` is what a model takes of the
    samples, if that is known. What was read and what was not is added to `counts` when the end is reached.

    Raises
    ------
    FormatError
        Numbers come in a form that is not read.

    Examples
    --------
    >>> entries = [LabelMark(0, 0, "wave"), RecordedChunk(5, 0, b"1,2\\n3,4\\n")]
    >>> [(block.values.tolist(), block.labels) for block in decode(entries)]
    [([[1.0, 2.0], [3.0, 4.0]], ('wave', 'wave'))]
    """
    detector = Detector(whole_start=True, needs=needs, patient=True)
    parser: Format | None = None
    found: Detected | None = None
    waiting: list[tuple[RecordedChunk, str | None]] = []  # chunks in which the form was looked for, with their labels
    for entry in itertools.chain(entries, (None,)):
        if isinstance(entry, LabelMark):
            label = entry.label
            continue
        if entry is not None and entry.after_gap and parser is not None:
            parser.resynchronise()
        elif entry is not None and entry.after_gap:
            detector, waiting = Detector(heading=detector.heading, needs=needs, patient=True), []
        if parser is None:
            found = detector.finish() if entry is None else detector.feed(entry.data)
            waiting += [] if entry is None else [(entry, label)]
            if found is None:
                del waiting[:-MAX_WAITING]
                continue
            parser = _parser(detector, found)
            seen = sum(len(chunk.data) for chunk, _ in waiting)
            if seen != len(detector.seen):  # some were forgotten
                waiting = [(waiting[-1][0]._replace(data=bytes(detector.seen)), label)]
        elif entry is not None:
            waiting = [(entry, label)]
        assert found is not None
        for chunk, held in waiting:
            for samples in parser.feed(chunk.data):
                yield _block(samples, chunk, held, found)
        waiting = []
    if parser is not None and counts is not None:
        counts.update(dict(zip(KINDS, parser.counts.tolist(), strict=True)))
        counts.update({f"missing_{cause}": count for cause, count in parser.missing.items()})


def _parser(detector: Detector, found: Detected) -> Format:
    return make_format(
        found.format, found.width, whole_start=detector.whole_start, channels=found.channels, form=found.form
    )


def _block(samples: Samples, chunk: RecordedChunk, label: str | None, found: Detected) -> DecodedBlock:
    sequence, time_us = samples.sequence, samples.device_time_us
    return DecodedBlock(
        samples.values.copy(),
        chunk.monotonic_ns,
        (label,) * len(samples.values) if samples.labels is None else samples.labels,
        None if sequence is None else sequence.copy(),
        None if time_us is None else time_us.copy(),
        found.channels,
        found.units,
    )
