"""``edgernn quantize``: a float program to an int8 program, with a report of the differences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edgernn.cli.options import LoadOptions, json_option, model_argument, model_options, option_group
from edgernn.cli.reading_options import reading_options, tell
from edgernn.cli.text import escape, print_json, progress, warn

if TYPE_CHECKING:
    from edgernn.program.program import Program
    from edgernn.quantizer.report import QuantizationReport

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


def _parse_layers(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.rpartition("=") for text in value]
    if any(not name or not operands for name, _, operands in pairs):
        raise click.BadParameter("must be OPERATION=w8a16 or OPERATION=w8a8", ctx, parameter)
    return {name: operands for name, _, operands in pairs}


class QuantizeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `edgernn.quantize`."""

    operands: str
    layer_operands: dict[str, str]
    keep_float: tuple[str, ...]
    ranges: str
    state_bits: str
    count_size: tuple[float, ...]
    equalize: bool
    min_snr: float

    def arguments(self) -> dict[str, Any]:
        """Arguments of `edgernn.quantize`."""
        arguments = msgspec.structs.asdict(self)
        bits, size, _ = (arguments.pop(name) for name in ("state_bits", "count_size", "min_snr"))
        states = bits if bits == "auto" else f"s{bits}"
        return {**arguments, "states": states, "count_size": size[0] if len(size) == 1 else size or None}


_quantize_options = option_group(
    "options",
    QuantizeOptions,
    (
        click.option(
            "--operands",
            type=click.Choice(["w8a16", "w8a8"]),
            default="w8a16",
            show_default=True,
            help="Activations in matrix products: 16 bits, or 8 bits for the smallest code.",
        ),
        click.option(
            "--layer",
            "layer_operands",
            multiple=True,
            metavar="NAME=OPERANDS",
            callback=_parse_layers,
            help="Operands of one layer; may be repeated.",
        ),
        click.option(
            "--keep-float", multiple=True, metavar="NAME", help="Operation that stays in float; may be repeated."
        ),
        click.option(
            "--ranges",
            type=click.Choice(["mse", "percentile", "entropy", "max"]),
            default="mse",
            show_default=True,
            help="How clipping limits are chosen.",
        ),
        click.option(
            "--state-bits",
            type=click.Choice(["auto", "16", "32"]),
            default="auto",
            show_default=True,
            help="Bits of gated states; auto takes 32 where 16 bits would lose slow changes.",
        ),
        click.option(
            "--count-size",
            multiple=True,
            type=float,
            help="Value of one count of the sensor in the units of the recordings; one number, or one per channel.",
        ),
        click.option(
            "--equalize/--no-equalize",
            default=True,
            show_default=True,
            help="Equalize channels of inputs and between layers, so that they lose less to rounding.",
        ),
        click.option(
            "--min-snr",
            type=float,
            default=20.0,
            show_default=True,
            help="Signal to noise in dB, of the first output over the recordings, below which nothing is written.",
        ),
    ),
)


@click.command()
@model_argument
@click.option(
    "--calibration",
    "-c",
    multiple=True,
    required=True,
    type=_FILE,
    help="Recording, in raw sensor units, of everything that the model will meet; may be repeated.",
)
@click.option("-o", "--output", required=True, type=_NEW_FILE, help="The int8 program, .safetensors.")
@_quantize_options
@click.option(
    "--compare",
    "compared",
    multiple=True,
    type=_FILE,
    help="Recording for the report, with or without labels; may be repeated.  [default: the calibration]",
)
@click.option("--html", type=_NEW_FILE, help="Write the report as a page with plots.")
@reading_options
@model_options
@json_option
def quantize(
    model: Path,
    calibration: tuple[Path, ...],
    output: Path,
    options: QuantizeOptions,
    compared: tuple[Path, ...],
    html: Path | None,
    load_options: LoadOptions,
    as_json: bool,
    **reading: Any,
) -> None:
    """Turn MODEL into a program that computes in integers only, and report the differences.

    The int8 program runs wherever MODEL runs. `edgernn export` writes it as C for microcontrollers.

    \b
    Example:
      edgernn quantize gesture.onnx --calibration monday.npz -o gesture-int8.safetensors
      edgernn quantize gesture.onnx -c monday.npz -o small.safetensors --operands w8a8 --compare tuesday.npz \\
        --html report.html
    """
    from edgernn import quantizer
    from edgernn.program.file import save
    from edgernn.quantizer.page import quantization_page
    from edgernn.recordings.report import Reading
    from edgernn.recordings.sample_file import read_inputs

    program = load_options.load(model)
    show = progress(model.name, "calibration step")
    sizes = {port.name: port.size for port in program.inputs}

    def read(path: Path) -> Any:
        return read_inputs(path, sizes, program.metadata.channels, reading=Reading(**reading), on_report=tell)

    samples = {path: read(path) for path in dict.fromkeys(calibration + compared)}
    calibrations = [samples[path] for path in calibration]
    int8 = quantizer.quantize(program, calibrations, on_progress=show, **options.arguments())
    judged = compared or calibration
    show = progress(model.name, "compared step")
    report = quantizer.compare(program, int8, [samples[path] for path in judged], show)
    if (doubt := report.judge(options.min_snr)) is not None:
        warn(doubt)
    report = _with_accuracy(report, program, int8, judged)
    save(int8, output)
    for note in int8.warnings[len(program.warnings) :]:
        warn(note)
    if html is not None:
        html.write_text(quantization_page(model.name, report), "utf-8")
    if not int8.takes_counts:
        warn("samples go in as floats: for a sensor's own counts, keep no operation in float and say --count-size")
    if as_json:
        print_json({"file": str(output), "hash": int8.hash, "report": json.loads(report.to_json())})
    else:
        click.echo(escape(report.table(), keep="\n"))
        click.echo(escape(f"{output}: {output.stat().st_size} bytes, program {int8.hash[:12]}"))


def _with_accuracy(
    report: QuantizationReport, program: Program, int8: Program, recordings: Sequence[Path]
) -> QuantizationReport:
    """The report with the accuracy of both programs as `edgernn evaluate` measures it, where there are labels."""
    from edgernn.errors import EdgeRNNError
    from edgernn.evaluation.evaluate import evaluate_sessions
    from edgernn.evaluation.sessions import read_sessions
    from edgernn.program.scores import makes_probabilities
    from edgernn.recordings.report import Reading
    from edgernn.stream.config import StreamSettings

    settings = StreamSettings(raw_scores=not makes_probabilities(program), allow_rate=True)
    try:
        reading = Reading(allow_dropped=True)
        sessions = [session for path in recordings for session in read_sessions(path, reading=reading)]
        before, after = (
            evaluate_sessions(name, form, sessions, settings).report.outputs
            for name, form in (("float", program), ("int8", int8))
        )
    except EdgeRNNError as error:
        click.echo(escape(f"edgernn: accuracy is not measured: {error}"), err=True)
        return report
    return msgspec.structs.replace(
        report,
        labelled_outputs=before.outputs,
        float_accuracy=before.accuracy,
        int8_accuracy=after.accuracy,
        float_cross_entropy=before.cross_entropy,
        int8_cross_entropy=after.cross_entropy,
    )
