"""Files of samples: NumPy arrays, text with a line for each sample, and recordings of raw bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import FormatError, InputError
from edgernn.recordings.decoding import decode
from edgernn.recordings.report import DEFAULT_READING, Reading, ReadReport
from edgernn.stream.formats.names import are_made_up, places_by_name, places_without_clock
from edgernn.stream.formats.needs import Needs
from edgernn.stream.recording import LabelMark, RecordedChunk, RecordingReader, is_recording
from edgernn.stream.signals.gaps import Gaps

MAX_BYTES = 1 << 30
READ_BYTES = 1 << 16
FILL_SAMPLES = 4096  # of which gaps are filled together


def read_samples(
    path: str | os.PathLike[str],
    channels: Sequence[str] = (),
    *,
    size: int | None = None,
    reading: Reading = DEFAULT_READING,
    on_report: Callable[[ReadReport], None] | None = None,
) -> NDArray[np.float32]:
    """All samples of a file. Where it names its numbers, these are the channels wanted, or all but the sender's clock.

    Parameters
    ----------
    path : path-like
        A .npy array, an .npz archive with the array ``samples``, a recording of raw bytes, or the bytes that a board
        sent (their format is found out from the first ones).
    channels : sequence of str
        Names of the numbers that are wanted, in this order, if they are known.
    size : int, optional
        How many numbers of a sample a model takes, so that lines are read against it.
    reading : Reading, optional
        What stands for missing numbers, and how many rows may be lost.
    on_report : callable, optional
        Called with what was read and what was not.

    Returns
    -------
    ndarray (T, channels)

    Raises
    ------
    InputError
        There are no samples in it, or too many of its rows are none, or a channel is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("x,y\\n1,2\\n3,4.5\\n")
    ...     file.flush()
    ...     read_samples(file.name)
    array([[1. , 2. ],
           [3. , 4.5]], dtype=float32)
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, a file of samples has at most {MAX_BYTES}")
    report = ReadReport(str(path))
    needs = None if size is None else Needs(size, tuple(channels))
    samples, names = _read_array(path) if path.suffix in (".npy", ".npz") else _parse(path, needs, report)
    if samples.ndim == 2 and len(names) == samples.shape[1]:
        samples = samples[:, _wanted(path, names, channels)]
    report.counts["samples"] = len(samples)
    report.expect_few_dropped(reading)
    samples = _filled(path, "samples", samples, reading, report)
    if on_report is not None:
        on_report(report)
    return samples


