"""``edgernn quantize``: a float program to an int8 program, with a report of the differences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edgernn.cli.options import LoadOptions, json_option, model_argument, model_options, option_group
from edgernn.cli.reading_options import reading_options, tell
from edgernn.cli.text import escape, print_json, progress, warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgernn.program.program import Program

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NOT_JUDGED = -1


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
    recordings, labels = _recordings(program, compared or calibration, samples)
    report = quantizer.compare(program, int8, recordings, labels, progress(model.name, "compared step"))
    if (doubt := report.judge(options.min_snr)) is not None:
        warn(doubt)
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


def _recordings(
    program: Program, paths: Sequence[Path], samples: Mapping[Path, Any]
) -> tuple[list[Any], list[Any] | None]:
    """What is compared: samples of each recording and, where all files have labels, the label of each sample."""
    import numpy as np

    from edgernn.errors import InputError
    from edgernn.evaluation.sessions import read_sessions
    from edgernn.recordings.report import Reading

    try:
        sessions = [session for path in paths for session in read_sessions(path, reading=Reading(allow_dropped=True))]
    except InputError:
        return [samples[path] for path in paths], None
    pieces = [list(session.pieces()) for session in sessions]
    is_array = all(
        isinstance(piece.data, np.ndarray) and np.isfinite(piece.data).all() for rows in pieces for piece in rows
    )
    if not program.metadata.labels or not is_array:
        return [samples[path] for path in paths], None
    return [_joined([piece.data for piece in rows]) for rows in pieces], [
        _indices(program.metadata.labels, rows) for rows in pieces
    ]


def _joined(parts: list[Any]) -> NDArray[Any]:
    import numpy as np

    return np.concatenate(parts)


def _indices(labels: Sequence[str], pieces: Sequence[Any]) -> NDArray[Any]:
    """The index of each sample's label, `NOT_JUDGED` where there is none or the model does not know it."""
    import numpy as np

    places = {label: index for index, label in enumerate(labels)}
    return np.concatenate([np.full(len(piece.data), places.get(piece.label, NOT_JUDGED)) for piece in pieces])
