"""Settings of a stream, from flags, environment variables and TOML files."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgernn.errors import ConfigError
from edgernn.program.metadata import DecisionSettings
from edgernn.stream.realtime import DEFAULT_PRIORITY, Part
from edgernn.stream.signals.gaps import GapPolicy

PREFIX = "EDGERNN_"
MAX_FILE_BYTES = 1 << 20

# option of the command line -> setting, where the names differ; test_config compares them with the commands
OPTION_NAMES = {
    "set": "fixed",
    "rate": "rate_hz",
    "source_rate": "source_rate_hz",
    "smoothing": "smoothing_steps",
    "minimum": "minimum_steps",
    "hold_off": "hold_off_steps",
    "no_reconnect": "reconnect",
    "without": "realtime_without",
    "core": "realtime_core",
    "priority": "realtime_priority",
}


class DecisionChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to the decision settings of a model, see `edgernn.DecisionSettings`. An empty `nothing` removes it."""

    smoothing_steps: int | None = None
    threshold: float | None = None
    release: float | None = None
    minimum_steps: int | None = None
    hold_off_steps: int | None = None
    nothing: str | None = None

    def apply(self, settings: DecisionSettings) -> DecisionSettings:
        """`settings` with these changes.

        Raises
        ------
        ConfigError
            The result is out of range.
        """
        changes = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if "nothing" in changes:
            changes["nothing"] = changes["nothing"] or None
        if "threshold" in changes and "release" not in changes:
            changes["release"] = min(settings.release, changes["threshold"])
        try:
            return msgspec.convert({**msgspec.to_builtins(settings), **changes}, DecisionSettings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"decision: {error}") from error


class InputSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one input of a model with several inputs comes from.

    Attributes
    ----------
    source : str or None
        Address of its source; the source of the stream if not given.
    rate_hz : float or None
        Samples per second of its source; required where there are several sources.
    columns : tuple of int
        Numbers of a sample that it takes, counted from 0.
    channels : tuple of str
        Names of its numbers; its part of the model's channels if not given.
    mean : tuple of float
        Subtracted from its numbers; its part of the model's mean if not given.
    std : tuple of float
        Divides its numbers; its part of the model's std if not given.
    scale : float or None
        Unit of its numbers as they are sent; the scale of the stream if not given.
    """

    source: str | None = None
    rate_hz: float | None = None
    columns: tuple[int, ...] = ()
    channels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float | None = None


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a stream. A setting that is None comes from the metadata of the model or has a default.

    Attributes
    ----------
    model : str or None
        Path of the model. In a file it is relative to the folder of the file.
    source : str or None
        Address of the source; the only serial port if not given.
    format : str
        ``auto`` or the name of a format.
    baud : int or None
        Bits per second of a serial port whose address names none; 115200 if not given.
    columns : tuple of int
        Numbers of a sample that the model takes, counted from 0, in the order of the model.
    scale : float
        Unit of the numbers as they are sent, for boards that send counts.
    labels : tuple of str
        Names of the scores of the first output.
    rate_hz : float or None
        Samples per second that the model was trained at.
    mean : tuple of float
        Subtracted from each channel.
    std : tuple of float
        Divides each channel.
    inputs : dict of str to InputSettings
        Where each input of a model with several inputs comes from. Without it, a sample holds the numbers of all inputs
        in their order.
    join : {"hold"} or None
        How samples of several sources are combined: ``hold`` combines each sample of the fastest source with the latest
        samples of the others.
    window : int or None
        Run on sliding windows of this many samples.
    hop : int or None
        Samples from one window to the next; 1 with `window`, otherwise a quarter of the trained length.
    time_axis : int or None
        Axis of the first input that is time, where it is not unique.
    states : dict of str to str or None
        State inputs of the model and the outputs that feed them, where that is not unique.
    fixed : dict of str to float or tuple of float
        Inputs of the model that are set for good, by name.
    assume_torch_gru : bool
        Compute a GRU with linear_before_reset=0 as PyTorch does; older exporters wrote the attribute wrongly.
    attention_steps : int or None
        Limit causal attention to this many frames, as an approximation, so that it streams.
    tail : {"step", "flush"} or None
        When an output of the whole sequence behind layers that look ahead is computed: at each sample or at the end.
    continuous : bool
        Never reset the model, even if it was trained on windows.
    reset_every : int or None
        Reset the model every so many samples, instead of using sliding windows.
    logits : bool
        Apply Softmax to the output of the model.
    raw_scores : bool
        Decide on the output of the model without Softmax or Sigmoid.
    decision : DecisionChanges
        Decision settings, see below.
    gap : {"hold", "interpolate", "reset"}
        What the model gets in place of missing samples: the last one, a straight line, or a reset.
    gap_steps : int
        Maximum number of missing samples in a row that are filled; a longer gap resets the model.
    allow_rate : bool
        Continue although the rate of the samples is more than 5 % away from the rate of the model.
    resample : {"linear"} or None
        Convert the samples to the rate of the model by linear interpolation.
    source_rate_hz : float or None
        Samples per second that arrive, for resampling; measured in the first two seconds if not given.
    reconnect : bool
        Reopen a port that was lost.
    keep_state : bool
        Keep the state of the model over an outage, instead of resetting it.
    realtime : bool
        Ask the system for real-time settings.
    realtime_without : tuple of {"gc", "core", "fifo", "memory"}
        Real-time settings to omit.
    realtime_core : int or None
        The CPU core; the last one if not given.
    realtime_priority : int
        Priority of SCHED_FIFO, from 1 to 99.
    output : tuple of str
        Sinks: ``stdout:`` or paths of files, each with options such as ``?format=csv``.
    """

    model: str | None = None
    source: str | None = None
    format: str = "auto"
    baud: int | None = None
    columns: tuple[int, ...] = ()
    scale: float = 1.0
    labels: tuple[str, ...] = ()
    rate_hz: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    inputs: dict[str, InputSettings] = {}
    join: Literal["hold"] | None = None
    window: int | None = None
    hop: int | None = None
    time_axis: int | None = None
    states: dict[str, str] | None = None
    fixed: dict[str, float | tuple[float, ...]] | None = None
    assume_torch_gru: bool = False
    attention_steps: int | None = None
    tail: Literal["step", "flush"] | None = None
    continuous: bool = False
    reset_every: int | None = None
    logits: bool = False
    raw_scores: bool = False
    decision: DecisionChanges = DecisionChanges()
    gap: GapPolicy = "hold"
    gap_steps: int = 10
    allow_rate: bool = False
    resample: Literal["linear"] | None = None
    source_rate_hz: float | None = None
    reconnect: bool = True
    keep_state: bool = False
    realtime: bool = False
    realtime_without: tuple[Part, ...] = ()
    realtime_core: int | None = None
    realtime_priority: int = DEFAULT_PRIORITY
    output: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.logits and self.raw_scores:
            raise ValueError("logits and raw_scores exclude each other")
        windows = self.window is not None or self.hop is not None
        if self.continuous and (self.reset_every is not None or windows):
            raise ValueError("continuous excludes window, hop and reset_every")
        if self.reset_every is not None and windows:
            raise ValueError("reset_every excludes window and hop")
        for name in ("window", "hop", "reset_every"):
            if (steps := getattr(self, name)) is not None and steps < 1:
                raise ValueError(f"{name} is {steps}, it must be at least 1")
        if self.source_rate_hz is not None and not 0.0 < self.source_rate_hz < 1e9:
            raise ValueError(f"source_rate_hz is {self.source_rate_hz}, it must be above 0")
        if self.gap_steps < 0:
            raise ValueError(f"gap_steps is {self.gap_steps}, it must be at least 0")
        if not 1 <= self.realtime_priority <= 99:
            raise ValueError(f"realtime_priority is {self.realtime_priority}, it must be from 1 to 99")
        if any(column < 0 for column in self.columns):
            raise ValueError("columns are counted from 0")


def resolve(
    flags: Mapping[str, Any], *, environment: Mapping[str, str] | None = None, path: Path | None = None
) -> StreamSettings:
    """Settings by precedence: flag, ``EDGERNN_*`` variable, file, default.

    Parameters
    ----------
    flags : mapping
        Fields of `StreamSettings` that were given, with ``decision`` as a mapping.
    environment : mapping, optional
        The process's own if not given. Lists are separated by commas; a decision setting is called
        ``EDGERNN_DECISION_THRESHOLD``.
    path : Path, optional
        A TOML file. Its `model` is relative to its own folder.

    Raises
    ------
    ConfigError
        An entry is unknown, of the wrong type or out of range; the message names it and where it stands.

    Examples
    --------
    >>> resolve({"hop": 5}, environment={"EDGERNN_HOP": "3", "EDGERNN_LABELS": "rest,walk"}).labels
    ('rest', 'walk')
    """
    layers = [
        ({} if path is None else _read_file(path), str(path)),
        (_from_environment(os.environ if environment is None else environment), "the environment"),
        (dict(flags), "the flags"),
    ]
    merged: dict[str, Any] = {}
    for layer, where in layers:
        _convert(layer, where)  # complains about the layer by itself, so that the message names it
        decision = {**merged.get("decision", {}), **layer.get("decision", {})}
        merged = {**merged, **layer, "decision": decision}
    return _convert(merged, "the settings together")


