"""Finds out from the first bytes which format a source sends, and how many numbers a sample has."""

from __future__ import annotations

from typing import NamedTuple

from edgernn.stream.formats.base import MAX_CHANNELS, MAX_FRAME_BYTES
from edgernn.stream.formats.cobs import packet_width
from edgernn.stream.formats.csv import count_columns
from edgernn.stream.formats.jsonl import JsonLines
from edgernn.stream.formats.names import Heading, read_heading
from edgernn.stream.formats.plotter import Plotter

AGREEING_FRAMES = 2  # lines in a row of the same width that decide
MAX_DETECT_BYTES = 65536


class Detected(NamedTuple):
    """What a source sends: the format, how many numbers a sample has, their names and units where it names them."""

    format: str
    width: int
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


class Detector:
    """Looks at the first bytes, in any split, until two lines in a row agree or one binary packet is intact.

    Parameters
    ----------
    only : str or None
        The format if it is known, so that only the width is wanted.
    whole_start : bool
        The first byte begins a frame; else what comes before the first end of a frame is not looked at.
    heading : Heading, optional
        Seen before, as by a detector that an outage put an end to.

    Attributes
    ----------
    seen : bytearray
        The bytes so far, to be fed to the parser once the format is known; on a source of garbage the last of them.
    whole_start : bool
        The first byte of `seen` begins a frame.
    heading : Heading or None
        The last one in these bytes.

    Examples
    --------
    >>> detector = Detector(whole_start=True)
    >>> detector.feed(b"ax,ay\\n1,2")
    >>> detector.feed(b"\\n3,4\\n")
    Detected(format='csv', width=2, channels=('ax', 'ay'), units=('', ''))
    """

    def __init__(self, only: str | None = None, *, whole_start: bool = False, heading: Heading | None = None) -> None:
        self.seen = bytearray()
        self.whole_start = whole_start
        self._only = only
        self._line_start: int | None = 0 if whole_start else None  # None before the first end of a line
        self._packet_start = 0
        self._position = 0
        self._last: Detected | None = None
        self.heading = heading
        self._agreeing = 0

    def feed(self, data: bytes | memoryview) -> Detected | None:
        """Look at more bytes; what was found, or None if more are needed. Once something is found, it is the end."""
        for start in range(0, len(data), MAX_DETECT_BYTES):
            self.seen += data[start : start + MAX_DETECT_BYTES]
            while self._position < len(self.seen):
                byte = self.seen[self._position]
                self._position += 1
                found = self._frame(byte) if byte in b"\0\r\n" else None
                if found is not None:
                    self.seen += data[start + MAX_DETECT_BYTES :]
                    return found
            self._forget()
        return None

    def finish(self) -> Detected | None:
        """What can be said when no more bytes come: one line is enough."""
        return None if self._last is None else self._headed(self._last)

    def _headed(self, found: Detected) -> Detected:
        """With the names of the last heading, if it has as many as a sample has numbers."""
        heading = self.heading
        if found.format != "csv" or heading is None or len(heading.channels) != found.width:
            return found
        return Detected(found.format, found.width, *heading)

    def _frame(self, end_byte: int) -> Detected | None:
        """Look at the line or packet that ends before the present position."""
        end = self._position - 1
        line_start, self._line_start = self._line_start, self._position
        if end_byte == 0:
            packet_start, self._packet_start = self._packet_start, self._position
            return self._packet(packet_start, end)
        if line_start is None or line_start == end:
            return None
        line = bytes(self.seen[line_start:end])
        found = line_format(line, self._only)
        if found is None and line.replace(b"\t", b" ").decode("latin-1").isprintable():
            self.heading = self._heading_in(line) or self.heading
            return None  # a heading or message between samples
        self._agreeing = self._agreeing + 1 if found == self._last else 1
        self._last = found
        return self._headed(found) if found is not None and self._agreeing >= AGREEING_FRAMES else None

    def _heading_in(self, line: bytes) -> Heading | None:
        return read_heading(line) if len(line) <= MAX_FRAME_BYTES and self._only in {None, "csv"} else None

    def _packet(self, start: int, end: int) -> Detected | None:
        if self._only not in {None, "cobs"} or end - start > MAX_FRAME_BYTES:
            return None
        width = packet_width(bytes(self.seen[start:end]))
        return Detected("cobs", width) if width is not None and width <= MAX_CHANNELS else None

    def _forget(self) -> None:
        """Drop what is too old to matter, so that the memory stays bounded on a source of garbage."""
        surplus = len(self.seen) - MAX_FRAME_BYTES
        if len(self.seen) > MAX_DETECT_BYTES:
            del self.seen[:surplus]
            self.whole_start = False
            self._position -= surplus
            self._packet_start = max(self._packet_start - surplus, 0)
            if self._line_start is not None:
                self._line_start = self._line_start - surplus if self._line_start >= surplus else None


def line_format(line: bytes, only: str | None = None) -> Detected | None:
    """Format and width of one line without its end; None if it is no sample.

    Examples
    --------
    >>> line_format(b"1.5;2;-3e4")
    Detected(format='csv', width=3, channels=(), units=())
    >>> line_format(b"x:1.5 y:2")
    Detected(format='plotter', width=2, channels=('x', 'y'), units=())
    >>> line_format(b"accelerometer ready")
    """
    if len(line) > MAX_FRAME_BYTES:
        return None
    if only in {None, "csv"} and 1 <= (columns := count_columns(line)) <= MAX_CHANNELS:
        return Detected("csv", columns)
    for kind in (Plotter, JsonLines):
        if only in {None, kind.name} and (fields := kind.fields(line)) is not None and len(fields) <= MAX_CHANNELS:
            return Detected(kind.name, len(fields), tuple(fields))
    return None
