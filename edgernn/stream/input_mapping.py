"""InputMapping: which numbers of which source become which of the model's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError, FormatError
from edgernn.program.description import Port
from edgernn.program.metadata import Metadata
from edgernn.program.program import Program
from edgernn.stream.config import InputSettings, StreamSettings
from edgernn.stream.formats.names import are_made_up, places_by_name, places_without_clock
from edgernn.stream.formats.needs import Needs
from edgernn.stream.formats.units import same_unit

MAX_WHOLE = 1 << 24  # up to which float32 holds all whole numbers


class InputMapping(NamedTuple):
    """What a model gets from one source.

    Attributes
    ----------
    source : str or None
        Its address; None if the settings name none.
    inputs : tuple of str
        The inputs that it feeds, in the model's order.
    rate_hz : float or None
        Samples a second that should come.
    size : int
        Numbers that the inputs take together.
    columns : tuple of int
        Which of the numbers in a sample these are; empty if they are found by name or in their order.
    channels, units : tuple of str
        Their names and units; empty if unknown.
    scale, mean, std : tuple of float
        One for each of them, or empty.
    """

    source: str | None
    inputs: tuple[str, ...]
    rate_hz: float | None
    size: int
    columns: tuple[int, ...]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    scale: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def needs(self) -> Needs:
        """What lines of the source are read against."""
        return Needs(self.size, self.channels, self.columns, self.units)


def map_inputs(program: Program, metadata: Metadata, settings: StreamSettings) -> tuple[InputMapping, ...]:
    """One input mapping for each source, that of the fastest first.

    Raises
    ------
    ConfigError
        The settings do not fit the model's inputs, or several sources are not to be joined.
    """
    size = sum(port.size for port in program.inputs)
    names = tuple(port.name for port in program.inputs)
    if not settings.inputs:
        scale = (settings.scale,) * size
        metadata_for = (settings.columns, metadata.channels, metadata.units, scale, metadata.mean, metadata.std)
        return (InputMapping(settings.source, names, metadata.rate_hz, size, *metadata_for),)
    _expect_names(settings.inputs, names)
    if settings.columns:
        raise ConfigError("columns: with inputs, each input has its own columns")
    by_source: dict[str | None, list[_Wired]] = {}
    for port in program.inputs:
        mapped = _Wired(port, settings.inputs[port.name], program.channels_of(port.name))
        mapped.check()
        by_source.setdefault(mapped.settings.source or settings.source, []).append(mapped)
    input_mappings = [_of_source(source, mapped, metadata, settings) for source, mapped in by_source.items()]
    if len(input_mappings) > 1:
        _expect_join(input_mappings, settings)
    return tuple(sorted(input_mappings, key=lambda input_mapping: -(input_mapping.rate_hz or 0.0)))


class _Wired(NamedTuple):
    """An input, what the settings say about it, and its part of the model's channels."""

    port: Port
    settings: InputSettings
    part: slice

    def check(self) -> None:
        for what in ("columns", "channels", "mean", "std"):
            given = len(getattr(self.settings, what))
            if given not in {0, self.port.size}:
                raise ConfigError(f"inputs.{self.port.name}: {what} has {given} entries, it takes {self.port.size}")
        if self.settings.rate_hz is not None and not 0.0 < self.settings.rate_hz < 1e9:
            raise ConfigError(f"inputs.{self.port.name}: rate_hz is {self.settings.rate_hz}, it must be above 0")

    def metadata_for(self, what: str, metadata: Metadata) -> tuple[Any, ...]:
        """What the settings, or else the model, say about its channels."""
        own: tuple[Any, ...] = getattr(self.settings, what, ())
        return own or getattr(metadata, what)[self.part]


def _expect_names(inputs: Mapping[str, InputSettings], names: Sequence[str]) -> None:
    for what, wrong in (("unknown", set(inputs) - set(names)), ("missing", set(names) - set(inputs))):
        if wrong:
            raise ConfigError(
                f"inputs: {', '.join(sorted(wrong))} is {what}; the model's inputs are {', '.join(names)}"
            )


