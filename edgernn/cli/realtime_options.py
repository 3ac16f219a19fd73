"""The options that ask for real time: ``run`` takes them as settings of the stream, ``profile`` as a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from edgernn.cli.options import Command, option_group
from edgernn.cli.text import escape

if TYPE_CHECKING:
    from edgernn.stream.realtime import Grant, Part

_OPTIONS = (
    click.option(
        "--realtime",
        is_flag=True,
        help="Ask for garbage collection off, one CPU core, SCHED_FIFO and locked memory, and report what was granted.",
    ),
    click.option(
        "--without",
        "realtime_without",
        multiple=True,
        type=click.Choice(["gc", "core", "fifo", "memory"]),
        help="Part of --realtime to omit; may be repeated.",
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
        help="Priority of SCHED_FIFO.",
    ),
)


def realtime_options(function: Command) -> Command:
    """Add the options; the command gets each of them, by the name of its setting."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


class RealtimeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for with the options."""

    realtime: bool
    realtime_without: tuple[str, ...]
    realtime_core: int | None
    realtime_priority: int

    def parts(self) -> list[Part]:
        """What is to be asked for."""
        return wanted_parts(self.realtime, self.realtime_without)


realtime_group = option_group("realtime", RealtimeOptions, _OPTIONS)


def wanted_parts(realtime: bool, without: Sequence[str]) -> list[Part]:
    """What is to be asked for.

    Raises
    ------
    click.UsageError
        Something is left out of what was not asked for.
    """
    from edgernn.stream.realtime import PARTS

    if without and not realtime:
        raise click.UsageError("--without needs --realtime")
    return [part for part in PARTS if part not in without] if realtime else []


def say_grants(grants: Sequence[Grant]) -> None:
    """What was granted, on standard error."""
    for part, granted, detail in grants:
        click.echo(f"edgernn: realtime {part}: {'' if granted else 'refused: '}{escape(detail)}", err=True)
