"""Lines of text in any clothes: read line by line in Python, through the layers of `edgernn.stream.formats.line`."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from edgernn.stream.formats.base import (
    MALFORMED,
    MAX_FRAME_BYTES,
    NON_FINITE,
    OUT_OF_RANGE,
    PARTIAL,
    READING,
    SAMPLES,
    SKIP_REST,
    SKIP_UNSEEN_START,
    TEXT,
    TOO_LONG,
    WRONG_WIDTH,
    Format,
    Samples,
)
from edgernn.stream.formats.decoration import plain_text
from edgernn.stream.formats.headings import read_heading
from edgernn.stream.formats.layouts import Decimal, Fields, Layout
from edgernn.stream.formats.line import Damaged, LineForm, LineReading, is_text, read_line
from edgernn.stream.formats.values import MAX_FLOAT32, NUMBER, ParsedValue, read_value

EMPTY = -1  # the kind of a line that is not counted
_BEGINS_WITH_NUMBER = re.compile(rf"(?:{NUMBER})(?=[\s,;|]|$)")


class Lines(Format):
    """Parser of lines of one form.

    Parameters
    ----------
    width : int
    channels : tuple of str
        Names of the numbers, as many as `width`, in the order in which samples have them; lines that name their
        numbers must have all of them, and may have more. Empty for numbers without names.
    form : LineForm, optional
        Plain numbers if not given.
    whole_start : bool

    Examples
    --------
    >>> parser = Lines(2, channels=("x", "y"), form=LineForm("named"), whole_start=True)
    >>> [samples.values.tolist() for samples in parser.feed(b"x:1,y:-2.5\\r\\ny=4 x=null\\nready\\r\\n")]
    [[[1.0, -2.5], [nan, 4.0]]]
    >>> parser.missing
    Counter({'null': 1})
    """

    name: ClassVar[str] = "csv"
    is_compiled: ClassVar[bool] = False
    layout: ClassVar[Layout] = "numbers"
    decimal: ClassVar[Decimal | None] = None  # the mark that the name of the format says

    def __init__(
        self,
        width: int,
        *,
        channels: tuple[str, ...] = (),
        form: LineForm | None = None,
        whole_start: bool = False,
    ) -> None:
        super().__init__(width, whole_start=whole_start)
        self.channels = channels
        self.form = form or LineForm(self.layout, decimal=self.decimal or ".")
        self._parts: list[ParsedValue] = []  # of a sample that takes several lines
        self._last_place = -1  # of the last of these lines
        self._labels: list[str | None] = []

    def resynchronise(self) -> None:
        super().resynchronise()
        self._parts.clear()

    def _parse(self, length: int) -> Iterator[Samples]:
        data = self._buffer[:length].tobytes()
        rows: list[list[float]] = []
        self._labels = []
        for line in self._lines(data):
            kind, row = self._read(line)
            if kind == TEXT:
                if rows:
                    yield self._block(rows)
                    rows, self._labels = [], []
                self._texts.append(line)
            if kind != EMPTY:
                self.counts[kind] += 1
            if row is not None:
                rows.append(row)
        yield self._block(rows)

    def _block(self, rows: Sequence[Sequence[float]]) -> Samples:
        labels = tuple(self._labels) if self.form.label is not None else None
        return Samples(np.array(rows, np.float64).reshape(len(rows), self.width), labels=labels)

    def _lines(self, data: bytes) -> Iterator[bytes]:
        """The complete lines of which the beginning was seen; says in `_state` how many bytes are used up."""
        self._state[1] = 0
        pieces = (data.replace(b"\0", b"\n") if self.form.ends_with_nul else data).replace(b"\r", b"\n").split(b"\n")
        for piece in pieces[:-1]:
            self._state[1] += len(piece) + 1
            if self._state[0] == READING:
                yield piece
                continue
            if self._state[0] == SKIP_UNSEEN_START and piece:
                self._unseen_start(piece)
            self._state[0] = READING
        if self._state[0] == SKIP_REST:
            self._state[1] = len(data)

    def _unseen_start(self, piece: bytes) -> None:
        """The rest of a line is passed over, unless it can be a heading that is whole."""
        self.counts[PARTIAL] += 1
        if read_heading(piece) is not None:
            self._texts.append(piece)

    def _read(self, line: bytes) -> tuple[int, list[float] | None]:
        """Kind of a line, or `EMPTY`, and its numbers if it completes a sample."""
        if not line.strip(b" \t\0"):
            return EMPTY, None
        if len(line) > MAX_FRAME_BYTES:
            return TOO_LONG, None
        if self.form.label is not None:
            return self._read_row_of_table(line)
        found = read_line(line, self.decimal)
        if isinstance(found, list):
            mine = [reading for reading in found if self._is_of_form(reading)]
            if len(mine) == 2:  # commas in the numbers or between them
                mine = [reading for reading in mine if reading.form.decimal == self.form.decimal]
            if mine:
                return self._read_fields(mine[0].fields)
        is_message = is_text(line) and not _BEGINS_WITH_NUMBER.match(plain_text(line) or "")
        return (TEXT if is_message and not isinstance(found, Damaged) else MALFORMED), None

    def _is_of_form(self, reading: LineReading) -> bool:
        form = reading.form
        return (form.layout, form.decorations) == (self.form.layout, self.form.decorations)

    def _read_fields(self, fields: Fields) -> tuple[int, list[float] | None]:
        if self.form.one_each:
            return self._read_part(fields)
        if fields.names:
            by_name = dict(zip(fields.names, fields.values, strict=True))
            if not by_name.keys() >= set(self.channels):
                return WRONG_WIDTH, None
            return SAMPLES, self._numbers([by_name[name] for name in self.channels])
        if len(fields.values) != self.width:
            return WRONG_WIDTH, None
        return SAMPLES, self._numbers(fields.values)

    def _read_part(self, fields: Fields) -> tuple[int, list[float] | None]:
        """One number of a sample, whose names come in their order; a sample of which one is lost is passed over."""
        name, value = fields.names[0], fields.values[0]
        if name not in self.channels:
            return EMPTY, None
        place, last = self.channels.index(name), self._last_place
        self._last_place = place
        kind = EMPTY
        if place != len(self._parts) or (place and not self._parts):
            goes_on = not self._parts and place > last  # within a sample that is passed over
            kind = EMPTY if goes_on or (place == 0 and not self._parts) else WRONG_WIDTH
            self._parts.clear()
            if place:
                return kind, None
        self._parts.append(value)
        if len(self._parts) < self.width:
            return kind, None
        values, self._parts = self._parts, []
        return SAMPLES, self._numbers(values)

    def _read_row_of_table(self, line: bytes) -> tuple[int, list[float] | None]:
        """A line with a column of text."""
        found = read_row(line, self.form)
        if found is None:
            return (TEXT if is_text(line) and read_heading(line) else MALFORMED), None
        label, values = found
        if len(values) != self.width:
            return WRONG_WIDTH, None
        self._labels.append(label)
        return SAMPLES, self._numbers(values)

    def _numbers(self, values: Sequence[ParsedValue]) -> list[float]:
        """The numbers of a sample; what is missing or out of range stands as NaN and is counted."""
        causes = [value.cause for value in values if value.cause is not None]
        too_large = [abs(value.number) > MAX_FLOAT32 for value in values]
        self.missing.update(causes)
        self.counts[OUT_OF_RANGE] += any(too_large)
        self.counts[NON_FINITE] += bool(causes)
        return [math.nan if large else value.number for value, large in zip(values, too_large, strict=True)]


class CommaCsv(Lines):
    """Lines of numbers with decimal commas, with semicolons, tabs or blanks between them: the format ``csv-comma``."""

    name: ClassVar[str] = "csv-comma"
    decimal: ClassVar[Decimal | None] = ","


class Plotter(Lines):
    """Lines of names and numbers, ``x:1 y:2`` or ``x=1,y=2``, or one of them a line: the format ``plotter``."""

    name: ClassVar[str] = "plotter"
    layout: ClassVar[Layout] = "named"


class JsonLines(Lines):
    """A JSON object for each line: the format ``jsonl``.

    The members that are numbers make the sample, under their names; those one level deeper are called ``acc.x``.
    """

    name: ClassVar[str] = "jsonl"
    layout: ClassVar[Layout] = "json"


def read_row(line: bytes, form: LineForm) -> tuple[str | None, list[ParsedValue]] | None:
    """Label and values in a row of a table whose form says where the label is; None if it is no such row.

    Examples
    --------
    >>> read_row(b"0.02;0,5;wave", LineForm("numbers", label=2, separator=";"))
    ('wave', [ParsedValue(number=0.02, cause=None), ParsedValue(number=0.5, cause=None)])
    """
    text = plain_text(line)
    if text is None or form.label is None:
        return None
    if form.separator == " ":
        fields = text.split()
    elif '"' in text:
        fields = next(csv.reader([text], delimiter=form.separator), [])
    else:
        fields = text.split(form.separator)
    if len(fields) <= form.label:
        return None
    label = fields.pop(form.label).strip()
    values = [_value(field.strip(), form.separator) for field in fields]
    if any(value is None for value in values):
        return None
    return label or None, [value for value in values if value is not None]


def _value(field: str, separator: str) -> ParsedValue | None:
    value = read_value(field)
    return read_value(field, ",") if value is None and separator != "," else value