def _of_source(
    source: str | None, mapped: Sequence[_Wired], metadata: Metadata, settings: StreamSettings
) -> InputMapping:
    names = tuple(one.port.name for one in mapped)
    rates = {one.settings.rate_hz for one in mapped} - {None}
    if len(rates) > 1:
        raise ConfigError(f"inputs {', '.join(names)} come from the same source: rate_hz is one for all of them")
    if len({bool(one.settings.columns) for one in mapped}) > 1:
        raise ConfigError(f"inputs {', '.join(names)} come from the same source: give columns for all of them or none")
    size = sum(one.port.size for one in mapped)

    def joined(what: str, missing: float | None = None) -> tuple[Any, ...]:
        """Entries for all channels, or none; where only some inputs have them, the others get `missing`."""
        metadata_for = [one.metadata_for(what, metadata) for one in mapped]
        if missing is not None and any(metadata_for):
            metadata_for = [
                entries or (missing,) * one.port.size for one, entries in zip(mapped, metadata_for, strict=True)
            ]
        entries = tuple(entry for some in metadata_for for entry in some)
        return entries if len(entries) == size else ()

    scales = [settings.scale if one.settings.scale is None else one.settings.scale for one in mapped]
    return InputMapping(
        source,
        names,
        rates.pop() if rates else metadata.rate_hz,
        size,
        tuple(column for one in mapped for column in one.settings.columns),
        joined("channels"),
        joined("units"),
        tuple(scale for scale, one in zip(scales, mapped, strict=True) for _ in range(one.port.size)),
        joined("mean", 0.0),
        joined("std", 1.0),
    )


def _expect_join(input_mappings: Sequence[InputMapping], settings: StreamSettings) -> None:
    rates = {name: entry.rate_hz for name, entry in settings.inputs.items()}
    unknown = [
        input_mapping.inputs[0]
        for input_mapping in input_mappings
        if all(rates[name] is None for name in input_mapping.inputs)
    ]
    if settings.join is None:
        sources = "; ".join(
            f"{', '.join(input_mapping.inputs)} from {input_mapping.source}" for input_mapping in input_mappings
        )
        raise ConfigError(
            f"the model's inputs come from several sources ({sources}), whose samples do not come together: say "
            f'join = "hold" to use the last samples of the others at each sample of the fastest, or send all in one'
        )
    if unknown:
        raise ConfigError(
            f"inputs.{unknown[0]}: rate_hz is missing; of several sources it must be known which is the fastest"
        )


class WholeNumbers:
    """Finds samples that the model cannot take: numbers that are not whole where it takes ids, or no ids.

    Parameters
    ----------
    program : Program
    input_mapping : InputMapping
    id_rows : mapping of str to ndarray
        Of inputs whose numbers are ids, how many rows there are to choose from, for each number.
    """

    def __init__(self, program: Program, input_mapping: InputMapping, id_rows: Mapping[str, NDArray[np.int64]]) -> None:
        ports = {port.name: port for port in program.inputs}
        self._parts: list[tuple[slice, NDArray[np.int64]]] = []  # columns, and the rows that each chooses from
        start = 0
        for name in input_mapping.inputs:
            part = slice(start, start + ports[name].size)
            if not ports[name].dtype.startswith("float"):
                rows = np.broadcast_to(id_rows.get(name, MAX_WHOLE), ports[name].size)
                self._parts.append((part, np.minimum(rows, MAX_WHOLE)))
            start = part.stop

    def __bool__(self) -> bool:
        return bool(self._parts)

    def reject(self, X: NDArray[np.float32]) -> int:
        """Make those numbers of X (n, C) NaN; in how many samples there were any."""
        bad = np.zeros(len(X), np.bool_)
        for part, rows in self._parts:
            numbers = X[:, part]
            odd = (numbers != np.rint(numbers)) | (numbers < -rows) | (numbers >= rows)
            wrong = np.isfinite(numbers) & odd
            numbers[wrong] = np.nan
            bad |= wrong.any(axis=1)
        return int(np.count_nonzero(bad))


