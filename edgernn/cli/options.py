"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
import msgspec

if TYPE_CHECKING:  # a completion must not wait for NumPy
    from edgernn.importers.onnx.translation import ImportedModel
    from edgernn.program.program import Program

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Any], Any]  # what click.option returns

MAX_WINDOW_STEPS = 10_000_000  # as in edgernn.program.validation, which a completion must not wait for


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model file is to be loaded; the options of `edgernn.load`."""

    window: int | None = None
    hop: int | None = None
    continuous: bool = False
    reset_every: int | None = None
    time_axis: int | None = None
    states: dict[str, str] | None = None
    fixed: dict[str, list[float]] | None = None
    assume_torch_gru: bool = False
    attention_steps: int | None = None
    tail: Literal["step", "flush"] | None = None

    def load(self, path: Path) -> Program:
        """The Program in the file at `path`, with the way of running that was chosen."""
        from edgernn.importers import load

        return self._chosen(load(path, **self._arguments()))

    def load_as_run(self, path: Path) -> Program:
        """The Program as streams run it, see `edgernn.as_run`."""
        from edgernn.program.streamed import as_run

        return as_run(self.load(path))

    def import_as_run(self, path: Path) -> ImportedModel:
        """The ONNX model at `path` with the Program that streams run."""
        from edgernn.importers import import_onnx
        from edgernn.program.streamed import as_run

        imported = import_onnx(path, **self._arguments())
        return replace(imported, program=as_run(self._chosen(imported.program)))

    def _arguments(self) -> dict[str, Any]:
        """Arguments of `edgernn.load`."""
        arguments = msgspec.structs.asdict(self)
        del arguments["continuous"], arguments["reset_every"]
        return arguments | {"hop": self.hop or 1 if self.window is not None else 1}

    def _chosen(self, program: Program) -> Program:
        from edgernn.errors import InputError
        from edgernn.program.streamed import chosen_running

        try:
            return chosen_running(
                program, window=self.window, hop=self.hop, continuous=self.continuous, reset_every=self.reset_every
            )
        except InputError as error:
            raise click.UsageError(str(error)) from error


class FiniteRange(click.FloatRange):
    """A finite number within bounds; click's range accepts `nan`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def _parse_pairs(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str] | None:
    pairs = [text.partition("=") for text in value]
    if any(not separator or not left or not right for left, separator, right in pairs):
        raise click.BadParameter("must be INPUT=OUTPUT, two names of the model", ctx, parameter)
    return {left: right for left, _, right in pairs} or None


def _parse_numbers(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, Any] | None:
    pairs = [text.partition("=") for text in value]
    found: dict[str, Any] = {}
    for name, separator, text in pairs:
        try:
            numbers = [_number(entry.strip()) for entry in text.split(",")]
        except ValueError:
            numbers = []
        if not name or not separator or not numbers or name in found:
            raise click.BadParameter("must be INPUT=NUMBER or INPUT=NUMBER,NUMBER…, each input once", ctx, parameter)
        found[name] = numbers
    return found or None


def _number(text: str) -> float:
    if text.lower() in {"true", "false"}:
        return float(text.lower() == "true")
    return int(text) if text.lstrip("+-").isdigit() else float(text)


_LOAD_OPTIONS = (
    click.option(
        "--window", type=click.IntRange(1, MAX_WINDOW_STEPS), help="Run on sliding windows of this many samples."
    ),
    click.option(
        "--hop",
        type=click.IntRange(1, MAX_WINDOW_STEPS),
        help="Samples from one window to the next.  [default: 1 with --window, else a quarter of the trained length]",
    ),
    click.option("--continuous", is_flag=True, help="Never reset, even if the model was trained on windows."),
    click.option("--reset-every", type=click.IntRange(1, MAX_WINDOW_STEPS), help="Reset the states every N samples."),
    click.option("--time-axis", type=int, help="Axis of the first input that is time, where it is not unique."),
    click.option(
        "--states",
        multiple=True,
        metavar="INPUT=OUTPUT",
        callback=_parse_pairs,
        help="The output that feeds a state input, where it is not unique; may be repeated.",
    ),
    click.option(
        "--set",
        "fixed",
        multiple=True,
        metavar="INPUT=VALUE",
        callback=_parse_numbers,
        help="Set an input, or a free dimension INPUT[AXIS], for good, such as a sampling rate; may be repeated.",
    ),
    click.option(
        "--assume-torch-gru",
        is_flag=True,
        help="Compute a GRU with linear_before_reset=0 as PyTorch does (older exporters wrote the attribute wrongly).",
    ),
    click.option(
        "--attention-steps",
        type=click.IntRange(1, MAX_WINDOW_STEPS),
        help="Limit causal attention to the last N samples, as an approximation, so that it streams.",
    ),
    click.option(
        "--tail",
        type=click.Choice(["step", "flush"]),
        help="When to give an output of the whole sequence that looks ahead: at each sample or at the end.  [default: "
        "that of the converted model, else step]",
    ),
)


def option_group(name: str, kind: type[msgspec.Struct], options: Sequence[Option]) -> Callable[[Command], Command]:
    """A decorator that adds options; the command gets them together, as `name`, a `kind` with a field for each."""

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def with_group(**arguments: Any) -> Any:
            fields = {field: arguments.pop(field) for field in kind.__struct_fields__}
            return function(**{name: kind(**fields)}, **arguments)

        decorated: Any = with_group
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


model_options = option_group("load_options", LoadOptions, _LOAD_OPTIONS)
model_argument = click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
