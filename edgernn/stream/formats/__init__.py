"""Formats: bytes to samples, without input or output of their own.

To add one: a module with a subclass of `edgernn.stream.formats.base.Format`, and a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any

from edgernn.errors import FormatError
from edgernn.stream.formats.base import Format
from edgernn.stream.formats.names import clock_columns

# name -> module:class, imported when used
FORMATS: dict[str, str] = {
    "csv": "edgernn.stream.formats.csv:Csv",
    "plotter": "edgernn.stream.formats.plotter:Plotter",
    "jsonl": "edgernn.stream.formats.jsonl:JsonLines",
    "cobs": "edgernn.stream.formats.cobs:Cobs",
}


def make_format(
    name: str,
    width: int,
    *,
    whole_start: bool = False,
    channels: tuple[str, ...] = (),
    taken: Collection[int] = (),
) -> Format:
    """A parser of the format called `name` for samples of `width` numbers.

    They are called `channels`, if lines or a heading name them; so the sender's clock and sequence are known, which are
    none of the numbers at the places `taken`.

    Raises
    ------
    FormatError
        There is no such format, or `width` is out of range.
    """
    if name not in FORMATS:
        raise FormatError(f"there is no format {name!r}: use {', '.join(FORMATS)} or auto")
    kind = _kind(name)
    parser: Format = kind(width, whole_start=whole_start, **({} if kind.is_compiled else {"channels": channels}))
    parser.clock = clock_columns(channels, taken)
    return parser


def link_formats(name: str | None = None) -> None:
    """Have the compiled parser of one format, or of all, ready before the first bytes come."""
    for candidate in FORMATS if name is None else (name,):
        if _kind(candidate).is_compiled:
            make_format(candidate, 1)


def _kind(name: str) -> Any:
    module, attribute = FORMATS[name].split(":")
    return getattr(import_module(module), attribute)
