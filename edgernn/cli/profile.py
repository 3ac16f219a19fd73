"""``edgernn profile``: how late answers are on this machine, and why."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edgernn.cli.options import LoadOptions, json_option, model_argument, model_options
from edgernn.cli.realtime_options import realtime_options, say_grants, wanted_parts
from edgernn.cli.text import escape, format_table, print_json

if TYPE_CHECKING:
    from edgernn.latency.recorder import LatencyRecorder
    from edgernn.latency.report import Profile
    from edgernn.latency.targets import BenchmarkTarget
    from edgernn.program.program import Program
    from edgernn.stream.realtime import Grant

DEFAULT_RATE_HZ = 500.0
WHAT = ("step", "stream", "port")


@click.command()
@model_argument
@click.option(
    "--what",
    "whats",
    multiple=True,
    type=click.Choice(WHAT),
    help="The step alone, the stream from bytes to decision, or a serial port. Repeatable.  [default: step, stream]",
)
@click.option("--port", help="Profile this serial port, to which a board sends, instead of a virtual one.")
@click.option("--baud", type=click.IntRange(min=50), default=115200, show_default=True, help="Bits a second of it.")
@click.option("--rate", "rate_hz", type=click.FloatRange(0.1, 20_000), help="Samples a second.  [default: the model's]")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=10.0, show_default=True, help="For each.")
@click.option("--deadline", "deadline_ms", type=click.FloatRange(min=0.001), help="In ms.  [default: one sample]")
@click.option("--busy", is_flag=True, help="Wait by looking at the clock, so that the core stays awake.")
@click.option("--compare", is_flag=True, help="Also onnxruntime, on the same model and schedule.")
@click.option("--operations", "with_operations", is_flag=True, help="Also where the time of a step goes.")
@click.option(
    "--verified",
    "verified_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show beside it what `edgernn verify DIR --json` wrote to this file.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a report with plots to this file.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write the worst moments, for https://ui.perfetto.dev.")
@click.option("--hdr", type=click.Path(path_type=Path), help="Write percentile files for HdrHistogram to this folder.")
@realtime_options
@model_options
@json_option
def profile(
    model: Path,
    load_options: LoadOptions,
    whats: tuple[str, ...],
    port: str | None,
    baud: int,
    rate_hz: float | None,
    seconds: float,
    deadline_ms: float | None,
    busy: bool,
    compare: bool,
    with_operations: bool,
    verified_path: Path | None,
    html: Path | None,
    trace: Path | None,
    hdr: Path | None,
    realtime: bool,
    realtime_without: tuple[str, ...],
    realtime_core: int | None,
    realtime_priority: int,
    as_json: bool,
) -> None:
    """Measure how late the answers of MODEL are on this machine, and why.

    Samples are due on a schedule that waits for nobody. The response time of a sample counts from when it was due, so
    that a stall shows in every sample it made late; its service time is the work alone. An empty step on the same
    schedule ("nothing") shows what is the machine's own. With --realtime everything is measured without it first.
    Ctrl-C ends it with what there is.

    \b
    Example:
      edgernn profile gesture.onnx
      edgernn profile gesture.onnx --rate 1000 --deadline 0.5 --compare --operations
      edgernn profile gesture.onnx --what port --realtime --seconds 600 --html report.html
    """
    from edgernn.latency.machine import describe_machine
    from edgernn.latency.measurement import Measurement
    from edgernn.latency.operations import time_operations
    from edgernn.latency.report import Profile
    from edgernn.latency.text import REALTIME
    from edgernn.latency.verified import read_verified
    from edgernn.stream.realtime import realtime as ask_for_realtime

    if compare and model.suffix == ".safetensors":
        raise click.UsageError(f"{model} cannot be compared with onnxruntime: give the ONNX file that it was made from")
    parts = wanted_parts(realtime, realtime_without)
    verified = () if verified_path is None else read_verified(verified_path)
    program = load_options.load(model)
    rate_hz = rate_hz or program.metadata.rate_hz or DEFAULT_RATE_HZ
    period_ns = round(1e9 / rate_hz)
    schedule: dict[str, Any] = {
        "steps": max(1, round(seconds * rate_hz)),
        "period_ns": period_ns,
        "deadline_ns": period_ns if deadline_ms is None else round(deadline_ms * 1e6),
        "busy": busy,
    }
    chosen = (*whats, *(("port",) if port and "port" not in whats else ())) or ("step", "stream")
    with contextlib.ExitStack() as stack:
        targets = list(_benchmark_targets(chosen, program, port, baud))
        if compare:
            targets.append(_onnxruntime(model, load_options))
        for target in targets:
            stack.callback(target.close)
        recorders = _measure(targets, schedule)
        grants: tuple[Grant, ...] = ()
        if parts and all(recorder.response.total == schedule["steps"] for recorder in recorders.values()):
            grants = stack.enter_context(ask_for_realtime(parts, core=realtime_core, priority=realtime_priority))
            say_grants(grants)
            again = _measure(targets, schedule)
            recorders |= {name + REALTIME: recorder for name, recorder in again.items()}
        allocated = _allocations(targets)
    recorders = {name: recorder for name, recorder in recorders.items() if recorder.response.total}
    found = Profile(
        model=model.name,
        machine=describe_machine(),
        measurements=tuple(Measurement.of(name, recorder, allocated.get(name)) for name, recorder in recorders.items()),
        grants=grants,
        operations=time_operations(program) if with_operations else None,
        budget=_budget(program, program.metadata.rate_hz or rate_hz, baud, recorders),
        verified=verified,
    )
    _write_files(found, recorders, html, trace, hdr)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        click.echo(_format(found))


def _benchmark_targets(
    whats: Sequence[str], program: Program, port: str | None, baud: int
) -> Iterator[BenchmarkTarget]:
    """What was asked for, after the noise floor."""
    from edgernn.latency.streams import PortTarget, StreamTarget, VirtualPortTarget
    from edgernn.latency.targets import edgernn_step, empty_step

    yield empty_step()
    if "step" in whats:
        yield edgernn_step(program)
    if "stream" in whats:
        yield StreamTarget(program)
    if "port" in whats:
        yield VirtualPortTarget(program, baud) if port is None else PortTarget(program, port, baud)


def _onnxruntime(model: Path, options: LoadOptions) -> BenchmarkTarget:
    from edgernn.importers import import_onnx
    from edgernn.latency.onnxruntime import onnxruntime_step

    return onnxruntime_step(model, import_onnx(model, **msgspec.structs.asdict(options)))


def _measure(targets: Sequence[BenchmarkTarget], schedule: dict[str, Any]) -> dict[str, LatencyRecorder]:
    from edgernn.latency.profiler import profile as measure

    seconds = schedule["steps"] * schedule["period_ns"] * len(targets) / 1e9

    def show(done: int, steps: int) -> None:
        if not done:
            click.echo(
                f"{len(targets)} benchmark targets interleaved, {seconds:.0f} s in all; Ctrl-C ends it", err=True
            )
        elif sys.stderr.isatty():
            click.echo(f"\r{done / steps:4.0%} of {steps} samples each\x1b[K", err=True, nl=done == steps)

    recorders = measure(targets, **schedule, on_progress=show)
    return {target.name: recorder for target, recorder in zip(targets, recorders, strict=True)}


def _allocations(targets: Sequence[BenchmarkTarget]) -> dict[str, int]:
    """The most that a step of each takes from the allocator."""
    from edgernn.latency.resources import allocated_bytes
    from edgernn.latency.targets import StepTarget

    steps = [target for target in targets if isinstance(target, StepTarget)]
    return {target.name: allocated_bytes(target.step, target.samples) for target in steps}


def _budget(program: Program, rate_hz: float, baud: int, recorders: dict[str, LatencyRecorder]) -> Any:
    """The latency budget, with the step as it was measured."""
    from edgernn.latency.budget import latency_budget

    step = recorders.get("edgernn step")
    if step is None:
        return latency_budget(program, rate_hz, baud=baud)
    times = step.response
    return latency_budget(program, rate_hz, baud=baud, step_ns=times.percentile(50), step_worst_ns=times.largest)


def _write_files(
    found: Profile, recorders: dict[str, LatencyRecorder], html: Path | None, trace: Path | None, hdr: Path | None
) -> None:
    from edgernn.latency.report import html_report
    from edgernn.latency.trace import trace_text

    if html is not None:
        html.write_text(html_report(found, recorders), "utf-8")
    if trace is not None:
        trace.write_text(trace_text(recorders), "utf-8")
    if hdr is not None:
        hdr.mkdir(parents=True, exist_ok=True)
        for name, recorder in recorders.items():
            for kind, histogram in (("response", recorder.response), ("service", recorder.service)):
                file = hdr / f"{name.replace(',', '').replace(' ', '-')}-{kind}.hgrm"
                file.write_text("\n".join(histogram.percentile_lines()) + "\n")


def _format(found: Profile) -> str:
    from edgernn.latency import text

    sections = [
        escape(found.model),
        format_table(list(found.machine.items())),
        format_table(text.response_rows(found.measurements)),
        format_table(text.service_rows(found.measurements)),
        format_table(text.resource_rows(found.measurements)),
    ]
    if found.grants:
        sections.append(format_table(text.gain_rows(found.measurements)))
    held_ns = sum(measurement.held_ns for measurement in found.measurements)
    if held_ns:
        sections.append(f"the schedule was held for {text.time_text(held_ns)} while the profiler counted")
    if found.operations is not None:
        sections.append(format_table(text.operation_rows(found.operations)))
        sections.append(text.operation_verdict(found.operations))
    if found.verified:
        sections.append(format_table([("chip", "a step", "", ""), *(chip.row() for chip in found.verified)]))
    if found.budget is not None:
        sections.append(format_table(text.budget_rows(found.budget)))
        sections.append(text.budget_verdict(found.budget))
    return "\n\n".join(sections)
