"""Formats: bytes to samples, without input or output of their own.

To add one: a module with a subclass of `edgernn.stream.formats.base.Format`, and a line in `FORMATS`; from another
package, an entry point in the group ``edgernn.formats``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from edgernn.errors import FormatError
from edgernn.stream.formats.base import Format
from edgernn.stream.formats.line import LineForm
from edgernn.stream.formats.lines import Lines
from edgernn.stream.formats.names import clock_columns
from edgernn.stream.plugins import Plugins

# name -> module:class, imported when used
FORMATS: dict[str, str] = {
    "csv": "edgernn.stream.formats.csv:Csv",
    "csv-comma": "edgernn.stream.formats.lines:CommaCsv",
    "plotter": "edgernn.stream.formats.lines:Plotter",
    "jsonl": "edgernn.stream.formats.lines:JsonLines",
    "cobs": "edgernn.stream.formats.cobs:Cobs",
}
PLUGINS = Plugins("edgernn.formats", FORMATS)


def make_format(
    name: str,
    width: int,
    *,
    whole_start: bool = False,
    channels: tuple[str, ...] = (),
    taken: Collection[int] = (),
    form: LineForm | None = None,
) -> Format:
    """A parser of the format called `name` for samples of `width` numbers.

    They are called `channels`, if lines or a heading name them; so the sender's clock and sequence are known, which are
    none of the numbers at the places `taken`. `form` says what lines of text look like; plain ones if not given.

    Raises
    ------
    FormatError
        There is no such format, or `width` is out of range.
    """
    kind = format_kind(name)
    parser: Format
    if not issubclass(kind, Lines):
        parser = kind(width, whole_start=whole_start)
    elif kind.is_compiled and form in {None, LineForm("numbers")}:
        parser = kind(width, channels=channels, whole_start=whole_start)
    else:
        kind = Lines if kind.is_compiled else kind
        parser = kind(width, channels=channels, form=form, whole_start=whole_start)
    parser.clock = clock_columns(channels, taken)
    return parser


def format_kind(name: str) -> Any:
    """The class of the format called `name`.

    Raises
    ------
    FormatError
        There is no such format.
    MissingPackageError
        It belongs to another package, which cannot be imported.
    """
    kind = PLUGINS.find(name)
    if kind is None:
        raise FormatError(f"there is no format {name!r}: use {', '.join(PLUGINS.names())} or auto")
    return kind


def link_formats(name: str | None = None) -> None:
    """Have the compiled parser of one format, or of all, ready before the first bytes come."""
    for candidate in FORMATS if name is None else (name,):
        if format_kind(candidate).is_compiled:
            make_format(candidate, 1)