def read_inputs(
    path: str | os.PathLike[str],
    sizes: Mapping[str, int],
    channels: Sequence[str] = (),
    *,
    reading: Reading = DEFAULT_READING,
    on_report: Callable[[ReadReport], None] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """The samples of each input (T, channels) of a model; `sizes` has how many numbers each of them takes.

    Where there are several, they are the columns of one file in this order, or the arrays of an .npz archive without
    ``samples`` that are called like them.

    Raises
    ------
    InputError
        As for `read_samples`; there are several inputs, and the file has another number of columns, or arrays of
        different lengths.
    """
    path = Path(path)
    if path.suffix == ".npz" and "samples" not in (arrays := _array_sizes(path)) and set(sizes) <= set(arrays):
        return _read_each(path, list(sizes))
    samples = read_samples(path, channels, size=sum(sizes.values()), reading=reading, on_report=on_report)
    if len(sizes) == 1:
        return dict.fromkeys(sizes, samples)
    if samples[0].size != sum(sizes.values()):
        wanted = " and ".join(f"{size} of {name}" for name, size in sizes.items())
        raise InputError(f"{path} has {samples[0].size} numbers in a sample, the model takes {wanted}")
    parts = np.split(samples.reshape(len(samples), -1), np.cumsum([*sizes.values()])[:-1], axis=1)
    return dict(zip(sizes, parts, strict=True))


def _read_each(path: Path, inputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    samples = {
        name: _finite(path, name, _as_floats(path, name, array)) for name, array in _read_arrays(path, inputs).items()
    }
    if len({len(array) for array in samples.values()}) > 1:
        lengths = ", ".join(f"{len(array)} of {name}" for name, array in samples.items())
        raise InputError(f"{path} has {lengths}: there must be as many samples of each input, taken at the same time")
    return samples


def _expect_rows(path: Path, name: str, samples: NDArray[np.float32]) -> None:
    if samples.ndim < 2 or not samples.size:
        raise InputError(f"{path} has {name} of shape {samples.shape}, it must be (T, channels)")


def _finite(path: Path, name: str, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    _expect_rows(path, name, samples)
    rows = np.isfinite(samples.reshape(len(samples), -1)).all(axis=1)
    if not rows.all():
        raise InputError(f"{path}: in {name}, sample {int(rows.argmin())} is not finite, cut it out")
    return samples


def _filled(
    path: Path, name: str, samples: NDArray[np.float32], reading: Reading, report: ReadReport
) -> NDArray[np.float32]:
    """With what stands for missing numbers by the policy of gaps; samples that it cannot fill are left out."""
    _expect_rows(path, name, samples)
    flat = samples.reshape(len(samples), -1)
    if np.isfinite(flat).all():
        return samples
    gaps = Gaps(reading.gap, reading.gap_steps)
    blocks = [
        segment.X.copy()
        for start in range(0, len(flat), FILL_SAMPLES)
        for segment in gaps(flat[start : start + FILL_SAMPLES])
    ]
    filled = np.concatenate(blocks) if blocks else flat[:0]
    if not len(filled):
        raise InputError(f"{path}: each of the {name} has a number that is not finite")
    report.filled, report.left_out = gaps.filled, len(flat) - len(filled)
    return filled.reshape(-1, *samples.shape[1:])


def _wanted(path: Path, names: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Places of the numbers that are wanted."""
    if not channels or are_made_up(names):
        return places_without_clock(names, len(names))
    found = places_by_name(names, channels)
    missing = [channel for channel, place in zip(channels, found, strict=True) if place is None]
    if missing:
        raise InputError(
            f"{path} names its numbers {', '.join(names)}, the model's channels are {', '.join(channels)}: "
            f"{', '.join(missing)} is missing"
        )
    return [place for place in found if place is not None]


def _read_array(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Samples, and the names of their numbers."""
    if path.suffix == ".npz":
        arrays = _read_arrays(path, ["samples"], ["channel_names"])
        names = arrays["channel_names"].ravel().tolist() if "channel_names" in arrays else []
        return _as_floats(path, "samples", arrays["samples"]), tuple(map(str, names))
    try:
        # a map cannot be larger than the file, whatever its header claims
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read as an array of samples: {error}") from error
    return _as_floats(path, "samples", array), ()


def _array_sizes(path: Path) -> dict[str, int]:
    """Bytes of each array of an archive, by name."""
    try:
        with ZipFile(path) as archive:
            return {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
    except BadZipFile as error:
        raise InputError(f"{path} cannot be read as arrays of samples: {error}") from error


def _read_arrays(path: Path, wanted: Sequence[str], optional: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Arrays of an archive by name; the `optional` ones if they are there."""
    sizes = _array_sizes(path)
    names = [*wanted, *(name for name in optional if name in sizes)]
    for name in names:
        if name not in sizes:
            raise InputError(f"{path} has no array {name!r}; it has {', '.join(map(repr, sizes)) or 'none'}")
        if sizes[name] > MAX_BYTES:
            raise InputError(f"{path}: {name} has {sizes[name]} bytes, the most is {MAX_BYTES}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as arrays of samples: {error}") from error


def _as_floats(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """A copy as float32."""
    try:
        return np.array(array, np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: {name} holds no numbers: {error}") from error


def _parse(path: Path, needs: Needs | None, report: ReadReport) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Samples in the bytes that a board sent, and the names of their numbers."""
    names: tuple[str, ...] = ()
    parts = []
    try:
        for block in decode(file_entries(path), needs=needs, counts=report.counts):
            parts.append(block.values.astype(np.float32))
            names = block.channels
    except FormatError as error:
        raise InputError(f"{path}: {error}") from error
    if not parts:
        raise InputError(f"{path} holds no samples in a form that is read")
    return np.concatenate(parts), names


def read_report(path: Path) -> ReadReport:
    """What can be read of a recording, or of a file of bytes that a board sent, and what not.

    Raises
    ------
    InputError
        Its numbers come in a form that is not read, or it is damaged.
    """
    report = ReadReport(str(path))
    try:
        for _ in decode(file_entries(path), counts=report.counts):
            pass
    except FormatError as error:
        raise InputError(f"{path}: {error}") from error
    return report


def file_entries(path: Path) -> Iterator[RecordedChunk | LabelMark]:
    """The bytes in pieces; the last line of a file ends where the file ends."""
    if is_recording(path):
        reader = RecordingReader(path)
        try:
            yield from reader.entries()
        finally:
            reader.close()
        return
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            yield RecordedChunk(0, 0, data)
    yield RecordedChunk(0, 0, b"\n")
