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
from edgernn.cli.profile_options import (
    ReportOptions,
    ScheduleOptions,
    TargetOptions,
    report_options,
    schedule_options,
    target_options,
)
from edgernn.cli.realtime_options import RealtimeOptions, realtime_group, say_grants
from edgernn.cli.text import escape, format_table, print_json, warn

if TYPE_CHECKING:
    from edgernn.latency.recorder import LatencyRecorder
    from edgernn.latency.report import Profile
    from edgernn.latency.targets import BenchmarkTarget
    from edgernn.program.program import Program
    from edgernn.stream.realtime import Grant

DEFAULT_RATE_HZ = 500.0


@click.command()
@model_argument
@target_options
@schedule_options
@report_options
@realtime_group
@model_options
@json_option
def profile(
    model: Path,
    targets: TargetOptions,
    schedule: ScheduleOptions,
    report: ReportOptions,
    realtime: RealtimeOptions,
    load_options: LoadOptions,
    as_json: bool,
) -> None:
    """Measure how late the answers of MODEL are on this machine, and why.

    Samples are due on a fixed schedule. The response time of a sample counts from when it was due, so that a stall
    shows in every sample that it delayed; its service time is the work alone. An empty step on the same schedule
    ("nothing") shows the noise of the machine. With --realtime everything is measured without it first. Ctrl-C ends
    the measurement and reports what was measured so far.

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
    from edgernn.latency.verified import read_verified

    if targets.compare and model.suffix == ".safetensors":
        raise click.UsageError(f"{model} cannot be compared with onnxruntime: give the ONNX file that it was made from")
    realtime.parts()  # what makes no sense is refused before anything is measured
    verified = () if report.verified_path is None else read_verified(report.verified_path)
    program = load_options.load_as_run(model)
    rate_hz = schedule.rate_hz or program.metadata.rate_hz or DEFAULT_RATE_HZ
    with contextlib.ExitStack() as stack:
        measured = list(_benchmark_targets(program, targets))
        if targets.compare:
            measured += _onnxruntime(model, load_options)
        for target in measured:
            stack.callback(target.close)
        recorders, grants = _measure_all(stack, measured, schedule.schedule(rate_hz), realtime)
        allocated = _allocations(measured)
    recorders = {name: recorder for name, recorder in recorders.items() if recorder.response.total}
    found = Profile(
        model=model.name,
        machine=describe_machine(),
        measurements=tuple(Measurement.of(name, recorder, allocated.get(name)) for name, recorder in recorders.items()),
        grants=grants,
        operations=time_operations(program) if report.with_operations else None,
        budget=_budget(program, program.metadata.rate_hz or rate_hz, targets.baud, recorders),
        verified=verified,
    )
    report.write_files(found, recorders)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        click.echo(_format(found))


def _benchmark_targets(program: Program, options: TargetOptions) -> Iterator[BenchmarkTarget]:
    """What was asked for, after the noise floor."""
    from edgernn.latency.streams import PortTarget, StreamTarget, VirtualPortTarget
    from edgernn.latency.targets import edgernn_step, empty_step

    yield empty_step()
    if "step" in options.names:
        yield edgernn_step(program)
    if "stream" in options.names:
        yield StreamTarget(program)
    if "port" in options.names and options.port is not None:
        yield PortTarget(program, options.port, options.baud)
    elif "port" in options.names:
        yield VirtualPortTarget(program, options.baud)


def _onnxruntime(model: Path, options: LoadOptions) -> list[BenchmarkTarget]:
    """Onnxruntime, or nothing where it crashes, which another process tries first."""
    from edgernn.latency.onnxruntime import crash_of, onnxruntime_step

    if (crash := crash_of(model)) is not None:
        warn(f"onnxruntime crashes on {model.name} ({crash}): it is left out of the comparison")
        return []
    return [onnxruntime_step(model, options.import_as_run(model))]


def _measure_all(
    stack: contextlib.ExitStack, targets: Sequence[BenchmarkTarget], schedule: dict[str, Any], options: RealtimeOptions
) -> tuple[dict[str, LatencyRecorder], tuple[Grant, ...]]:
    """Measure; where real time is asked for, and nobody has ended it, once more with what is granted of it."""
    from edgernn.latency.text import REALTIME
    from edgernn.stream.realtime import realtime

    recorders = _measure(targets, schedule)
    parts = options.parts()
    if not parts or any(recorder.response.total != schedule["steps"] for recorder in recorders.values()):
        return recorders, ()
    grants = stack.enter_context(realtime(parts, core=options.realtime_core, priority=options.realtime_priority))
    say_grants(grants)
    again = _measure(targets, schedule)
    return recorders | {name + REALTIME: recorder for name, recorder in again.items()}, grants


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
