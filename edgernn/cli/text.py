"""Text for a terminal: nothing from a model or a port can control it; columns line up."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click


def escape(text: str, keep: str = "") -> str:
    r"""Show control, formatting and unassigned characters as ``\x1b`` or ``\u202e``, so that text stays text.

    Characters in `keep` pass.

    Examples
    --------
    >>> print(escape("wave ✋ \x1b[2J"))
    wave ✋ \x1b[2J
    """
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def format_table(rows: Sequence[Sequence[object]], indent: int = 2) -> str:
    """Rows as lines with aligned columns, escaped. Numbers stand to the right, everything else to the left.

    Examples
    --------
    >>> print(format_table([("hidden", 32), ("in", 6)], indent=0))
    hidden  32
    in       6
    """
    texts = [[escape(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = []
    for row, cells in zip(rows, texts, strict=True):
        aligned = (
            text.rjust(width) if isinstance(cell, int | float) else text.ljust(width)
            for cell, text, width in zip(row, cells, widths, strict=True)
        )
        lines.append((" " * indent + "  ".join(aligned)).rstrip())
    return "\n".join(lines)


def print_json(result: Any) -> None:
    """One JSON document on stdout; everything but ASCII is escaped."""
    click.echo(json.dumps(result, indent=2))


def progress(name: str, what: str) -> Callable[[int, int], None]:
    """A callback that takes the number done and the total, and shows the progress on a terminal."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\r\x1b[K" if done == total else f"\r{escape(name)}: {what} {done} of {total}\x1b[K"
            click.echo(end, err=True, nl=False)

    return show


def warn(message: str) -> None:
    """A warning on stderr."""
    click.echo(f"edgernn: warning: {escape(message)}", err=True)
