"""``edgernn run``: a source to events, live."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgernn.cli.options import LoadOptions, json_option, model_options
from edgernn.cli.reading_options import allow_dropped_option
from edgernn.cli.realtime_options import realtime_options, say_grants, wanted_parts
from edgernn.cli.stream_options import given_settings, stream_options
from edgernn.cli.text import escape
from edgernn.stream.stop_signals import stop_signals

if TYPE_CHECKING:
    from edgernn.stream.stream import Stream, StreamStatus

MAX_DRIFT_PPM = 50_000  # of a clock that deserves the name


@click.command()
@click.argument("model", metavar="MODEL|CONFIG.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("source", required=False)
@model_options
@json_option
@stream_options
@allow_dropped_option
@realtime_options
@click.option("--baud", type=int, help="Bits per second of the serial port.  [default: 115200]")
@click.option("--no-reconnect", "reconnect", flag_value=False, default=True, help="Stop when the port is unplugged.")
@click.option("--keep-state", is_flag=True, help="Keep the state of the model over an outage.")
@click.option(
    "--output",
    multiple=True,
    metavar="FILE",
    help="Also write events to this file, .csv or JSON lines; may be repeated.",
)
def run(model: Path, source: str | None, load_options: LoadOptions, as_json: bool, **options: Any) -> None:
    """Turn a source of samples into events, live.

    SOURCE is a serial port, a file, stdin: or an address such as serial:///dev/ttyACM0?baud=115200&format=csv; without
    it the only serial port is used. Events go to standard output, everything else to standard error. Ctrl-C ends it,
    as SIGTERM, SIGHUP and SIGQUIT do.

    A setting that is not given as an option is taken from the variable EDGERNN_NAME, the TOML file or the model; see
    `edgernn docs configuration`.

    \b
    Example:
      edgernn run gesture.onnx
      edgernn run gesture.onnx /dev/ttyACM0 --threshold 0.8 --json
      edgernn run gesture.toml replay:///data/monday.csv --output events.csv
    """
    from edgernn.cli.status_line import StatusLine
    from edgernn.recordings.report import expect_few_dropped
    from edgernn.stream.realtime import realtime as ask_for_realtime
    from edgernn.stream.sinks import make_sink
    from edgernn.stream.sources.replay import ReplaySource
    from edgernn.stream.stream import open_stream
    from edgernn.stream.systemd import Notifier

    line = StatusLine()

    def notice(text: str) -> None:
        line.clear()
        click.echo(f"edgernn: {escape(text)}", err=True)

    allow_dropped = options.pop("allow_dropped")
    stream = open_stream(model, source, on_notice=notice, **given_settings(load_options, options))
    settings = stream.settings
    with contextlib.ExitStack() as stack:
        addresses = [f"stdout:?format={'json' if as_json else 'text'}", *settings.output]
        sinks = [make_sink(address, on_notice=notice) for address in addresses]
        for sink in sinks:
            stack.callback(sink.close)
        if parts := wanted_parts(settings.realtime, settings.realtime_without):
            core, priority = settings.realtime_core, settings.realtime_priority
            say_grants(stack.enter_context(ask_for_realtime(parts, core=core, priority=priority)))
        stack.enter_context(_stopped_by_signals(stream))
        stack.enter_context(stream)
        stack.callback(lambda: click.echo(summary(stream.status()), err=True))  # also after an error
        stack.callback(line.clear)
        notifier = Notifier()
        try:
            notifier.ready()
            steps = 0
            for events in stream.reads():
                for event in events:
                    line.clear()
                    for sink in sinks:
                        sink.write(event)
                for sink in sinks:
                    sink.tick()
                if stream.pipeline.steps != steps:
                    steps = stream.pipeline.steps
                    notifier.worked()
                line.show(stream)
        except BrokenPipeError as error:  # as in `edgernn run ... | head`
            notice(str(error))
        notifier.stopping()
    if isinstance(stream.source, ReplaySource):
        expect_few_dropped(stream.source.name, stream.status().counts, allowed=allow_dropped)


@contextlib.contextmanager
def _stopped_by_signals(stream: Stream) -> Iterator[None]:
    """Signals end the stream, so that the summary is printed."""

    def stop(number: int, frame: object) -> None:
        stream.stop()

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(status: StreamStatus) -> str:
    """Summary of a stream, in a few lines."""
    rate = "" if status.rate_hz is None else f" at {status.rate_hz:.1f} Hz"
    form = status.format or "no known format"
    lines = [f"{status.events} events in {status.steps} samples{rate}, {status.bytes} bytes as {form}"]
    if status.latency_p50_ns is not None and status.latency_p99_ns is not None:
        lines.append(
            f"latency from bytes to decision: p50 {status.latency_p50_ns / 1000:.0f} µs, "
            f"p99 {status.latency_p99_ns / 1000:.0f} µs"
        )
    if status.drift_ppm is not None and abs(status.drift_ppm) <= MAX_DRIFT_PPM:
        lines.append(f"the board's clock runs {status.drift_ppm:+.0f} ppm against this one")
    elif status.drift_ppm is not None:
        lines.append(
            "the board's clock does not fit the arrival times: the bytes were delayed, or the clock has another unit "
            "(call it t_s, t_ms or t_us)"
        )
    trouble = {kind: count for kind, count in status.counts.items() if count and kind != "samples"}
    trouble |= {"dropped_bytes": status.dropped_bytes, "reconnects": status.reconnects}
    counts = [f"{kind.replace('_', ' ')} {count}" for kind, count in trouble.items() if count]
    counts += [f"{cause} for {seconds:.1f} s" for cause, seconds in status.silent_s.items()]
    if not status.counts.get("samples"):
        counts.insert(0, "no samples came")
    lines.append(f"warnings: {', '.join(counts)}" if counts else "nothing was lost or malformed")
    return "\n".join(lines)
