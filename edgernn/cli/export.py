"""``edgernn export``: a model as C for a microcontroller."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgernn.cli.board import board_option, describe_fit
from edgernn.cli.options import LoadOptions, json_option, model_argument, model_options
from edgernn.cli.text import escape, format_table, print_json

TARGETS = ("c", "arduino", "platformio", "esp-idf", "zephyr", "cmake")


@click.command()
@model_argument
@click.option("--target", type=click.Choice(TARGETS), default="c", show_default=True, help="Kind of project.")
@click.option(
    *("-o", "--output"),
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; files with the same names are replaced.",
)
@click.option("--name", help="Name of the model in C.  [default: the name of MODEL]")
@board_option
@model_options
@json_option
def export(
    model: Path,
    target: str,
    output: Path,
    name: str | None,
    board: str | None,
    load_options: LoadOptions,
    as_json: bool,
) -> None:
    """Write MODEL as C: one header, a self-test with real steps, an example, and the project files of TARGET.

    Parts of a stream that the C code leaves out (decisions, normalization, frames of a flush) are reported with the
    reason; with --json under left_out.

    An int8 model that was quantized with --count-size takes the counts of the sensor and computes without float.

    \b
    Example:
      edgernn export gesture-int8.safetensors --target arduino --board uno -o gesture_library
      edgernn verify gesture_library
    """
    from firmware_export import export as write
    from firmware_export.host import make_golden

    program = load_options.load_as_run(model)
    name = name or model.stem
    facts = describe_fit(program, name, board)
    files = write(
        program,
        output,
        target,
        make_golden(program, name),
        name=name,
        command=_command(model, target, name, load_options),
    )
    facts["files"] = [str(file) for file in files]
    if as_json:
        print_json(facts)
        return
    click.echo(format_table([(path,) for path in facts["files"]], indent=0))
    lists = ("files", "left_out")
    rows = [(what.replace("_", " "), value) for what, value in facts.items() if what not in lists and value is not None]
    rows += [(f"without {function}", reason) for function, reason in facts["left_out"].items()]
    click.echo(format_table(rows))
    click.echo(escape(f"Next: edgernn verify {output}"))


def _command(model: Path, target: str, name: str, options: LoadOptions) -> str:
    """The command that repeats this export, for the head of its files."""
    words = ["edgernn", "export", model.name, "--target", target, "-o", "DIR", "--name", name]
    if options.window is not None:
        words += ["--window", str(options.window)]
    if options.hop is not None:
        words += ["--hop", str(options.hop)]
    if options.continuous:
        words.append("--continuous")
    if options.reset_every is not None:
        words += ["--reset-every", str(options.reset_every)]
    if options.time_axis is not None:
        words += ["--time-axis", str(options.time_axis)]
    for state, output in (options.states or {}).items():
        words += ["--states", f"{state}={output}"]
    for fixed, numbers in (options.fixed or {}).items():
        words += ["--set", f"{fixed}={','.join(f'{number:g}' for number in numbers)}"]
    if options.assume_torch_gru:
        words.append("--assume-torch-gru")
    if options.attention_steps is not None:
        words += ["--attention-steps", str(options.attention_steps)]
    if options.tail is not None:
        words += ["--tail", options.tail]
    return shlex.join(words)
