"""The options of ``edgernn profile``, in groups: what is measured, on which schedule, what is shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edgernn.cli.options import option_group

if TYPE_CHECKING:
    from edgernn.latency.recorder import LatencyRecorder
    from edgernn.latency.report import Profile


class TargetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured."""

    whats: tuple[str, ...]
    port: str | None
    baud: int
    compare: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of ``--what``; a port that is given is measured."""
        asked = self.whats if self.port is None or "port" in self.whats else (*self.whats, "port")
        return asked or ("step", "stream")


class ScheduleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """When samples are due, and when their answers."""

    rate_hz: float | None
    seconds: float
    deadline_ms: float | None
    busy: bool

    def schedule(self, rate_hz: float) -> dict[str, Any]:
        """Arguments of `edgernn.latency.profiler.profile`, for samples at `rate_hz`."""
        period_ns = round(1e9 / rate_hz)
        return {
            "steps": max(1, round(self.seconds * rate_hz)),
            "period_ns": period_ns,
            "deadline_ns": period_ns if self.deadline_ms is None else round(self.deadline_ms * 1e6),
            "busy": self.busy,
        }


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of the measurements, and the files that are written."""

    with_operations: bool
    verified_path: Path | None
    html: Path | None
    trace: Path | None
    hdr: Path | None

    def write_files(self, found: Profile, recorders: dict[str, LatencyRecorder]) -> None:
        """Write the files that were asked for."""
        from edgernn.latency.report import html_report
        from edgernn.latency.trace import trace_text

        if self.html is not None:
            self.html.write_text(html_report(found, recorders), "utf-8")
        if self.trace is not None:
            self.trace.write_text(trace_text(recorders), "utf-8")
        if self.hdr is not None:
            self.hdr.mkdir(parents=True, exist_ok=True)
            for name, recorder in recorders.items():
                for kind, histogram in (("response", recorder.response), ("service", recorder.service)):
                    file = self.hdr / f"{name.replace(',', '').replace(' ', '-')}-{kind}.hgrm"
                    file.write_text("\n".join(histogram.percentile_lines()) + "\n")


target_options = option_group(
    "targets",
    TargetOptions,
    (
        click.option(
            "--what",
            "whats",
            multiple=True,
            type=click.Choice(["step", "stream", "port"]),
            help="The step alone, the stream from bytes to decision, or a serial port. Repeatable.  "
            "[default: step, stream]",
        ),
        click.option("--port", help="Profile this serial port, with a board that sends, instead of a virtual one."),
        click.option(
            "--baud",
            type=click.IntRange(min=50),
            default=115200,
            show_default=True,
            help="Bits per second of the port.",
        ),
        click.option("--compare", is_flag=True, help="Also measure onnxruntime on the same model and schedule."),
    ),
)
schedule_options = option_group(
    "schedule",
    ScheduleOptions,
    (
        click.option(
            "--rate",
            "rate_hz",
            type=click.FloatRange(0.1, 20_000),
            help="Samples per second.  [default: the rate of the model]",
        ),
        click.option(
            "--seconds",
            type=click.FloatRange(min=0.01),
            default=10.0,
            show_default=True,
            help="Seconds per measurement.",
        ),
        click.option(
            "--deadline", "deadline_ms", type=click.FloatRange(min=0.001), help="Deadline in ms.  [default: one sample]"
        ),
        click.option("--busy", is_flag=True, help="Wait by polling the clock, so that the core stays awake."),
    ),
)
report_options = option_group(
    "report",
    ReportOptions,
    (
        click.option("--operations", "with_operations", is_flag=True, help="Also show the time of each operation."),
        click.option(
            "--verified",
            "verified_path",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Also show the results that `edgernn verify DIR --json` wrote to this file.",
        ),
        click.option("--html", type=click.Path(path_type=Path), help="Write a report with plots to this file."),
        click.option(
            "--trace", type=click.Path(path_type=Path), help="Write the worst moments, for https://ui.perfetto.dev."
        ),
        click.option(
            "--hdr", type=click.Path(path_type=Path), help="Write percentile files for HdrHistogram to this folder."
        ),
    ),
)
