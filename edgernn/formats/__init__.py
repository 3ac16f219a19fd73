"""Formats: bytes to samples, without input or output of their own.

To add one: a module with a subclass of `edgernn.formats.base.Format`, and a line in `FORMATS`.
"""

from __future__ import annotations

from importlib import import_module

from edgernn.errors import FormatError
from edgernn.formats.base import Format

# name -> module:class, imported when used
FORMATS: dict[str, str] = {
    "csv": "edgernn.formats.csv:Csv",
    "cobs": "edgernn.formats.cobs:Cobs",
}


def make_format(name: str, width: int, *, whole_start: bool = False) -> Format:
    """A parser of the format called `name` for samples of `width` numbers.

    Raises
    ------
    FormatError
        There is no such format, or `width` is out of range.
    """
    if name not in FORMATS:
        raise FormatError(f"there is no format {name!r}: use {', '.join(FORMATS)} or auto")
    module, attribute = FORMATS[name].split(":")
    parser: Format = getattr(import_module(module), attribute)(width, whole_start=whole_start)
    return parser


def link_formats(name: str | None = None) -> None:
    """Have the compiled parser of one format, or of all, ready before the first bytes come."""
    for candidate in FORMATS if name is None else (name,):
        make_format(candidate, 1)
