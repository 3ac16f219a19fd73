"""``edgernn convert``: a model file to a program file, a recording of raw bytes to a table of numbers."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import click
import msgspec

from edgernn.cli.options import LoadOptions, json_option, model_argument, model_options
from edgernn.cli.reading_options import allow_dropped_option, tell
from edgernn.cli.text import escape, print_json, warn
from edgernn.program.metadata import Metadata
from edgernn.program.program import Program
from edgernn.program.scores import score_layout
from edgernn.stream.recording import is_recording


class CommaList(click.ParamType[list[Any]]):
    """``left,right`` or ``0.1,0.2``: entries between commas."""

    def __init__(self, entry: type) -> None:
        self.entry = entry
        self.name = f"{entry.__name__},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        try:
            return [self.entry(text.strip()) for text in str(value).split(",")] if str(value).strip() else []
        except ValueError:
            self.fail(f"{value!r} must be numbers with commas between them", param, ctx)


def _parse_decision(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, Any]:
    settings = {}
    for text in value:
        key, separator, setting = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r} must be KEY=VALUE", ctx, parameter)
        try:
            settings[key] = json.loads(setting)
        except ValueError:
            settings[key] = setting  # a label needs no quotes
    return settings


@click.command()
@model_argument
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The new file.")
@click.option("--labels", type=CommaList(str), help="Names of the scores of the first output.")
@click.option("--channels", type=CommaList(str), help="Names of the numbers in one sample, in the model's order.")
@click.option("--units", type=CommaList(str), help="Units of the channels.")
@click.option("--rate", "rate_hz", type=float, help="Samples per second that the model was trained at.")
@click.option("--mean", type=CommaList(float), help="Subtracted from each sample, one number per channel.")
@click.option("--std", type=CommaList(float), help="Divides each sample, one number per channel.")
@click.option(
    "--decision",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_parse_decision,
    help="How scores become events: smoothing_steps, threshold, release, minimum_steps, hold_off_steps, nothing.",
)
@allow_dropped_option
@model_options
@json_option
def convert(
    model: Path, output: Path, decision: dict[str, Any], load_options: LoadOptions, as_json: bool, **fields: Any
) -> None:
    """Write MODEL as a program file that runs without onnx and contains labels, rate and all other metadata.

    Metadata that is not given stays as in MODEL. Given a recording instead of MODEL, write it as a table of numbers,
    .csv or .npz, with its labels.

    \b
    Example:
      edgernn convert monday.edgerec -o monday.csv --channels x,y,z
      edgernn convert gesture.onnx -o gesture.safetensors --labels rest,wave,circle --rate 50 \\
          --decision threshold=0.8 --decision nothing=rest
    """
    allow_dropped = fields.pop("allow_dropped")
    if is_recording(model):
        _convert_recording(model, output, fields["channels"] or [], as_json, allow_dropped=allow_dropped)
        return
    if output.suffix != ".safetensors":
        raise click.BadParameter(f"{output} must end in .safetensors", param_hint="'-o'")
    program = load_options.load(model)
    given = {name: value for name, value in fields.items() if value is not None}
    program = program.with_metadata(_updated(program.metadata, given, decision))
    _check_counts(program)
    from edgernn.program.file import save

    save(program, output)
    for warning in program.warnings:
        warn(warning)
    if as_json:
        print_json({"file": str(output), "bytes": output.stat().st_size, "hash": program.hash})
    else:
        click.echo(escape(f"{output}: {output.stat().st_size} bytes, {program.mode}, program {program.hash[:12]}"))


def _convert_recording(
    recording: Path, output: Path, channels: list[str], as_json: bool, *, allow_dropped: bool
) -> None:
    from edgernn.recordings.report import Reading
    from edgernn.recordings.tables import read_table, write_table

    table, report = read_table(recording, Reading(allow_dropped=allow_dropped))
    tell(report)
    write_table(table, output, channels)
    samples, width = table.values.shape
    labels = sorted({label for label in table.labels if label is not None})
    if as_json:
        print_json({"file": str(output), "samples": samples, "channels": width, "labels": labels})
    else:
        click.echo(escape(f"{output}: {samples} samples of {width} channels; labels: {', '.join(labels) or 'none'}"))


def _updated(metadata: Metadata, given: dict[str, Any], decision: dict[str, Any]) -> Metadata:
    fields = msgspec.to_builtins(metadata) | given
    fields["decision"] |= decision
    try:
        return msgspec.convert(fields, Metadata)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from error


def _check_counts(program: Program) -> None:
    """Check that there are as many labels as scores, and as many channels and mean values as numbers in a sample."""
    metadata, (first_output, *_) = program.metadata, program.outputs
    size = sum(port.size for port in program.inputs)
    names = ", ".join(port.name for port in program.inputs)
    taken = f"input {names} has {size} numbers" if len(program.inputs) == 1 else f"inputs {names} have {size} numbers"
    shape = score_layout(program).shape
    scores = {prod(shape), 2} if prod(shape) == 1 else {prod(shape), *shape[-1:]}  # a frame, or each of its rows
    expected = {
        "labels": (metadata.labels, scores, f"output {first_output.name} has {prod(shape)} scores"),
        "channels": (metadata.channels, {size}, taken),
        "mean": (metadata.mean, {size}, taken),
    }
    for name, (entries, counts, what) in expected.items():
        if entries and len(entries) not in counts:
            raise click.UsageError(f"{name} has {len(entries)} entries, but {what}")
