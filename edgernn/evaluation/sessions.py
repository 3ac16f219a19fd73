"""Sessions: labelled recordings from every kind of file that holds them.

======================  ==============================================================================================
file                    where the labels are
======================  ==============================================================================================
recording of edgernn    marks between the bytes, or one label for all of it
``.npz``                ``samples`` (N, channels), ``label_names`` and either ``lengths`` (R,) and ``label`` (R,) for
                        recordings laid end to end, or ``interval_start``, ``interval_stop``, ``interval_label``, or
                        ``label`` (N,); ``rate_hz`` if it is there
``.csv``                a heading and a column ``label``; or, beside ``monday.csv``, a file ``monday.labels.csv`` with
                        the columns ``start``, ``stop`` (samples from 0, stop not included) and ``label``. A column
                        ``time_s``, ``time_ms``, ``time_us``, or ``timestamp`` in milliseconds, is no channel and
                        gives the rate
======================  ==============================================================================================
"""

from __future__ import annotations

import contextlib
import csv
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import FormatError, InputError
from edgernn.recordings.decoding import decode
from edgernn.recordings.report import DEFAULT_READING, Reading, ReadReport
from edgernn.recordings.sample_file import file_entries, read_report
from edgernn.stream.formats.names import are_made_up, clock_columns, places_without_clock, time_unit_us
from edgernn.stream.recording import LabelMark, RecordingReader, is_recording
from edgernn.stream.sources.base import Chunk

MAX_BYTES = 1 << 30
BLOCK_SAMPLES = 64  # of an array that are streamed together

Label = str | None
OnReport = Callable[[ReadReport], None]


class Piece(NamedTuple):
    """Bytes, or samples (n, channels), that arrived together, and what was done meanwhile; None if that is unknown.

    `input_name` is that of an input to which they belong, in sessions of several recordings.
    """

    data: Chunk | NDArray[np.float64]
    label: Label
    input_name: str | None = None


