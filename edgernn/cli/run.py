"""``edgernn run``: a source to events, live."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgernn.cli.options import LoadOptions, json_option, model_options
from edgernn.cli.text import escape

if TYPE_CHECKING:
    from edgernn.stream import Stream, StreamStatus


def _numbers(kind: type[int] | type[float]) -> Callable[..., list[int] | list[float] | None]:
    """Callback that reads a list of numbers separated by commas."""

    def read(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | list[float] | None:
        try:
            return None if value is None else [kind(entry) for entry in value.split(",")]
        except ValueError:
            raise click.BadParameter(f"{value!r} is no list of numbers separated by commas", ctx, parameter) from None

    return read


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [entry.strip() for entry in value.split(",")]


_DECISION_SETTINGS = ("smoothing_steps", "threshold", "release", "minimum_steps", "hold_off_steps", "nothing")


@click.command()
@click.argument("model", metavar="MODEL|CONFIG.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("source", required=False)
@model_options
@json_option
@click.option("--format", help="How samples are sent: auto, csv or cobs.")
@click.option("--baud", type=int, help="Bits a second of the serial port.  [default: 115200]")
@click.option("--columns", callback=_numbers(int), metavar="N,N,…", help="Numbers of a sample to use, counted from 0.")
@click.option("--scale", type=float, help="Unit of the numbers as they are sent, for boards that send counts.")
@click.option("--labels", callback=_names, metavar="NAME,…", help="Names of the model's scores.")
@click.option("--rate", "rate_hz", type=float, help="Samples a second that the model was trained at.")
@click.option("--mean", callback=_numbers(float), metavar="X,…", help="Subtracted from each channel.")
@click.option("--std", callback=_numbers(float), metavar="X,…", help="Divides each channel.")
@click.option("--continuous", is_flag=True, help="Never begin anew, also if trained on windows.")
@click.option("--reset-every", type=click.IntRange(min=1), help="Begin anew every so many samples.")
@click.option("--logits", is_flag=True, help="Apply Softmax to the model's output.")
@click.option("--raw-scores", is_flag=True, help="Decide on the model's numbers as they are.")
@click.option("--smoothing", "smoothing_steps", type=int, help="Outputs in the moving average.")
@click.option("--threshold", type=float, help="Smoothed score from which a label is recognised.")
@click.option("--release", type=float, help="Smoothed score below which it ends.")
@click.option("--minimum", "minimum_steps", type=int, help="Outputs for which a label must stay on top.")
@click.option("--hold-off", "hold_off_steps", type=int, help="Outputs after an event without another.")
@click.option("--nothing", help="The label that never makes an event.")
@click.option("--gap", type=click.Choice(["hold", "interpolate", "reset"]), help="What stands for missing samples.")
@click.option("--gap-steps", type=int, help="Most missing samples in a row that are filled.")
@click.option("--allow-rate", is_flag=True, help="Go on at another rate than the model's.")
@click.option("--no-reconnect", "reconnect", flag_value=False, default=True, help="End when the port is unplugged.")
@click.option("--keep-state", is_flag=True, help="After an outage go on with the old state.")
@click.option("--output", multiple=True, metavar="FILE", help="Also write events here; .csv or JSON lines. Repeatable.")
def run(model: Path, source: str | None, load_options: LoadOptions, as_json: bool, **options: Any) -> None:
    """Turn a source of samples into events, live.

    SOURCE is a serial port, a file, stdin: or an address such as serial:///dev/ttyACM0?baud=115200&format=csv; without
    it the only serial port is used. Events go to standard output, everything else to standard error. Ctrl-C ends it.

    A setting that is not given as an option is taken from the variable EDGERNN_NAME, the TOML file, the model.

    \b
    Example:
      edgernn run gesture.onnx
      edgernn run gesture.onnx /dev/ttyACM0 --threshold 0.8 --json
      edgernn run gesture.toml replay:///data/monday.csv --output events.csv
    """
    from edgernn.cli.status_line import StatusLine
    from edgernn.sinks import make_sink
    from edgernn.stream import open_stream

    line = StatusLine()

    def notice(text: str) -> None:
        line.clear()
        click.echo(f"edgernn: {escape(text)}", err=True)

    stream = open_stream(model, source, on_notice=notice, **_settings(load_options, options))
    with contextlib.ExitStack() as stack:
        addresses = [f"stdout:?format={'json' if as_json else 'text'}", *stream.settings.output]
        sinks = [make_sink(address, on_notice=notice) for address in addresses]
        for sink in sinks:
            stack.callback(sink.close)
        stack.enter_context(_stopped_by_signals(stream))
        stack.enter_context(stream)
        with contextlib.suppress(BrokenPipeError):  # whoever read the events has ended
            for events in stream.reads():
                for event in events:
                    line.clear()
                    for sink in sinks:
                        sink.write(event)
                for sink in sinks:
                    sink.tick()
                line.show(stream)
        line.clear()
    click.echo(summary(stream.status()), err=True)


def _settings(load_options: LoadOptions, options: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given as options, for `edgernn.config.resolve`."""
    import msgspec

    given_by = click.get_current_context().get_parameter_source
    everything = {**msgspec.structs.asdict(load_options), **options}
    given = {name: value for name, value in everything.items() if given_by(name) is ParameterSource.COMMANDLINE}
    decision = {name: given.pop(name) for name in _DECISION_SETTINGS if name in given}
    return {**given, "decision": decision} if decision else given


@contextlib.contextmanager
def _stopped_by_signals(stream: Stream) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the stream, so that the summary is printed."""

    def stop(number: int, frame: object) -> None:
        stream.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(status: StreamStatus) -> str:
    """What a stream did, in some lines."""
    rate = "" if status.rate_hz is None else f" at {status.rate_hz:.1f} Hz"
    form = status.format or "no known format"
    lines = [f"{status.events} events in {status.steps} samples{rate}, {status.bytes} bytes as {form}"]
    if status.latency_p50_ns is not None and status.latency_p99_ns is not None:
        lines.append(
            f"latency from bytes to decision: p50 {status.latency_p50_ns / 1000:.0f} µs, "
            f"p99 {status.latency_p99_ns / 1000:.0f} µs"
        )
    trouble = {kind: count for kind, count in status.counts.items() if count and kind != "samples"}
    trouble |= {"dropped_bytes": status.dropped_bytes, "reconnects": status.reconnects}
    counts = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in trouble.items() if count)
    lines.append(f"not as it should be: {counts}" if counts else "nothing was lost or malformed")
    return "\n".join(lines)
