"""Events as lines of text, JSON or CSV."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from edgernn.stream.events import Event

Style = Literal["text", "json", "csv"]

CSV_HEADING = ",".join(Event.__struct_fields__)


def format_event(event: Event, style: Style) -> str:
    """One line without its end. Characters that could control a terminal, or begin a new line, are escaped.

    Examples
    --------
    >>> event = Event(1_700_000_000_250_000_000, 5, 120, "wave", 0.91796875, 80_000)
    >>> print(format_event(event, "text"))
    2023-11-14T22:13:20.250Z  wave  0.92
    >>> print(format_event(event, "csv"))
    1700000000250000000,5,120,wave,0.91796875,80000
    """
    if style == "json":
        return msgspec.json.encode(event).decode()
    if style == "csv":
        return ",".join(_csv_field(value) for value in msgspec.structs.astuple(event))
    time = datetime.fromtimestamp(event.time_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")
    return f"{time.removesuffix('+00:00')}Z  {_escaped(event.label)}  {event.score:.2f}"


def _csv_field(value: object) -> str:
    """A field by RFC 4180."""
    text = _escaped(str(value))
    return '"' + text.replace('"', '""') + '"' if any(character in text for character in '",') else text


def _escaped(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
