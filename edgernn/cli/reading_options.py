"""Options of commands that read files of samples, and what they print of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from edgernn.cli.options import Command
from edgernn.cli.text import escape
from edgernn.stream.signals.gaps import GapPolicy

if TYPE_CHECKING:
    from edgernn.recordings.report import ReadReport

allow_dropped_option = click.option(
    "--allow-dropped", is_flag=True, help="Use a file of which more than 5 % of the rows are not read."
)
_GAPS = (
    click.option(
        "--gap",
        type=click.Choice(get_args(GapPolicy)),
        default="hold",
        show_default=True,
        help="What stands for missing numbers in files.",
    ),
    click.option(
        "--gap-steps",
        type=click.IntRange(min=0),
        default=10,
        show_default=True,
        help="Maximum missing samples in a row that are filled.",
    ),
    allow_dropped_option,
)


def reading_options(function: Command) -> Command:
    """Add the options that say how files of samples are read."""
    for option in reversed(_GAPS):
        function = option(function)
    return function


def tell(report: ReadReport) -> None:
    """Print what was read of a file, what was passed over, and what was filled."""
    click.echo(f"edgernn: {escape(str(report))}", err=True)
