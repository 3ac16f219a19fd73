"""One line of text to numbers, through explicit layers: text, decorations, layout, values.

========================  ==========================================================================================
layer                     what it takes off or decides
========================  ==========================================================================================
`decoration.plain_text`   byte order mark, terminal colours, NUL at the end, latin-1 or UTF-8
`decoration.undecorated`  log prefixes and times, identifiers, frames of SerialPlot and NMEA 0183, brackets
`layouts.read_fields`     numbers in an order, ``name:number`` and ``name=number``, JSON; separators, decimal commas
`values.read_value`       numbers, missing values by cause; hexadecimal and such are refused by name
========================  ==========================================================================================
"""

from __future__ import annotations

from typing import NamedTuple

from edgernn.stream.formats.base import MAX_CHANNELS, MAX_FRAME_BYTES
from edgernn.stream.formats.decoration import Decoration, plain_text, undecorated
from edgernn.stream.formats.layouts import Decimal, Fields, Layout, Refused, read_fields

MAX_ASCII = 127


class LineForm(NamedTuple):
    """What all lines of one sender have in common.

    Attributes
    ----------
    layout : str
        As in `layouts.Fields`.
    decorations : tuple of Decoration
        From the outside to the inside.
    decimal : str
        ``","`` if numbers have decimal commas.
    one_each : bool
        A line holds one number, a sample several lines.
    ends_with_nul : bool
        Lines end with a zero byte.
    label : int or None
        Place of a column of text that says what was done.
    separator : str
        Between the columns of a table with such a column.
    """

    layout: Layout
    decorations: tuple[Decoration, ...] = ()
    decimal: str = "."
    one_each: bool = False
    ends_with_nul: bool = False
    label: int | None = None
    separator: str = ","

    def __str__(self) -> str:
        parts = {
            "numbers": "numbers in an order",
            "named": "one name and number a line" if self.one_each else "names and numbers",
            "json": "JSON objects",
        }[self.layout]
        if self.decimal == ",":
            parts += " with decimal commas"
        if self.ends_with_nul:
            parts += ", a zero byte after each line"
        if self.label is not None:
            parts += ", a column of labels"
        return parts + "".join(f", {decoration}" for decoration in self.decorations)


class LineReading(NamedTuple):
    """One way to read a line: its form and its fields."""

    form: LineForm
    fields: Fields

    @property
    def width(self) -> int:
        """Numbers in the line."""
        return len(self.fields.values)


class Damaged(NamedTuple):
    """A line that was a sample, but whose checksum is wrong."""


Line = list[LineReading] | Refused | Damaged | None


def read_line(line: bytes, decimal: Decimal | None = None) -> Line:
    """The ways to read one line without its end: mostly one. None if it is text.

    `decimal` is the mark between whole numbers and fractions, if it is known.

    Examples
    --------
    >>> reading, = read_line(b"I (1234) imu: (1.5, -2, nan)")
    >>> str(reading.form), [value.number for value in reading.fields.values]
    ('numbers in an order, ESP-IDF log prefix imu, parentheses', [1.5, -2.0, nan])
    >>> read_line(b"accelerometer ready")
    """
    if len(line) > MAX_FRAME_BYTES:
        return None
    text = plain_text(line)
    if not text:
        return None
    found = read_fields(text, decimal)
    decorations: tuple[Decoration, ...] = ()
    if not isinstance(found, list):
        bare = undecorated(text)
        if bare.is_damaged:
            return Damaged()
        if not bare.decorations:
            return found
        inner = read_fields(bare.text, decimal)
        if not isinstance(inner, list):
            return found or inner
        found, decorations = inner, bare.decorations
    return [
        LineReading(LineForm(fields.layout, decorations, fields.decimal or "."), fields)
        for fields in found
        if len(fields.values) <= MAX_CHANNELS
    ] or None


def is_text(line: bytes) -> bool:
    """Whether a line that is no sample is a message: printable, and no noise of bytes beyond ASCII.

    Examples
    --------
    >>> is_text(b"ready"), is_text(b"\\x011,2")
    (True, False)
    """
    text = plain_text(line)
    if text is None or not text.replace("\t", " ").isprintable():
        return False
    return sum(byte > MAX_ASCII for byte in line) <= len(line) // 4 or _is_utf8(line)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
