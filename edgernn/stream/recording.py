"""Recordings: files of raw bytes with their arrival times, and marks that say what was done when.

A file begins with the 8 bytes ``EDGERNNR``, a format number (uint16), the length of a description (uint32) and that
description as JSON. Then come entries: kind (uint8), length of the data (uint32), time on the monotonic clock and since
1970 (int64 nanoseconds each), the data, and a CRC-32 of all that (uint32). Everything is little-endian. The data of
kind 0 are bytes that arrived together; of kind 1, a label in UTF-8 that holds from here on, or nothing where none does;
of kind 2, bytes before which others are missing, as after an unplugged cable.
A file that was cut at any byte, as by a power failure, can be read up to there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgernn.errors import FormatError

MAGIC = b"EDGERNNR"
FORMAT_NUMBER = 1
MAX_DESCRIPTION_BYTES = 1 << 16
MAX_CHUNK_BYTES = 1 << 20
_HEADING = struct.Struct("<8sHI")
_ENTRY = struct.Struct("<BIqq")
_CRC = struct.Struct("<I")
_BYTES, _LABEL, _BYTES_BEHIND_GAP = range(3)  # kinds of entries


class RecordingInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the bytes in a recording.

    Attributes
    ----------
    source : str
        Where they came from.
    format : str or None
        Name of their format.
    label : str or None
        What was done while they were recorded.
    """

    source: str = ""
    format: str | None = None
    label: str | None = None


class RecordedChunk(NamedTuple):
    """Bytes that arrived together, with their arrival on the monotonic clock and since 1970.

    `after_gap` says that bytes before them are missing.
    """

    monotonic_ns: int
    wall_ns: int
    data: bytes
    after_gap: bool = False


class LabelMark(NamedTuple):
    """From here on `label` is done; None where nothing is."""

    monotonic_ns: int
    wall_ns: int
    label: str | None


def encode_heading(info: RecordingInfo) -> bytes:
    """What a recording begins with."""
    description = msgspec.json.encode(info)
    return _HEADING.pack(MAGIC, FORMAT_NUMBER, len(description)) + description


def encode_chunk(chunk: RecordedChunk) -> bytes:
    """One chunk of a recording; `data` holds at most 1 MiB.

    Raises
    ------
    FormatError
        It holds more.
    """
    if len(chunk.data) > MAX_CHUNK_BYTES:
        raise FormatError(f"a chunk of {len(chunk.data)} bytes: the most is {MAX_CHUNK_BYTES}")
    kind = _BYTES_BEHIND_GAP if chunk.after_gap else _BYTES
    return _encode_entry(kind, chunk.monotonic_ns, chunk.wall_ns, chunk.data)


def encode_mark(mark: LabelMark) -> bytes:
    """One mark of a recording."""
    return _encode_entry(_LABEL, mark.monotonic_ns, mark.wall_ns, (mark.label or "").encode())


def _encode_entry(kind: int, monotonic_ns: int, wall_ns: int, data: bytes) -> bytes:
    body = _ENTRY.pack(kind, len(data), monotonic_ns, wall_ns) + data
    return body + _CRC.pack(zlib.crc32(body))


def is_recording(path: Path) -> bool:
    """Whether a file begins as a recording of raw bytes does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class RecordingReader:
    """Reads a recording of raw bytes, in bounded memory.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    info : RecordingInfo

    Raises
    ------
    FormatError
        It is no recording, damaged, or of a newer edgernn.
    OSError
        It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BufferedReader = path.open("rb")
        try:
            self.info = self._read_heading()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[RecordedChunk]:
        """The chunks, up to the end or the place where the file was cut."""
        return (entry for entry in self.entries() if isinstance(entry, RecordedChunk))

    def entries(self) -> Iterator[RecordedChunk | LabelMark]:
        """Chunks and marks, up to the end or the place where the file was cut."""
        while True:
            place = self._file.tell()
            head = self._file.read(_ENTRY.size)
            if len(head) < _ENTRY.size:
                return
            kind, length, monotonic_ns, wall_ns = _ENTRY.unpack(head)
            if length > MAX_CHUNK_BYTES or kind > _BYTES_BEHIND_GAP:
                raise self._damaged(place, f"an entry claims to be of kind {kind} and {length} bytes long")
            rest = self._file.read(length + _CRC.size)
            data = rest[:length]
            if len(rest) < length + _CRC.size:  # cut here
                if data and kind != _LABEL:
                    yield RecordedChunk(monotonic_ns, wall_ns, data, kind == _BYTES_BEHIND_GAP)
                return
            if zlib.crc32(head + data) != _CRC.unpack(rest[length:])[0]:
                raise self._damaged(place, "the checksum is wrong")
            if kind != _LABEL:
                yield RecordedChunk(monotonic_ns, wall_ns, data, kind == _BYTES_BEHIND_GAP)
            else:
                yield LabelMark(monotonic_ns, wall_ns, data.decode(errors="backslashreplace") or None)

    def _read_heading(self) -> RecordingInfo:
        head = self._file.read(_HEADING.size)
        if len(head) < _HEADING.size or not head.startswith(MAGIC):
            raise FormatError(f"{self._path} is not a recording of edgernn")
        _, number, length = _HEADING.unpack(head)
        if number > FORMAT_NUMBER:
            raise FormatError(f"{self._path} has format {number}, this edgernn reads up to {FORMAT_NUMBER}: update it")
        if length > MAX_DESCRIPTION_BYTES:
            raise self._damaged(0, f"the description claims {length} bytes")
        try:
            return msgspec.json.decode(self._file.read(length), type=RecordingInfo)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damaged(_HEADING.size, f"the description is wrong: {error}") from error

    def _damaged(self, place: int, complaint: str) -> FormatError:
        return FormatError(f"{self._path} is damaged at byte {place}: {complaint}")