class Session(NamedTuple):
    """What is streamed without a reset.

    Attributes
    ----------
    name : str
    rate_hz : float or None
        Samples a second, if the file says it.
    pieces : callable
        Gives an iterator over the pieces; may be called again.
    channels, units : tuple of str
        Names of the numbers in arrays of samples and their units, if the file says them.
    inputs : tuple of str
        Names of the inputs to which the pieces belong; empty in sessions of one recording.
    """

    name: str
    rate_hz: float | None
    pieces: Callable[[], Iterator[Piece]]
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def read_sessions(
    path: Path, *, reading: Reading = DEFAULT_READING, on_report: OnReport | None = None
) -> list[Session]:
    """The labelled recordings in a file. `on_report` is called with what was read of a table, and what was not.

    Raises
    ------
    InputError
        It holds no samples or no labels, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("x,label\\n1,rest\\n2,wave\\n3,wave\\n")
    ...     file.flush()
    ...     session, = read_sessions(Path(file.name))
    >>> [(piece.data.tolist(), piece.label) for piece in session.pieces()]
    [([[1.0]], 'rest'), ([[2.0], [3.0]], 'wave')]
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, a labelled recording has at most {MAX_BYTES}")
    if path.suffix == ".npz":
        return _read_archive(path)
    if not is_recording(path):
        return [_read_table(path, reading, on_report)]
    if on_report is not None:
        report = read_report(path)
        report.expect_few_dropped(reading)
        on_report(report)
    return [_recorded(path)]


def joined_session(recordings: Mapping[str, Path]) -> Session:
    """Recordings of edgernn that were made at the same time on one machine, by the input that each belongs to.

    A label holds for all of them, whichever it stands in.

    Raises
    ------
    InputError
        One is not a recording of edgernn.
    """
    for path in recordings.values():
        if not is_recording(path):
            raise InputError(f"{path} is not a recording of edgernn: only these say when each sample came")
    name = "+".join(path.name for path in recordings.values())
    return Session(name, None, lambda: _recorded_pieces(recordings), inputs=tuple(recordings))


def _recorded(path: Path) -> Session:
    return Session(path.name, None, lambda: (piece._replace(input_name=None) for piece in _recorded_pieces({"": path})))


def _recorded_pieces(recordings: Mapping[str, Path]) -> Iterator[Piece]:
    """The bytes of recordings in the order of their arrival."""
    with contextlib.ExitStack() as stack:
        try:
            readers = {}
            for name, path in recordings.items():
                readers[name] = RecordingReader(path)
                stack.callback(readers[name].close)
            label = next((reader.info.label for reader in readers.values() if reader.info.label is not None), None)
            entries = [zip(reader.entries(), repeat(name)) for name, reader in readers.items()]
            for entry, name in heapq.merge(*entries, key=lambda pair: pair[0].monotonic_ns):
                if isinstance(entry, LabelMark):
                    label = entry.label
                else:
                    chunk = Chunk(entry.data, entry.monotonic_ns, entry.wall_ns, 0, entry.after_gap)
                    yield Piece(chunk, label, name)
        except FormatError as error:
            raise InputError(str(error)) from error


def _array_session(
    name: str,
    rate_hz: float | None,
    samples: NDArray[Any],
    labels: Sequence[Label],
    channels: Sequence[str] = (),
    units: Sequence[str] = (),
) -> Session:
    """A session of samples (N, channels) with a label for each."""

    def pieces() -> Iterator[Piece]:
        start = 0
        for stop in range(1, len(samples) + 1):
            if stop == len(samples) or labels[stop] != labels[start] or stop - start == BLOCK_SAMPLES:
                yield Piece(samples[start:stop].astype(np.float64), labels[start])
                start = stop

    return Session(name, rate_hz, pieces, tuple(channels), tuple(units))


def _read_archive(path: Path) -> list[Session]:
    arrays = _load_arrays(path)
    try:
        samples = arrays["samples"]
        if samples.ndim < 2 or not samples.size:
            raise InputError(f"{path} has samples of shape {samples.shape}, it must be (N, channels)")
        samples = samples.reshape(len(samples), -1)
        rate_hz = float(arrays["rate_hz"]) if "rate_hz" in arrays else None
        names = [str(name) for name in arrays["label_names"]]
        channels, units = _texts(arrays, "channel_names", samples), _texts(arrays, "channel_units", samples)
        if "lengths" in arrays:
            sessions = _laid_end_to_end(path, rate_hz, samples, arrays, names)
            return [session._replace(channels=channels, units=units) for session in sessions]
        labels: list[Label] = [None] * len(samples)
        if "interval_start" in arrays:
            columns = (arrays[f"interval_{what}"].tolist() for what in ("start", "stop", "label"))
            for start, stop, number in zip(*columns, strict=True):
                labels[_span(path, start, stop, len(samples))] = [names[number]] * (stop - start)
        else:
            labels = [names[number] for number in arrays["label"].tolist()]
            if len(labels) != len(samples):
                raise InputError(f"{path} has {len(samples)} samples and {len(labels)} labels")
    except (KeyError, IndexError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} holds no labelled samples in a known layout: {error}") from error
    return [_array_session(path.name, rate_hz, samples, labels, channels, units)]


def _texts(arrays: dict[str, NDArray[Any]], name: str, samples: NDArray[Any]) -> tuple[str, ...]:
    """One text for each number of a sample; none if the archive has another count of them."""
    texts = tuple(str(text) for text in arrays.get(name, np.zeros(0)).ravel().tolist())
    return texts if len(texts) == samples.shape[1] else ()


def _load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path} holds {size} bytes, the most is {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an archive of arrays: {error}") from error


def _laid_end_to_end(
    path: Path, rate_hz: float | None, samples: NDArray[Any], arrays: dict[str, NDArray[Any]], names: list[str]
) -> list[Session]:
    lengths, numbers = arrays["lengths"].tolist(), arrays["label"].tolist()
    if min(lengths, default=0) < 0 or sum(lengths) != len(samples) or len(lengths) != len(numbers):
        raise InputError(f"{path}: lengths do not add up to the {len(samples)} samples, or label has another count")
    ends = np.cumsum(lengths).tolist()
    return [
        _array_session(f"{path.name}[{place}]", rate_hz, samples[end - length : end], [names[number]] * length)
        for place, (end, length, number) in enumerate(zip(ends, lengths, numbers, strict=True))
        if length
    ]


def _span(path: Path, start: int, stop: int, length: int) -> slice:
    if not 0 <= start <= stop <= length:
        raise InputError(f"{path}: the interval from {start} to {stop} is not within the {length} samples")
    return slice(start, stop)


def _read_table(path: Path, reading: Reading, on_report: OnReport | None) -> Session:
    report = ReadReport(str(path))
    try:
        blocks = list(decode(file_entries(path), counts=report.counts))
    except FormatError as error:
        raise InputError(f"{path}: {error}") from error
    if not blocks:
        raise InputError(f"{path} holds no samples in a form that is read")
    report.expect_few_dropped(reading)
    if on_report is not None:
        on_report(report)
    values = np.concatenate([block.values for block in blocks])  # (N, width)
    labels = [label for block in blocks for label in block.labels]
    beside = path.with_suffix(".labels.csv")
    if beside.exists() and not any(labels):
        _apply_intervals(beside, labels)
    elif not any(labels):
        raise InputError(f"{path} has no column called label, and there is no {beside.name} beside it")
    names, units = blocks[0].channels, blocks[0].units
    kept = places_without_clock(names, values.shape[1])
    if not kept:
        raise InputError(f"{path} holds no samples")
    channels = tuple(names[place] for place in kept) if names else ()
    return _array_session(
        path.name,
        _rate_hz(names, units, values),
        values[:, kept],
        labels,
        () if are_made_up(channels) else channels,
        tuple(units[place] for place in kept) if units else (),
    )


def _rate_hz(names: Sequence[str], units: Sequence[str], values: NDArray[np.float64]) -> float | None:
    """Samples a second by the column of times, if there is one."""
    clock = clock_columns(names)
    if clock is None or clock.time is None:
        return None
    times = values[np.isfinite(values[:, clock.time]), clock.time]
    unit_us = time_unit_us(names[clock.time], units[clock.time] if units else "", times)
    span_s = float(times[-1] - times[0]) * unit_us / 1e6 if len(times) > 1 else 0.0
    return (len(times) - 1) / span_s if span_s > 0 else None


def _apply_intervals(path: Path, labels: list[Label]) -> None:
    heading, rows = _read_rows(path)
    try:
        start_place, stop_place, label_place = (heading.index(name) for name in ("start", "stop", "label"))
        for row in rows:
            start, stop = int(row[start_place]), int(row[stop_place])
            labels[_span(path, start, stop, len(labels))] = [row[label_place].strip()] * (stop - start)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: the columns start, stop and label are needed, with whole numbers: {error}"
        ) from error


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of a table, all rows as long as the heading."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [row for row in csv.reader(file) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a text table: {error}") from error
    if not lines:
        raise InputError(f"{path} is empty")
    heading = [name.strip() for name in lines[0]]
    if len(set(heading)) != len(heading):
        raise InputError(f"{path}: a column appears twice in the heading {', '.join(heading)}")
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(heading):
            raise InputError(f"{path}, row {number} has {len(row)} fields, the heading has {len(heading)}")
    return heading, lines[1:]
