"""``edgernn check``: streaming compared with onnxruntime on the whole sequence."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgernn.cli.options import FiniteRange, LoadOptions, json_option, model_argument, model_options
from edgernn.cli.reading_options import reading_options, tell
from edgernn.cli.text import format_table, print_json, warn

if TYPE_CHECKING:
    from edgernn.evaluation.equivalence import CheckReport
    from edgernn.evaluation.onnxruntime_model import OnnxruntimeModel

RANDOM_STEPS, MAX_STEPS = 300, 1_000_000


@click.command()
@model_argument
@click.argument("recording", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--steps", type=click.IntRange(1, MAX_STEPS), help="Samples to stream.  [default: 300, or the whole recording]"
)
@click.option(
    "--tolerance",
    type=FiniteRange(min=0),
    help="Maximum difference, for outputs of order one.  [default: 1e-5, float16: 5e-3, quantized: 2e-2]",
)
@reading_options
@model_options
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    /,
    model: Path,
    recording: Path | None,
    steps: int | None,
    tolerance: float | None,
    load_options: LoadOptions,
    as_json: bool,
    **reading: Any,
) -> None:
    """Compare streaming with onnxruntime on the whole sequence.

    Streams random samples, or a recording, through MODEL one by one, and runs the original model on the whole sequence.
    Outputs per frame are compared frame by frame, outputs of the whole sequence on prefixes, and windows one by one.
    The exit status is 1 if the results differ.

    \b
    Example:
      edgernn check gesture.onnx
      edgernn check gesture.onnx monday.csv --window 100 --hop 25
    """
    from edgernn.evaluation.equivalence import check_streaming, random_sequences, recorded_sequences
    from edgernn.recordings.report import Reading

    onnx_model = _load_onnxruntime_model(model, load_options)
    program = onnx_model.program
    if recording is None:
        enough = max(RANDOM_STEPS, onnx_model.frozen_steps or 0, 2 * (program.window_steps or 0))
        sequences = random_sequences(program, steps or enough)
    else:
        sequences = recorded_sequences(program, recording, steps, reading=Reading(**reading), on_report=tell)
    if (reset_steps := program.running.reset_steps) is not None:  # after a reset it computes the same again
        sequences = {name: rows[:reset_steps] for name, rows in sequences.items()}
    report = check_streaming(onnx_model, sequences, onnx_model.tolerance if tolerance is None else tolerance)
    for note in (*program.warnings, *report.notes):
        warn(note)
    if as_json:
        print_json({"agrees": report.agrees, **_plain(report)})
    else:
        click.echo(_format(report))
    ctx.exit(0 if report.agrees else 1)


def _load_onnxruntime_model(model: Path, options: LoadOptions) -> OnnxruntimeModel:
    from edgernn.evaluation.onnxruntime_model import OnnxruntimeModel

    if model.suffix == ".safetensors":
        raise click.UsageError(
            f"{model} holds no original model to compare with: check the ONNX file that it was made from"
        )
    return OnnxruntimeModel(model, options.import_as_run(model))


def _plain(report: CheckReport) -> dict[str, Any]:
    """The report for JSON, which has no infinity: null where streaming gave no output."""
    plain = asdict(report)
    for comparison in plain["comparisons"]:
        if comparison["largest_difference"] == inf:
            comparison["largest_difference"] = None
    return plain


def _format(report: CheckReport) -> str:
    rows: list[tuple[object, ...]] = [("", "compared", "largest difference", "first difference")]
    for comparison in report.comparisons:
        first = "none" if comparison.first_step is None else comparison.first_difference
        rows.append((comparison.name, comparison.compared, f"{comparison.largest_difference:.2e}", first))
    verdict = "streaming equals the original" if report.agrees else "streaming DIFFERS from the original"
    return f"{format_table(rows)}\n{verdict} over {report.steps} samples"
