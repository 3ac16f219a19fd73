"""``edgernn evaluate``: how well models perform on labelled recordings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edgernn.cli.options import LoadOptions, json_option, model_options, option_group
from edgernn.cli.reading_options import allow_dropped_option, tell
from edgernn.cli.stream_options import given_settings, stream_options
from edgernn.cli.text import escape, format_table, print_json, progress, warn

if TYPE_CHECKING:
    from edgernn.evaluation.evaluate import Evaluation, EvaluationReport
    from edgernn.stream.config import StreamSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _parse_recordings(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[Path | dict[str, Path]]:
    """Files; and files by the input that they belong to."""
    found: list[Path | dict[str, Path]] = []
    for text in value:
        if "=" not in text or Path(text).exists():
            found.append(_FILE.convert(text, parameter, ctx))
            continue
        pairs = [part.partition("=") for part in text.split(",")]
        if len({name for name, _, _ in pairs}) != len(pairs) or not all(name and path for name, _, path in pairs):
            raise click.BadParameter(f"{text!r} must be INPUT=FILE,INPUT=FILE with each input once", ctx, parameter)
        found.append({name: _FILE.convert(path, parameter, ctx) for name, _, path in pairs})
    return found


class MeasureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How recordings are measured."""

    grace_s: float
    jobs: int | None


class SweepOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The search for decision settings, and the file that they are written to."""

    sweep: Path | None
    false_per_hour: float


_measure_options = option_group(
    "measures",
    MeasureOptions,
    (
        click.option(
            "--grace",
            "grace_s",
            type=click.FloatRange(min=0),
            default=0.5,
            show_default=True,
            help="Seconds after an interval in which an event still detects it.",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            help="Number of recordings in parallel.  [default: number of processors]",
        ),
    ),
)
_sweep_options = option_group(
    "tuning",
    SweepOptions,
    (
        click.option(
            "--sweep",
            metavar="OUT.toml",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Look for better decision settings of MODEL, and write a configuration with them.",
        ),
        click.option(
            "--false-per-hour",
            type=click.FloatRange(min=0),
            default=1.0,
            show_default=True,
            help="False events per hour that --sweep accepts.",
        ),
    ),
)


@click.command()
@click.argument("model", metavar="MODEL|CONFIG.toml", type=_FILE)
@click.argument("recordings", nargs=-1, required=True, callback=_parse_recordings)
@click.option("--also", multiple=True, metavar="MODEL", type=_FILE, help="Another model to compare; may be repeated.")
@_measure_options
@_sweep_options
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
@allow_dropped_option
@stream_options
@model_options
@json_option
def evaluate(
    model: Path,
    recordings: list[Path | dict[str, Path]],
    also: tuple[Path, ...],
    measures: MeasureOptions,
    tuning: SweepOptions,
    html: Path | None,
    load_options: LoadOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how well MODEL recognizes the labels of RECORDINGS.

    Recordings are streamed exactly as `edgernn run` streams them. They are recordings of edgernn with labels, .csv with
    a column "label" or with a file NAME.labels.csv beside it, or .npz. Outputs are compared step by step, events with
    the labelled intervals. For a model whose inputs come from several sources, give the recordings that were made at
    the same time together, as INPUT=FILE,INPUT=FILE.

    \b
    Example:
      edgernn evaluate gesture.onnx monday.edgerec tuesday.csv
      edgernn evaluate gesture.onnx *.npz --also gesture-int8.safetensors --html report.html
      edgernn evaluate gesture.onnx *.npz --sweep gesture.toml --false-per-hour 2
      edgernn evaluate fusion.toml motion=monday.edgerec,heat=monday-heat.edgerec
    """
    from edgernn.evaluation.evaluate import evaluate_sessions, with_tuning
    from edgernn.evaluation.page import evaluation_page
    from edgernn.evaluation.sessions import joined_session, read_sessions
    from edgernn.recordings.report import Reading
    from edgernn.stream.stream import resolve_model

    reading = Reading(allow_dropped=options.pop("allow_dropped"))
    given = given_settings(load_options, options)
    sessions = []
    for recording in recordings:
        if isinstance(recording, dict):
            sessions.append(joined_session(recording))
        else:
            sessions += read_sessions(recording, reading=reading, on_report=tell)
    evaluations = []
    own: StreamSettings | None = None  # of MODEL
    for place, path in enumerate((model, *also)):
        settings, program = resolve_model(path, given)
        own = own or settings
        evaluation = evaluate_sessions(
            path.name,
            program,
            sessions,
            settings,
            grace_s=measures.grace_s,
            jobs=measures.jobs or os.cpu_count() or 1,
            on_progress=progress(path.name, "recording"),
        )
        if tuning.sweep is not None and place == 0:
            show = progress(path.name, "decision settings")
            evaluation = with_tuning(evaluation, measures.grace_s, tuning.false_per_hour, show)
        evaluations.append(evaluation)
    if html is not None:
        html.write_text(evaluation_page(evaluations), "utf-8")
    if tuning.sweep is not None and own is not None:
        _write_sweep(tuning.sweep, own, evaluations[0].report, tuning.false_per_hour)
    _print(evaluations, as_json)


def _write_sweep(path: Path, settings: StreamSettings, report: EvaluationReport, false_per_hour: float) -> None:
    from edgernn.evaluation.sweep import describe_events, describe_tuning, with_decision
    from edgernn.stream.config import to_toml

    found = report.tuning
    if found is None:
        raise click.UsageError("--sweep needs a rate and labelled intervals: give --rate, or recordings with labels")
    comments = describe_tuning(found)
    path.write_text(to_toml(with_decision(settings, found.chosen.decision), path.parent, comments), "utf-8")
    if (found.chosen.events.false_per_hour or 0.0) > false_per_hour:
        warn(f"no settings have as few as {false_per_hour:g} false events per hour; {path} has the fewest there are")
    measured = found.held_out
    if measured is None:
        warn("the settings were chosen and measured on the same recordings: evaluate them on others")
        measured = found.chosen.events
    bound = measured.false_per_hour_bound
    if bound is not None and bound > false_per_hour:
        warn(
            f"{measured.hours or 0:.2g} labelled hours show no less than {bound:.1f} false events per hour with 95 % "
            f"confidence, and {false_per_hour:g} were asked for: record more"
        )
    click.echo(f"wrote {escape(str(path))}; on recordings that were held out: {describe_events(measured)}", err=True)


def _print(evaluations: list[Evaluation], as_json: bool) -> None:
    from edgernn.evaluation.evaluate import side_by_side

    reports = [evaluation.report for evaluation in evaluations]
    if as_json:
        print_json([msgspec.to_builtins(report) for report in reports])
        return
    click.echo(format_table(side_by_side(reports), indent=0))
    for report in reports:
        rows: list[tuple[object, ...]] = [("true", *report.labels)]
        rows += [(label, *row) for label, row in zip(report.labels, report.outputs.confusion, strict=True)]
        click.echo(f"\n{escape(report.model)}: true label by recognized label\n{format_table(rows)}")
        for note in report.notes:
            click.echo(f"edgernn: {escape(note)}", err=True)
