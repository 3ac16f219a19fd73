"""``edgernn record``: records the bytes of a source, with labels for collecting examples."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from edgernn.cli.options import option_group
from edgernn.cli.text import escape

if TYPE_CHECKING:
    from edgernn.recordings.recorder import Recorder


class TakeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long it records, and what is to be done meanwhile."""

    labels: tuple[str, ...]
    seconds: float | None
    repeat: int
    pause_s: float


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How large files become, and how many are kept."""

    max_bytes: int
    rotate: int


_take_options = option_group(
    "takes",
    TakeOptions,
    (
        click.option("--label", "labels", multiple=True, metavar="NAME", help="Label of a take; may be repeated."),
        click.option(
            "--seconds", type=click.FloatRange(min=0, min_open=True), help="Length of the recording, or of each take."
        ),
        click.option(
            "--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Number of takes per label."
        ),
        click.option(
            "--pause",
            "pause_s",
            type=click.FloatRange(min=0),
            default=3.0,
            show_default=True,
            help="Seconds before each take.",
        ),
    ),
)
_file_options = option_group(
    "files",
    FileOptions,
    (
        click.option(
            "--max-bytes",
            type=click.IntRange(min=1000),
            default=1_000_000_000,
            show_default=True,
            help="Maximum size of the file; then it is renamed to FILE.1 and a new one begins.",
        ),
        click.option(
            "--rotate", type=click.IntRange(0, 1000), default=1, show_default=True, help="Number of old files to keep."
        ),
    ),
)


@click.command()
@click.argument("source", required=False)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The new file.")
@_take_options
@click.option("--baud", type=int, help="Bits per second of the serial port.  [default: 115200]")
@_file_options
def record(
    source: str | None,
    output: Path,
    takes: TakeOptions,
    baud: int | None,
    files: FileOptions,
) -> None:
    """Keep the raw bytes of SOURCE with their arrival times.

    Without --label it records for --seconds, or until Ctrl-C. With --label it counts down and tells you what to do, and
    marks each take with its label; bytes between the takes are kept without a label.

    \b
    Example:
      edgernn record /dev/ttyACM0 -o monday.edgerec
      edgernn record -o gestures.edgerec --label wave --label circle --seconds 3 --repeat 20
    """
    from edgernn.recordings.recorder import Recorder
    from edgernn.stream.sources import make_source
    from edgernn.stream.stream import only_port

    if takes.labels and takes.seconds is None:
        raise click.UsageError("--label needs --seconds, the length of a take")
    opened, format_name = make_source(source or only_port(), baud=baud)
    recorder = Recorder(opened, output, format_name=format_name, on_notice=_say, **msgspec.structs.asdict(files))
    with contextlib.suppress(KeyboardInterrupt), recorder:
        if takes.labels and takes.seconds is not None:
            _collect(recorder, takes, takes.seconds)
        else:
            _show(recorder.reads(takes.seconds), "recording", takes.seconds)
    gaps = f", bytes are missing in {recorder.gaps} places" if recorder.gaps else ""
    _say(f"{output}: {recorder.bytes} bytes{gaps}")


def _collect(recorder: Recorder, options: TakeOptions, seconds: float) -> None:
    """Record the takes with alternating labels, so that no label has all the early ones."""
    takes = [label for _ in range(options.repeat) for label in options.labels]
    for number, label in enumerate(takes, 1):
        if recorder.ended:
            _say(f"the source has ended after {number - 1} of {len(takes)} takes")
            return
        _show(recorder.reads(options.pause_s), f"take {number} of {len(takes)}: {label}, in", options.pause_s)
        recorder.mark(label)
        _show(recorder.reads(seconds), f"take {number} of {len(takes)}: NOW {label}, for", seconds)
        recorder.mark(None)


def _show(reads: Iterator[float], text: str, seconds: float | None) -> None:
    """Go through the reads; on a terminal with a line that counts down, or up without an end."""
    shown = None
    for elapsed_s in reads:
        count = math.floor(elapsed_s) if seconds is None else math.ceil(max(seconds - elapsed_s, 0.0))
        if count != shown and sys.stderr.isatty():
            click.echo(f"\r\x1b[K{escape(text)} {count} s", err=True, nl=False)
        elif shown is None:
            click.echo(f"{escape(text)} {count} s", err=True)
        shown = count
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)


def _say(text: str) -> None:
    click.echo(f"edgernn: {escape(text)}", err=True)
