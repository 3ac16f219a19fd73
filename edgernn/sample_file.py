"""Files of samples: NumPy arrays, text with a line for each sample, and recordings of raw bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from edgernn.decoding import decode
from edgernn.errors import InputError
from edgernn.formats.names import are_made_up, places_by_name, places_without_clock
from edgernn.recording import LabelMark, RecordedChunk, RecordingReader, is_recording

MAX_BYTES = 1 << 30
READ_BYTES = 1 << 16


def read_samples(path: str | os.PathLike[str], channels: Sequence[str] = ()) -> NDArray[np.float32]:
    """All samples of a file. Where it names its numbers, these are the channels wanted, or all but the sender's clock.

    Parameters
    ----------
    path : path-like
        A .npy array, an .npz archive with the array ``samples``, a recording of raw bytes, or the bytes that a board
        sent (their format is found out from the first ones).
    channels : sequence of str
        Names of the numbers that are wanted, in this order, if they are known.

    Returns
    -------
    ndarray (T, channels)

    Raises
    ------
    InputError
        There are no samples in it, or they are not finite or too many, or a channel is missing.

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
    samples, names = _read_array(path) if path.suffix in (".npy", ".npz") else _parse(path)
    if samples.ndim == 2 and len(names) == samples.shape[1]:
        samples = samples[:, _wanted(path, names, channels)]
    if samples.ndim < 2 or not samples.size:
        raise InputError(f"{path} has samples of shape {samples.shape}, it must be (T, channels)")
    rows = np.isfinite(samples.reshape(len(samples), -1)).all(axis=1)
    if not rows.all():
        raise InputError(f"{path}: sample {int(rows.argmin())} is not finite, cut it out")
    return samples


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
    try:
        if path.suffix == ".npy":
            # a map cannot be larger than the file, whatever its header claims
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False), np.float32), ()
        with ZipFile(path) as archive:
            size = archive.getinfo("samples.npy").file_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: samples has {size} bytes, the most is {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as arrays:
            names = arrays["channel_names"].ravel().tolist() if "channel_names" in arrays else []
            return np.asarray(arrays["samples"], np.float32), tuple(map(str, names))
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an array of samples: {error}") from error


def _parse(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Samples in the bytes that a board sent, and the names of their numbers."""
    names: tuple[str, ...] = ()
    parts = []
    for block in decode(_entries(path)):
        parts.append(block.values.astype(np.float32))
        names = block.channels
    if not parts:
        raise InputError(f"{path} holds no samples: two lines with equally many numbers are the least")
    return np.concatenate(parts), names


def _entries(path: Path) -> Iterator[RecordedChunk | LabelMark]:
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
