"""Lines of numbers, as ``Serial.println`` sends them: the format ``csv``.

A line ends with ``\\r`` or ``\\n``, empty lines are passed over. Numbers are separated by one comma or semicolon, by
spaces or tabs, or by both; a separator at the end is allowed. ``nan``, ``inf``, ``infinity`` and Arduino's ``ovf`` are
numbers that are not finite. A line is a sample only if every field is a number and their count is right.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np

from edgernn.kernels.native import native_function
from edgernn.stream.formats.base import MAX_FRAME_BYTES, SLICE_BYTES, Format, Samples, addresses

NUMBER = r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?|ovf)"
_SEPARATOR = r"(?:[ \t]*[,;][ \t]*|[ \t]+)"
_NUMBERS = re.compile(NUMBER.encode(), re.IGNORECASE)
_LINE = re.compile(rf"[ \t]*{NUMBER}(?:{_SEPARATOR}{NUMBER})*{_SEPARATOR}?".encode(), re.IGNORECASE)


def count_columns(line: bytes) -> int:
    """How many numbers a line holds, without its end; 0 if it holds anything else.

    Examples
    --------
    >>> count_columns(b"1.5; 2\t-3e4"), count_columns(b"1,two")
    (3, 0)
    """
    return len(_NUMBERS.findall(line)) if _LINE.fullmatch(line) else 0


class Csv(Format):
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

    def __init__(self, width: int, *, whole_start: bool = False) -> None:
        super().__init__(width, whole_start=whole_start)
        self._parse_csv = native_function("parsers.csv", 7)
        # a line takes two bytes for each number at the least
        self._values = np.zeros((MAX_FRAME_BYTES + SLICE_BYTES) // 2 + width, np.float64)
        self._powers = np.array([float(f"1e{exponent}") for exponent in range(23)])  # (23,) exact in float64
        self._addresses = addresses(self._values, self._powers, self.counts, self._state)

    def is_sample(self, line: bytes) -> bool:
        return count_columns(line) == self.width

    def _parse(self, length: int) -> Samples:
        rows = self._parse_csv(self._buffer_address, length, self.width, *self._addresses)
        return Samples(self._values[: rows * self.width].reshape(rows, self.width))
