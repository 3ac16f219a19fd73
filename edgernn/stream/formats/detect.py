"""Finds out from the first bytes which form a source sends, and which numbers are in a sample."""

from __future__ import annotations

import re
from collections import Counter, deque
from typing import Any, NamedTuple

from edgernn.errors import FormatError
from edgernn.stream.formats import format_kind
from edgernn.stream.formats.base import MAX_CHANNELS, MAX_FRAME_BYTES
from edgernn.stream.formats.cobs import Cobs
from edgernn.stream.formats.decoration import AFTER_NUMBERS
from edgernn.stream.formats.headings import Heading, names_all, read_heading
from edgernn.stream.formats.layouts import Fields, Refused
from edgernn.stream.formats.line import LineForm, LineReading, is_text, read_line
from edgernn.stream.formats.lines import CommaCsv, JsonLines, Lines, Plotter, read_row
from edgernn.stream.formats.names import places_by_name
from edgernn.stream.formats.needs import Needs

AGREEING_FRAMES = 2  # lines of the same form that decide, if the model takes their numbers
PATIENCE = 8  # lines after which the most frequent form decides
REFUSING_LINES = 3  # lines in a form that is not read, without any other, that end the search
MAX_DETECT_BYTES = 65536
MAX_TEXTS = 32  # lines before the samples that are kept
MAX_TEXT_BYTES = 4096  # of one of them
_NAMED_DECORATIONS = {"identifier", "ISO time", "clock time"}  # that a heading has a name for
_WHOLE_PAIRS = re.compile(rb"\s*[+-]?\d+,\d+(?:,[+-]?\d+,\d+)*\s*$")
_FORMAT_OF = {"numbers": "csv", "named": Plotter.name, "json": JsonLines.name}
_LINE_FORMATS = {"csv": Lines, CommaCsv.name: CommaCsv, Plotter.name: Plotter, JsonLines.name: JsonLines}


class Detected(NamedTuple):
    """What a source sends.

    Attributes
    ----------
    format : str
    width : int
        Numbers in a sample.
    channels, units : tuple of str
        Their names and units where the source says them.
    form : LineForm or None
        Of lines of text.
    texts : tuple of bytes
        Lines of text before the samples, without the heading that was used.
    """

    format: str
    width: int
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    form: LineForm | None = None
    texts: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        names = f" ({', '.join(self.channels)})" if self.channels else ""
        numbers = f"{self.width} number{'s' if self.width > 1 else ''}{names} in each sample"
        return f"{self.format}: {numbers}" + (f", {self.form}" if self.form else "")


class _Candidate(NamedTuple):
    """What lines that agree have in common: names of numbers where they have some, else the count of them."""

    form: LineForm
    width: int
    names: tuple[str, ...]


