"""``edgernn demo``: the whole path with no hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgernn.cli.options import FiniteRange
from edgernn.cli.text import escape, format_table, print_json

if TYPE_CHECKING:
    from edgernn.demo import Recognition
    from edgernn.stream.events import Event


@click.command()
@click.option("--speed", type=FiniteRange(0.1, 100), default=1.0, show_default=True, help="Times faster than recorded.")
@click.option("--seconds", type=FiniteRange(min=0.1), help="Play only the first seconds of the recording.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead.")
def demo(speed: float, seconds: float | None, as_json: bool) -> None:
    """See the whole path with no hardware.

    A virtual serial port plays the recording of a person who does several exercises, line by line, as a board with
    an accelerometer and a gyroscope would send it. The ordinary serial source reads it, and a model that has never seen
    this person recognizes the exercises.

    \b
    Example:
      edgernn demo
      edgernn demo --speed 10 --seconds 60
    """
    from edgernn.cli.run import summary
    from edgernn.cli.status_line import StatusLine
    from edgernn.demo import compare, play, read_recording

    recording = read_recording(seconds)
    line = StatusLine()

    def show_event(event: Event) -> None:
        line.clear()
        if not as_json:
            click.echo(_format_event(event, recording.rate_hz))

    length_s = len(recording.samples) / recording.rate_hz / speed
    click.echo(f"playing {length_s:.0f} s into a virtual serial port; Ctrl-C ends it", err=True)
    events, stream_status = play(recording, speed=speed, on_event=show_event, on_read=line.show)
    line.clear()
    recognitions = compare(recording, events, stream_status.steps)
    if as_json:
        print_json([_plain(recognition) for recognition in recognitions])
    else:
        click.echo(_format_summary(recognitions, recording.rate_hz))
        click.echo(summary(stream_status), err=True)


def _format_event(event: Event, rate_hz: float) -> str:
    time = _format_time(event.step / rate_hz)
    return f"{time}  {escape(event.label):8} {event.score:.2f}  {event.latency_ns / 1000:.0f} µs after its bytes"


def _format_time(time_s: float) -> str:
    return f"{int(time_s // 60)}:{time_s % 60:04.1f}"


def _format_summary(recognitions: list[Recognition], rate_hz: float) -> str:
    rows: list[tuple[object, ...]] = [("from", "to", "exercise", "recognized after", "also reported")]
    for (start, stop, label), after_s, others in recognitions:
        after = "never" if after_s is None else f"{after_s:.1f} s"
        also = ", ".join(event.label for event in others)
        rows.append((_format_time(start / rate_hz), _format_time(stop / rate_hz), label, after, also))
    right = sum(recognition.after_s is not None for recognition in recognitions)
    wrong = sum(len(recognition.others) for recognition in recognitions)
    return f"{format_table(rows)}\n{right} of {len(recognitions)} exercises recognized, {wrong} wrong events"


def _plain(recognition: Recognition) -> dict[str, object]:
    return {
        **recognition.interval._asdict(),
        "recognized_after_s": recognition.after_s,
        "also_reported": [event.label for event in recognition.others],
    }
