"""``edgernn record``: records the bytes of a source, with labels for collecting examples."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
import msgspec

from edgernn.cli.options import option_group
from edgernn.cli.text import escape
from edgernn.errors import RecordingError

if TYPE_CHECKING:
    from edgernn.recordings.recorder import Recorder


MAX_ATTEMPTS = 5  # at one take
MIN_TAKE_SHARE = 0.9  # of the samples that should come in a take
MIN_MEASURED_S = 0.5  # of a pause that tells the rate


class TakeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long it records, and what is to be done meanwhile."""

    labels: tuple[str, ...]
    seconds: float | None
    repeat: int
    pause_s: float
    rate_hz: float | None


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
        click.option(
            "--rate",
            "rate_hz",
            type=click.FloatRange(min=0, min_open=True),
            help="Samples per second that should come.  [default: as between the takes]",
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
    marks each take with its label; bytes between the takes are kept without a label. A take without samples, or with
    fewer than nine tenths of those that should come, is asked for again. With --label no file is deleted.

    \b
    Example:
      edgernn record /dev/ttyACM0 -o monday.edgerec
      edgernn record -o gestures.edgerec --label wave --label circle --seconds 3 --repeat 20
    """
    from edgernn.recordings.recorder import Recorder, recorded_bytes
    from edgernn.stream.sinks.rotating import MAX_ROTATED
    from edgernn.stream.sources import make_source
    from edgernn.stream.stream import only_port

    if takes.labels and takes.seconds is None:
        raise click.UsageError("--label needs --seconds, the length of a take")
    opened, format_name = make_source(source or only_port(), baud=baud)
    if takes.labels:
        files = msgspec.structs.replace(files, rotate=MAX_ROTATED)  # no example is ever deleted
    recorder = Recorder(opened, output, format_name=format_name, on_notice=_say, **msgspec.structs.asdict(files))
    try:
        with contextlib.suppress(KeyboardInterrupt), recorder:
            if takes.labels and takes.seconds is not None:
                collect(recorder, takes, takes.seconds)
            else:
                _show(recorder.reads(takes.seconds), "recording", takes.seconds)
    except RecordingError as error:
        raise RecordingError(f"{error}; {output} holds {recorded_bytes(output)} of {recorder.bytes} bytes") from error
    gaps = f", bytes are missing in {recorder.gaps} places" if recorder.gaps else ""
    _say(f"{output}: {recorder.bytes} bytes{gaps}")


def collect(recorder: Recorder, options: TakeOptions, seconds: float) -> None:
    """Record the takes with alternating labels, so that no label has all the early ones; bad ones are repeated.

    Raises
    ------
    RecordingError
        A take was bad five times, or the file cannot be written.
    """
    takes = [label for _ in range(options.repeat) for label in options.labels]
    rates_hz: list[float] = []  # of pauses and good takes
    for number, label in enumerate(takes, 1):
        name = f"take {number} of {len(takes)}"
        for attempt in range(1, MAX_ATTEMPTS + 1):
            rate_hz = _watch(recorder, options.pause_s, f"{name}: {label}, in")
            rates_hz += [rate_hz] if options.pause_s >= MIN_MEASURED_S and rate_hz > 0 else []
            if recorder.ended:
                _say(f"the source has ended after {number - 1} of {len(takes)} takes")
                return
            recorder.begin_take()
            rate_hz = _watch(recorder, seconds, f"{name}: NOW {label}, for")
            complaint = _complaint(rate_hz, seconds, options.rate_hz or (median(rates_hz) if rates_hz else None))
            recorder.keep_take(None if complaint else label)
            if complaint is None:
                rates_hz.append(rate_hz)
                break
            _say(
                f"{name} {complaint}: it is not kept as {label!r}" + (", do it again" if attempt < MAX_ATTEMPTS else "")
            )
        else:
            raise RecordingError(
                f"{name} failed {MAX_ATTEMPTS} times: look at the board and its cable, then record again"
            )


def _watch(recorder: Recorder, seconds: float, text: str) -> float:
    """Record for so many seconds; how many samples a second came."""
    before = recorder.samples
    elapsed_s = _show(recorder.reads(seconds), text, seconds)
    return (recorder.samples - before) / max(elapsed_s, seconds) if elapsed_s else 0.0


def _complaint(rate_hz: float, seconds: float, expected_hz: float | None) -> str | None:
    """What is wrong with a take; None if it is good."""
    if rate_hz == 0:
        return "has no samples"
    if expected_hz is not None and rate_hz < MIN_TAKE_SHARE * expected_hz:
        return f"has {rate_hz * seconds:.0f} of {expected_hz * seconds:.0f} samples"
    return None


def _show(reads: Iterator[float], text: str, seconds: float | None) -> float:
    """Go through the reads; on a terminal with a line that counts down, or up without an end."""
    shown, elapsed_s = None, 0.0
    for elapsed_s in reads:
        count = math.floor(elapsed_s) if seconds is None else math.ceil(max(seconds - elapsed_s, 0.0))
        if count != shown and sys.stderr.isatty():
            click.echo(f"\r\x1b[K{escape(text)} {count} s", err=True, nl=False)
        elif shown is None:
            click.echo(f"{escape(text)} {count} s", err=True)
        shown = count
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    return elapsed_s


def _say(text: str) -> None:
    click.echo(f"edgernn: {escape(text)}", err=True)
