"""The options that ask for real time, shared by ``run`` and ``profile``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edgernn.cli.options import Command
from edgernn.cli.text import escape

if TYPE_CHECKING:
    from edgernn.stream.realtime import Grant, Part

_OPTIONS = (
    click.option(
        "--realtime",
        is_flag=True,
        help="Ask for garbage collection off, one CPU core, SCHED_FIFO and locked memory; says what was granted.",
    ),
    click.option(
        "--without",
        "realtime_without",
        multiple=True,
        type=click.Choice(["gc", "core", "fifo", "memory"]),
        help="Leave this out of --realtime; may be repeated.",
    ),
    click.option(
        "--core", "realtime_core", type=click.IntRange(min=0), help="CPU core of --realtime.  [default: the last]"
    ),
    click.option(
        "--priority",
        "realtime_priority",
        type=click.IntRange(1, 99),
        default=10,
        show_default=True,
        help="Of SCHED_FIFO.",
    ),
)


def realtime_options(function: Command) -> Command:
    """Add the options; the command gets them as ``realtime`` and ``realtime_without``, ``_core`` and ``_priority``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def wanted_parts(realtime: bool, without: Sequence[str]) -> list[Part]:
    """What is to be asked for.

    Raises
    ------
    click.UsageError
        Something is left out of what was not asked for.
    """
    from edgernn.stream.realtime import PARTS

    if without and not realtime:
        raise click.UsageError("--without leaves something out of --realtime, which is not given")
    return [part for part in PARTS if part not in without] if realtime else []


def say_grants(grants: Sequence[Grant]) -> None:
    """What was granted, on standard error."""
    for part, granted, detail in grants:
        click.echo(f"edgernn: realtime {part}: {'' if granted else 'refused: '}{escape(detail)}", err=True)