class Inputs:
    """The model's inputs in the numbers of all input_mappings, laid side by side.

    Attributes
    ----------
    several : bool
        There is more than one, or one of whole numbers.
    """

    def __init__(self, program: Program, input_mappings: Sequence[InputMapping]) -> None:
        ports = {port.name: port for port in program.inputs}
        self._parts: list[tuple[Port, slice]] = []
        start = 0
        for name in (name for input_mapping in input_mappings for name in input_mapping.inputs):
            self._parts.append((ports[name], slice(start, start + ports[name].size)))
            start += ports[name].size
        self.several = len(ports) > 1 or program.inputs[0].dtype != "float32"

    def __call__(self, X: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Samples (n, C of all) to arrays (n, ...) by input name.

        Raises
        ------
        FormatError
            A number is not whole where the model takes only such.
        """
        return {port.name: self._input(port, X[:, part]) for port, part in self._parts}

    def _input(self, port: Port, X: NDArray[np.float32]) -> NDArray[Any]:
        if not port.dtype.startswith("float"):
            whole = X.astype(port.dtype)
            if not (whole == X).all():
                raise FormatError(f"input {port.name} takes whole numbers, {X[whole != X][0]} came")
            X = whole
        return np.ascontiguousarray(X).reshape(len(X), *port.shape)


def choose_columns(
    input_mapping: InputMapping, form: str, width: int, names: tuple[str, ...] = (), units: tuple[str, ...] = ()
) -> Sequence[int]:
    """The places of an input mapping's channels in a sample: the columns given, by name, or in their order.

    Parameters
    ----------
    input_mapping : InputMapping
    form : str
        What the samples come in, for messages.
    width : int
        Numbers in a sample.
    names, units : tuple of str
        Of these numbers, if the source says them.

    Raises
    ------
    FormatError
        The source sends something else than the model takes.
    ConfigError
        A column is beyond the width.
    """
    if input_mapping.columns:
        columns: Sequence[int] = input_mapping.columns
    elif input_mapping.channels and names and not are_made_up(names):
        columns = _by_name(input_mapping, form, names, units)
    else:
        columns = places_without_clock(names, width)
        columns = columns if len(columns) == input_mapping.size else range(width)
    if len(columns) != input_mapping.size:
        channels = f" ({', '.join(input_mapping.channels)})" if input_mapping.channels else ""
        what = f"{len(columns)} columns are given" if input_mapping.columns else f"the source sends {width} numbers"
        raise FormatError(
            f"{what} in each sample ({form}), the model takes {input_mapping.size}{channels}: "
            f"choose them with --columns, counted from 0"
        )
    if max(columns) >= width:
        raise ConfigError(f"columns: {max(columns)} is beyond the {width} numbers, counted from 0, that come")
    return columns


def _by_name(input_mapping: InputMapping, form: str, names: tuple[str, ...], units: tuple[str, ...]) -> list[int]:
    found = places_by_name(names, input_mapping.channels)
    missing = [channel for channel, place in zip(input_mapping.channels, found, strict=True) if place is None]
    if missing:
        raise FormatError(
            f"the source names its numbers {', '.join(names)} ({form}), the model's channels are "
            f"{', '.join(input_mapping.channels)}: {', '.join(missing)} is missing; rename them on the board, or "
            f"choose them by their places with --columns, counted from 0"
        )
    columns = [place for place in found if place is not None]
    for channel, wanted, column in zip(input_mapping.channels, input_mapping.units, columns, strict=False):
        if units and not same_unit(wanted, units[column]):
            raise FormatError(
                f"channel {channel} comes in {units[column]} ({form}), the model was trained on {wanted}: have the "
                f"board send that, or choose the numbers with --columns and bring them to it with --scale"
            )
    return columns
