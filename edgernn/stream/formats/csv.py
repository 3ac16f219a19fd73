"""Lines of numbers, as ``Serial.println`` sends them: the format ``csv``.

A line ends with ``\\r`` or ``\\n``, empty lines are passed over. Numbers are separated by one comma or semicolon, by
spaces or tabs, or by both; a separator at the end is allowed. A line is a sample only if every field is a number or
stands for a missing one, and their count is right. Plain numbers are parsed in compiled code, other lines in Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from edgernn.kernels.native import native_function
from edgernn.stream.formats.base import MAX_FRAME_BYTES, SKIP_UNSEEN_START, SLICE_BYTES, TEXT, Samples, addresses
from edgernn.stream.formats.headings import read_heading
from edgernn.stream.formats.line import LineForm
from edgernn.stream.formats.lines import EMPTY, Lines

_LINE_END = re.compile(rb"[\r\n]")


class Csv(Lines):
    """Parser of lines of numbers.

    Examples
    --------
    >>> parser = Csv(3, whole_start=True)
    >>> [samples.values.tolist() for samples in parser.feed(b"x,y,z\\r\\n1,-2.5,3e1\\r\\n4,5")]
    [[[1.0, -2.5, 30.0]]]
    >>> parser.count("text")
    1
    """

    name: ClassVar[str] = "csv"
    is_compiled: ClassVar[bool] = True

    def __init__(self, width: int, *, channels: tuple[str, ...] = (), whole_start: bool = False) -> None:
        super().__init__(width, channels=channels, form=LineForm("numbers"), whole_start=whole_start)
        self._parse_csv = native_function("parsers.csv", 7)
        # a line takes two bytes for each number at the least
        self._values = np.zeros((MAX_FRAME_BYTES + SLICE_BYTES) // 2 + width, np.float64)
        self._powers = np.array([float(f"1e{exponent}") for exponent in range(23)])  # (23,) exact in float64
        self._values_address, *self._addresses = addresses(self._values, self._powers, self.counts, self._state)

    def _parse(self, length: int) -> Iterator[Samples]:
        state = self._state_view
        if state[0] == SKIP_UNSEEN_START and not self._look_at_unseen_start(length):
            state[1] = 0
            return
        rows = self._parse_csv(self._buffer_address, length, self.width, self._values_address, *self._addresses)
        if state[2]:
            yield from self._parse_odd_lines(length, rows)
        else:
            yield self._rows(0, rows)

    def _parse_odd_lines(self, length: int, rows: int) -> Iterator[Samples]:
        """Read the lines at which the kernel stops, and go on after each; it has given so many rows."""
        state = self._state_view
        start = first = 0  # bytes used up; samples given
        while state[2]:
            line = self._buffer[start + state[1] : start + state[2]].tobytes()
            start += state[2] + 1
            kind, row = self._read(line)
            if kind == TEXT:
                if rows > first:
                    yield self._rows(first, rows)
                    first = rows
                self._texts.append(line)
            if kind != EMPTY:
                self.counts[kind] += 1
            if row is not None:
                self._values[rows * self.width : (rows + 1) * self.width] = row
                rows += 1
            values = self._values_address + 8 * rows * self.width
            rows += self._parse_csv(self._buffer_address + start, length - start, self.width, values, *self._addresses)
        state[1] += start
        yield self._rows(first, rows)

    def _rows(self, first: int, last: int) -> Samples:
        return Samples(self._values[first * self.width : last * self.width].reshape(last - first, self.width))

    def _look_at_unseen_start(self, length: int) -> bool:
        """The rest of a line may be a heading that is whole; False if it goes on."""
        data = self._buffer[:length].tobytes().lstrip(b"\r\n")
        end = _LINE_END.search(data)
        if end is not None and read_heading(data[: end.start()]) is not None:
            self._texts.append(data[: end.start()])
        return end is not None