class Detector:
    """Looks at the first bytes, in any split, until two lines agree that the model can use, or one packet is intact.

    Parameters
    ----------
    only : str or None
        The format if it is known, so that only the width is wanted.
    whole_start : bool
        The first byte begins a frame; else what comes before the first end of a frame is only looked at as a heading.
    heading : Heading, optional
        Seen before, as by a detector that an outage put an end to.
    needs : Needs, optional
        What the model takes. Among the first lines those win that it can use; without it, two lines in a row decide.
    patient : bool
        Without needs, look at more lines before the most frequent form decides.

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
    >>> print(detector.feed(b"\\n3,4\\n"))
    csv: 2 numbers (ax, ay) in each sample, numbers in an order
    """

    def __init__(
        self,
        only: str | None = None,
        *,
        whole_start: bool = False,
        heading: Heading | None = None,
        needs: Needs | None = None,
        patient: bool = False,
    ) -> None:
        self.seen = bytearray()
        self.whole_start = whole_start
        self._only = only
        self._needs, self._patient = needs, patient
        self._packets: Any = Cobs if only is None else None if only in _LINE_FORMATS else format_kind(only)
        self._ends = b"\0\r\n" + (self._packets.frame_end if self._packets else b"")
        self._reads_lines = only is None or only in _LINE_FORMATS
        self._decimal = _LINE_FORMATS[only].decimal if only in _LINE_FORMATS else None
        self._point = only == "csv"
        self._line_start: int | None = 0  # None before the first end of a line, after bytes were forgotten
        self._first_is_whole = whole_start
        self._packet_start = 0
        self._position = 0
        self._found: Counter[_Candidate] = Counter()
        self._last: _Candidate | None = None
        self._lines: dict[_Candidate, bytes] = {}  # the first of each kind
        self._units: dict[_Candidate, tuple[str, ...]] = {}
        self._refused: Counter[str] = Counter()
        self._texts: deque[bytes] = deque(maxlen=MAX_TEXTS)
        self._texts_before: dict[_Candidate, tuple[bytes, ...]] = {}
        self._table: LineForm | None = None  # of the heading, if that has a column of text
        self._cycle: dict[str, None] = {}  # names of lines of one number, up to the first that comes again
        self.heading = heading

    def feed(self, data: bytes | memoryview) -> Detected | None:
        """Look at more bytes; what was found, or None if more are needed. Once something is found, it is the end.

        Raises
        ------
        FormatError
            Numbers come in a form that is not read, or that has two meanings, or not as the heading says.
        """
        for start in range(0, len(data), MAX_DETECT_BYTES):
            self.seen += data[start : start + MAX_DETECT_BYTES]
            while self._position < len(self.seen):
                byte = self.seen[self._position]
                self._position += 1
                found = self._frame(byte) if byte in self._ends else None
                if found is not None:
                    self.seen += data[start + MAX_DETECT_BYTES :]
                    return found
            self._forget()
        return None

    def finish(self) -> Detected | None:
        """What can be said when no more bytes come: one line is enough.

        Raises
        ------
        FormatError
            As for `feed`.
        """
        best = self._most_frequent()
        if best is None:
            self._refuse(1)
            return None
        return self._detected(best)

    def _frame(self, end_byte: int) -> Detected | None:
        """Look at the line or packet that ends before the present position."""
        end = self._position - 1
        line_start, self._line_start = self._line_start, self._position
        if (found := self._packet(end_byte, end)) is not None:
            return found
        is_whole, self._first_is_whole = self._first_is_whole, True
        if line_start is None or line_start == end or not self._reads_lines:
            return None
        line = bytes(self.seen[line_start:end])
        if not line.strip(b" \t"):
            return None
        if not is_whole:
            self._look_at_start(line)
            return None
        return self._line(line, ends_with_nul=end_byte == 0)

    def _packet(self, end_byte: int, end: int) -> Detected | None:
        if self._packets is None or end_byte != self._packets.frame_end[0]:
            return None
        start, self._packet_start = self._packet_start, self._position
        if end - start > MAX_FRAME_BYTES:
            return None
        width = self._packets.frame_width(bytes(self.seen[start:end]))
        if width is None or width > MAX_CHANNELS:
            return None
        return Detected(self._only or self._packets.name, width)

    def _look_at_start(self, line: bytes) -> None:
        """The rest of a line may be a heading that is whole, if it names all channels."""
        channels = () if self._needs is None else self._needs.channels
        heading = read_heading(line, channels) if channels and len(line) <= MAX_TEXT_BYTES else None
        if heading is not None and names_all(heading, channels):
            self._take_text(line, heading)

    def _line(self, line: bytes, *, ends_with_nul: bool) -> Detected | None:
        readings = self._readings(line)
        if isinstance(readings, Refused):
            self._refused[readings.why] += 1
            if not self._found:
                self._refuse(REFUSING_LINES)
            return None
        if readings is None:
            if is_text(line) and len(line) <= MAX_TEXT_BYTES:
                channels = () if self._needs is None else self._needs.channels
                self._take_text(
                    line, read_heading(line, channels) if self._only in {None, "csv", "csv-comma"} else None
                )
            else:
                self._last = None
            return None
        reading = self._chosen(readings, line)
        form = reading.form._replace(ends_with_nul=ends_with_nul)
        if self._is_part(reading):
            return self._part(reading, form)
        names = reading.fields.names
        wanted = names if self._needs is None else self._needs.wanted(names)
        candidate = _Candidate(form, len(wanted) if names else reading.width, wanted)
        self._lines.setdefault(candidate, line)
        return self._count(candidate, reading.fields.units)

    def _readings(self, line: bytes) -> list[LineReading] | Refused | None:
        if self._table is not None and (found := read_row(line, self._table)) is not None:
            return [LineReading(self._table, Fields("numbers", tuple(found[1])))]
        readings = read_line(line, "." if self._point else self._decimal)
        if not isinstance(readings, list):
            return readings if isinstance(readings, Refused) else None
        if self._only is None:
            return readings
        layout = _LINE_FORMATS[self._only].layout
        as_json = self._only == JsonLines.name  # an array of JSON has no names
        mine = [
            reading
            for reading in readings
            if reading.form.layout == layout
            or (as_json and [decoration.kind for decoration in reading.form.decorations] == ["square brackets"])
        ]
        return mine or None

    def _chosen(self, readings: list[LineReading], line: bytes) -> LineReading:
        """The way to read a line; of two, the one that the model can use.

        Raises
        ------
        FormatError
            Both have a meaning.
        """
        if len(readings) == 1:
            return readings[0]
        comma, point = readings
        outer = any(separator in line for separator in (b";", b"\t", b"|"))
        if self._needs is None:
            if outer:
                return comma
        else:
            fits = [self._needs.fit((), reading.width) for reading in readings]
            if fits == [True, False]:
                return comma
            if fits == [False, True] and b", " in line and not outer:
                return point
        raise FormatError(
            f"the line {line[:60].decode('utf-8', 'backslashreplace')!r} can be read in two ways: as {comma.width} "
            f"numbers with decimal commas ({_shown(comma)}), or as {point.width} with commas between them "
            f"({_shown(point)}); say which with --format csv-comma or --format csv, or have the board print points"
        )

    def _is_part(self, reading: LineReading) -> bool:
        """Whether a line holds one named number of a sample of several."""
        fields = reading.fields
        return fields.layout == "named" and len(fields.names) == 1 and not (self._needs and self._needs.size == 1)

    def _part(self, reading: LineReading, form: LineForm) -> Detected | None:
        """A line that holds one number; the names up to the first that comes again make a sample."""
        name = reading.fields.names[0]
        if name not in self._cycle and len(self._cycle) < MAX_CHANNELS:
            self._cycle[name] = None
            return None
        names, self._cycle = tuple(self._cycle), {name: None}
        wanted = names if self._needs is None else self._needs.wanted(names)
        if self._needs is not None and self._needs.channels and not self.whole_start:
            wanted = _begun_with(wanted, self._needs.channels)
        return self._count(_Candidate(form._replace(one_each=len(wanted) > 1), len(wanted), wanted), ())

    def _count(self, candidate: _Candidate, units: tuple[str, ...]) -> Detected | None:
        in_a_row = candidate == self._last
        self._last = candidate
        self._found[candidate] += 1
        self._units.setdefault(candidate, units)
        self._texts_before.setdefault(candidate, tuple(self._texts))
        if self._needs is None:
            if in_a_row and not self._patient:
                return self._detected(candidate)
        elif self._found[candidate] >= AGREEING_FRAMES and self._fits(candidate):
            return self._detected(candidate)
        best = self._most_frequent() if self._found.total() >= PATIENCE else None
        return None if best is None else self._detected(best)

    def _fits(self, candidate: _Candidate) -> bool:
        if self._needs is None:
            return True
        names = candidate.names or self._names_of_heading(candidate)
        return self._needs.fit(names, candidate.width) or (self._needs.fit((), candidate.width) and not candidate.names)

    def _names_of_heading(self, candidate: _Candidate) -> tuple[str, ...]:
        heading = self.heading
        return heading.channels if heading is not None and len(heading.channels) == candidate.width else ()

    def _most_frequent(self) -> _Candidate | None:
        """The form of most lines that the model can use, else of most lines."""
        if not self._found and len(self._cycle) > 0:  # a file that ends after the first sample
            names = tuple(self._cycle)
            return _Candidate(LineForm("named", one_each=len(names) > 1), len(names), names)
        ranked = sorted(self._found.items(), key=lambda item: (self._fits(item[0]), item[1]), reverse=True)
        return ranked[0][0] if ranked else None

    def _refuse(self, least: int) -> None:
        if self._refused.total() < least:
            return
        (why, _), *_ = self._refused.most_common(1)
        raise FormatError(
            f"the source sends {why}: that is not read; have the board send plain numbers, such as 0.12,9.81"
        )

    def _take_text(self, line: bytes, heading: Heading | None) -> None:
        self._texts.append(line)
        if heading is None:
            return
        channels = () if self._needs is None else self._needs.channels
        if heading.label is not None and not set(channels) & {"label"}:
            self._table = LineForm("numbers", label=heading.label, separator=heading.separator)
        before = self.heading
        is_better = before is None or not channels or not names_all(before, channels) or names_all(heading, channels)
        self.heading = heading if is_better else before  # a message may look like names

    def _detected(self, found: _Candidate) -> Detected:
        """With the names of the heading, if lines have none; what else was said before the samples."""
        name = _FORMAT_OF[found.form.layout] if self._only is None else self._only
        if name == "csv" and found.form.decimal == ",":
            name = CommaCsv.name
        texts = self._texts_before.get(found, ())
        if found.names:
            return Detected(name, found.width, found.names, self._units.get(found, ()), found.form, texts)
        heading = None if self.heading is None else _without_decorations(self.heading, found)
        if heading is None:
            self._expect_one_reading(found)
            return Detected(name, found.width, (), (), found.form, texts)
        channels = () if self._needs is None else self._needs.channels
        if len(heading.channels) != found.width:
            if channels and names_all(heading, channels) and not (self._needs and self._needs.columns):
                raise FormatError(
                    f"the heading names {len(heading.channels)} numbers ({', '.join(heading.channels)}), the samples "
                    f"after it have {found.width}: have the board send as many as it names, or choose with --columns"
                )
            return Detected(name, found.width, (), (), found.form, texts)
        texts = tuple(text for text in texts if read_heading(text, channels) != self.heading)
        return Detected(name, found.width, heading.channels, heading.units, found.form, texts)

    def _expect_one_reading(self, found: _Candidate) -> None:
        """Twice as many whole numbers as the model takes, with commas between them, may be decimal ones."""
        line, needs = self._lines.get(found, b""), self._needs
        if (
            needs is None
            or needs.columns
            or self._point
            or found.width != 2 * needs.size
            or not _WHOLE_PAIRS.match(line)
        ):
            return
        fields = line.strip().decode().split(",")
        decimals = [f"{whole}.{part}" for whole, part in zip(fields[::2], fields[1::2], strict=True)]
        raise FormatError(
            f"the line {line[:60].decode()!r} can be read in two ways: as {found.width} numbers, or as {needs.size} "
            f"with decimal commas ({' '.join(decimals[:4])}); the model takes {needs.size}: have the board print "
            f"points, or semicolons between the numbers"
        )

    def _forget(self) -> None:
        """Drop what is too old to matter, so that the memory stays bounded on a source of garbage."""
        surplus = len(self.seen) - MAX_FRAME_BYTES
        if len(self.seen) > MAX_DETECT_BYTES:
            del self.seen[:surplus]
            self.whole_start = self._first_is_whole = False
            self._position -= surplus
            self._packet_start = max(self._packet_start - surplus, 0)
            if self._line_start is not None:
                self._line_start = self._line_start - surplus if self._line_start >= surplus else None
                self._first_is_whole = True


def _without_decorations(heading: Heading, found: _Candidate) -> Heading:
    """Without the names of what stands around the numbers, such as times in words and identifiers."""
    before = sum(decoration.kind in _NAMED_DECORATIONS for decoration in found.form.decorations)
    after = sum(decoration.kind == AFTER_NUMBERS for decoration in found.form.decorations)
    if not before + after or len(heading.channels) != found.width + before + after:
        return heading
    kept = slice(before, before + found.width)
    return heading._replace(channels=heading.channels[kept], units=heading.units[kept])


def _begun_with(names: tuple[str, ...], channels: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the same circle, begun with the model's first channel: where a sample begins was not seen."""
    place = places_by_name(names, channels)[0] or 0
    return names[place:] + names[:place]


def _shown(reading: LineReading) -> str:
    values = [f"{value.number:g}" for value in reading.fields.values[:4]]
    return " ".join(values) + (" …" if reading.width > 4 else "")
