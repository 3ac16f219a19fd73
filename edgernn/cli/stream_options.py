"""Options of every command that streams samples through a model; a TOML file can hold the same settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from edgernn.cli.options import Command, LoadOptions


def _numbers(kind: type[int] | type[float]) -> Callable[..., list[int] | list[float] | None]:
    """Callback that reads a list of numbers separated by commas."""

    def read(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | list[float] | None:
        try:
            return None if value is None else [kind(entry) for entry in value.split(",")]
        except ValueError:
            raise click.BadParameter(
                f"{value!r} is not a list of numbers separated by commas", ctx, parameter
            ) from None

    return read


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [entry.strip() for entry in value.split(",")]


_DECISION_SETTINGS = ("smoothing_steps", "threshold", "release", "minimum_steps", "hold_off_steps", "nothing")

_OPTIONS = (
    click.option("--format", help="Format of the samples: auto, csv, csv-comma, plotter, jsonl, cobs or a plugin's."),
    click.option(
        "--columns", callback=_numbers(int), metavar="N,N,…", help="Numbers of a sample to use, counted from 0."
    ),
    click.option("--scale", type=float, help="Unit of the numbers as they are sent, for boards that send counts."),
    click.option("--labels", callback=_names, metavar="NAME,…", help="Names of the model's scores."),
    click.option("--rate", "rate_hz", type=float, help="Samples per second that the model was trained at."),
    click.option("--mean", callback=_numbers(float), metavar="X,…", help="Subtracted from each channel."),
    click.option("--std", callback=_numbers(float), metavar="X,…", help="Divides each channel."),
    click.option("--logits", is_flag=True, help="Apply Softmax to the model's output."),
    click.option("--raw-scores", is_flag=True, help="Decide on the output of the model without Softmax."),
    click.option("--smoothing", "smoothing_steps", type=int, help="Outputs in the moving average."),
    click.option("--threshold", type=float, help="Smoothed score from which a label is recognized."),
    click.option("--release", type=float, help="Smoothed score below which a recognized label ends."),
    click.option(
        "--minimum", "minimum_steps", type=int, help="Outputs in a row for which a label must have the highest score."
    ),
    click.option(
        "--hold-off", "hold_off_steps", type=int, help="Outputs after an event in which no other event is reported."
    ),
    click.option("--nothing", help="The label that never makes an event."),
    click.option("--gap", type=click.Choice(["hold", "interpolate", "reset"]), help="Replacement of missing samples."),
    click.option("--gap-steps", type=int, help="Maximum number of missing samples in a row that are filled."),
    click.option("--resample", type=click.Choice(["linear"]), help="Convert the samples to the rate of the model."),
    click.option("--source-rate", "source_rate_hz", type=float, help="Samples per second that arrive, for --resample."),
    click.option("--allow-rate", is_flag=True, help="Continue at a rate other than that of the model."),
)


def stream_options(function: Command) -> Command:
    """Add the options that say how samples are read, what the model gets, and how its scores become events."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def given_settings(load_options: LoadOptions, options: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given as options, for `edgernn.stream.config.resolve`."""
    given_by = click.get_current_context().get_parameter_source
    everything = {**msgspec.structs.asdict(load_options), **options}
    given = {name: value for name, value in everything.items() if given_by(name) is ParameterSource.COMMANDLINE}
    decision = {name: given.pop(name) for name in _DECISION_SETTINGS if name in given}
    return {**given, "decision": decision} if decision else given