def as_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of `StreamSettings`, of those that may have the names of options of the command line.

    Raises
    ------
    ConfigError
        A name is unknown, or stands for a setting that is given twice; the message names the right ones.

    Examples
    --------
    >>> as_settings({"threshold": 0.5, "rate": 50.0, "gap": "hold"})
    {'rate_hz': 50.0, 'gap': 'hold', 'decision': {'threshold': 0.5}}
    """
    settings: dict[str, Any] = {}
    decision = dict(given.get("decision", {}))
    known = StreamSettings.__struct_fields__
    for name, value in given.items():
        setting = OPTION_NAMES.get(name, name)
        place = decision if setting in DecisionChanges.__struct_fields__ else settings
        if place is settings and setting not in known:
            names = [*known, *DecisionChanges.__struct_fields__, *OPTION_NAMES]
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise ConfigError(f"{name} is no setting of a stream: {hint}")
        if setting != "decision":
            if setting in place:
                raise ConfigError(f"{setting} is given twice, by two names")
            place[setting] = not value if name == "no_reconnect" else value
    return {**settings, "decision": decision} if decision else settings


def to_toml(settings: StreamSettings, folder: Path, comments: Sequence[str] = ()) -> str:
    """A file in `folder` that says what differs from the defaults, for `resolve`; comments stand above the decision.

    Examples
    --------
    >>> print(to_toml(StreamSettings(model="a.onnx", columns=(2, 0), decision=DecisionChanges(threshold=0.8)), Path()))
    model = "a.onnx"
    columns = [2, 0]
    <BLANKLINE>
    [decision]
    threshold = 0.8
    <BLANKLINE>
    """
    entries = _changed(settings)
    if settings.model is not None:
        entries["model"] = os.path.relpath(Path(settings.model).resolve(), folder.resolve())
    tables = {name: entries.pop(name) for name in ("states", "inputs", "decision") if name in entries}
    lines = _lines(entries)
    if "states" in tables:
        lines += ["", "[states]", *_lines(tables["states"])]
    for name, entry in tables.get("inputs", {}).items():
        lines += ["", f"[inputs.{_toml(name)}]", *_lines(entry)]
    lines += ["", *(f"# {comment}" for comment in comments), "[decision]", *_lines(tables.get("decision", {}))]
    return "\n".join(lines) + "\n"


def _changed(settings: msgspec.Struct) -> dict[str, Any]:
    """Fields that are not as by default, as plain values; those of structs within too."""
    plain, default = msgspec.to_builtins(settings), msgspec.to_builtins(type(settings)())
    entries = {name: value for name, value in plain.items() if value != default[name]}
    for name in ("inputs", "decision"):
        if name in entries:
            inner = getattr(settings, name)
            entries[name] = (
                {key: _changed(value) for key, value in inner.items()} if isinstance(inner, dict) else _changed(inner)
            )
    return entries


def _lines(entries: Mapping[str, Any]) -> list[str]:
    return [
        f"{key if key.isidentifier() and key.isascii() else _toml(key)} = {_toml(value)}"
        for key, value in entries.items()
    ]


def _toml(value: Any) -> str:
    """Texts, numbers, truth values and lists of them, which TOML writes as JSON does; DEL has to be escaped too."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _convert(entries: Mapping[str, Any], where: str) -> StreamSettings:
    try:
        return msgspec.convert(entries, StreamSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_readable(str(error))}") from error


def _readable(message: str) -> str:
    """``Expected `int`, got `str` - at `$.decision.threshold```, with the entry in front."""
    complaint, separator, place = message.partition(" - at `$.")
    return f"{place.rstrip('`')}: {complaint}" if separator else complaint


def _read_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES} bytes, which is too large for a configuration")
        entries = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    if isinstance(entries.get("model"), str):
        entries["model"] = str(path.parent / entries["model"])
    if isinstance(entries.get("output"), str):
        entries["output"] = [entries["output"]]
    return entries


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    entries = _variables(environment, StreamSettings, PREFIX)
    decision = _variables(environment, DecisionChanges, f"{PREFIX}DECISION_")
    return {**entries, "decision": decision} if decision else entries


def _variables(environment: Mapping[str, str], kind: type[msgspec.Struct], prefix: str) -> dict[str, Any]:
    """The fields of `kind` that have a variable, as the types that the fields have."""
    entries: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = prefix + field.name.upper()
        if name not in environment or field.name in {"decision", "inputs", "states"}:
            continue
        text = environment[name]
        is_list = isinstance(field.default, tuple)
        value: Any = [entry.strip() for entry in text.split(",") if entry.strip()] if is_list else text
        try:
            entries[field.name] = msgspec.convert(value, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{name} is {text!r}: {error}") from error
    return entries
