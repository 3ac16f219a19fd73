"""Headings: lines that name the numbers of the samples after them, such as ``ax [g],ay [g],az [g]``.

Names are separated by commas, semicolons, tabs or ``|``; by spaces if they name the model's channels. A name begins
with a letter; its unit may follow in brackets. A mark of comments, a title (``Data:``), quotes, terminal colours and a
byte order mark may stand around.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgernn.stream.formats.decoration import plain_text
from edgernn.stream.formats.names import MAX_NAME_BYTES, places_by_name

LABELS = frozenset({"label", "labels", "class", "activity", "target"})  # columns of text, not of numbers
MAX_NAME_WORDS = 2  # of names that are not the model's channels
_NAME = r"[^\W\d][\w./ -]*"
_HEADED = re.compile(rf"({_NAME}?)\s*(?:\[([^\[\]]*)\]|\(([^()]*)\))?")
_TITLE = re.compile(r"^[^\W\d][\w ]{0,31}:\s*(?=[^\W\d])")
_BEFORE_UNIT = re.compile(r"\s+(?=[\[(])")


class Heading(NamedTuple):
    """Names of the numbers of a sample, and their units; an empty text where none stands there.

    `label` is the place of a column of text that says what was done; it is none of the numbers. `separator` stands
    between the names.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    label: int | None = None
    separator: str = ","


def read_heading(line: bytes, channels: Sequence[str] = ()) -> Heading | None:
    """The names in a line without its end; None if it is no heading.

    Where the model's `channels` are known and the line can be read in several ways, the one that names them all wins.

    Examples
    --------
    >>> read_heading(b'time_ms, ax [g], "ay (g)"')
    Heading(channels=('time_ms', 'ax', 'ay'), units=('', 'g', 'g'), label=None, separator=',')
    >>> read_heading(b"MPU6050 ready, range 2 g")
    >>> read_heading(b"# Data: z x y", ("x", "y", "z")).channels
    ('z', 'x', 'y')
    """
    found = list(_readings(line))
    names = (heading for heading in found if names_all(heading, channels))
    if channels and (best := next(names, None)) is not None:
        return best
    return next((heading for heading in found if heading.separator != " " and _is_short(heading)), None)


def _is_short(heading: Heading) -> bool:
    """Whether no name is a sentence."""
    return all(len(name.split()) <= MAX_NAME_WORDS for name in heading.channels)


def names_all(heading: Heading, channels: Sequence[str]) -> bool:
    """Whether a heading names all channels."""
    return None not in places_by_name(heading.channels, channels)


def parse_names(fields: Sequence[str], separator: str = ",") -> Heading | None:
    """Names and units in the fields of a heading; None if one is no name, or stands there twice."""
    found = [_HEADED.fullmatch(field.strip().strip("\"'").strip()) for field in fields]
    names = [match[1].strip() for match in found if match is not None]
    if not names or len(names) != len(fields) or not all(names) or len(set(names)) != len(names):
        return None
    if any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return None
    units = [(match[2] or match[3] or "").strip() for match in found if match is not None]
    label = next((place for place, name in enumerate(names) if name.casefold() in LABELS), None)
    if label is not None and len(names) > 1:
        del names[label], units[label]
    else:
        label = None
    return Heading(tuple(names), tuple(units), label, separator)


def write_heading(channels: Sequence[str], units: Sequence[str]) -> bytes:
    """A heading as `read_heading` reads it, with the end of its line; nothing without names.

    Examples
    --------
    >>> write_heading(("ax", "ay"), ("g", ""))
    b'ax [g],ay\\n'
    """
    fields = [f"{name} [{unit}]" if unit else name for name, unit in zip(channels, units, strict=True)]
    return (",".join(fields) + ("," if len(fields) == 1 else "") + "\n").encode() if fields else b""


def _readings(line: bytes) -> Iterator[Heading]:
    """Ways to read a line as names, those with a clear separator first."""
    text = plain_text(line)
    if not text:
        return
    text = text.lstrip("#%/*;! \t")
    for words in dict.fromkeys((text, _TITLE.sub("", text))):
        for separator in ",;\t|":
            if separator in words:
                heading = parse_names(words.rstrip(f" {separator}").split(separator), separator)
                if heading is not None:
                    yield heading
        fields = _BEFORE_UNIT.sub("", words).split()
        if not any(separator in words for separator in ",;\t|"):
            heading = parse_names(fields, " ")
            if heading is not None:
                yield heading
