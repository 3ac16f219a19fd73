"""Runs a float program over recordings and keeps what is needed to choose scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.errors import InputError, QuantizationError
from edgernn.operations import AnyOperation
from edgernn.program import Program
from edgernn.reference import ReferenceRunner
from edgernn.sample_file import read_samples

Array: TypeAlias = NDArray[Any]
Recording: TypeAlias = Mapping[str, Array]  # input name -> (steps, *shape of the input)
GivenRecording: TypeAlias = NDArray[Any] | str | Path | Mapping[str, ArrayLike]
Calibration: TypeAlias = GivenRecording | list[GivenRecording] | tuple[GivenRecording, ...]

MAX_KEPT_STEPS = 20_000  # of a value; more steps are thinned out evenly


class Trace(NamedTuple):
    """What a program did: every value and state at each kept step, (steps, size) each."""

    raw: dict[str, Array]  # inputs as recorded
    values: dict[str, Array]
    before: dict[str, Array]  # states when the step began
    after: dict[str, Array]  # states when it ended


def read_recordings(program: Program, calibration: Calibration) -> list[dict[str, Array]]:
    """Recordings as dicts by input name, checked.

    One recording is an array (T, channels), a dict of such by input name, or the path of a file of samples; a list or
    tuple holds several.

    Raises
    ------
    QuantizationError
        There is no recording, or one has the wrong channels, holds NaN, or is zero throughout.
    """
    entries = calibration if isinstance(calibration, list | tuple) else [calibration]
    recordings = []
    for number, entry in enumerate(entries):
        where = str(entry) if isinstance(entry, str | Path) else f"calibration recording {number}"
        columns = _columns(program, _read_file(Path(entry), program) if isinstance(entry, str | Path) else entry, where)
        recordings.append({name: _checked(program, name, column, where) for name, column in columns.items()})
    if not recordings or not any(len(column) for recording in recordings for column in recording.values()):
        raise QuantizationError("the calibration holds no samples; give recordings of the sensor in use")
    for port in program.inputs:
        if not any(recording[port.name].any() for recording in recordings):
            raise QuantizationError(
                f"the calibration of input {port.name} is zero throughout: no range follows from it; "
                "give recordings of the sensor in use"
            )
    return recordings


def _read_file(path: Path, program: Program) -> Array:
    try:
        return read_samples(path, program.metadata.channels)
    except (OSError, InputError) as error:
        raise QuantizationError(f"calibration recording cannot be read: {error}") from error


def _columns(program: Program, entry: Any, where: str) -> dict[str, Any]:
    names = [port.name for port in program.inputs]
    columns = dict(entry) if isinstance(entry, Mapping) else {names[0]: entry}
    if set(columns) != set(names):
        raise QuantizationError(f"{where} has {', '.join(columns)}, the program's inputs are {', '.join(names)}")
    return columns


def _checked(program: Program, name: str, column: Any, where: str) -> Array:
    port = next(port for port in program.inputs if port.name == name)
    try:
        samples = np.asarray(column, np.float64)
    except (TypeError, ValueError) as error:
        raise QuantizationError(f"{where}: input {name} holds no numbers: {error}") from error
    if samples.ndim < 1 or (len(samples) and samples[0].size != port.size):
        raise QuantizationError(
            f"{where}: input {name} has shape {samples.shape}, it must be (steps, {port.size}): {port.size} channels"
        )
    if not np.isfinite(samples).all():
        first = int(np.argwhere(~np.isfinite(samples))[0][0])
        raise QuantizationError(f"{where}: input {name} is NaN or infinite at step {first}; cut it out")
    return samples.reshape(len(samples), *port.shape)


def normalise(program: Program, recording: Recording) -> dict[str, Array]:
    """From raw sensor units to the program's inputs, as the stream does it."""
    columns = dict(recording)
    if program.metadata.mean:
        first = program.inputs[0].name
        columns[first] = (columns[first] - np.array(program.metadata.mean)) / np.array(program.metadata.std)
    return columns


def trace(program: Program, recordings: Sequence[Recording]) -> Trace:
    """Run every recording from a reset, a windowed program with a reset every window, and keep the steps."""
    causal = Program(msgspec.structs.replace(program.description, window=None), program.weights)
    written: dict[str, Array] = {}

    def observe(_: AnyOperation, name: str, array: Array) -> None:
        written[name] = array

    runner = ReferenceRunner(causal, observe=observe)
    window = program.window.steps if program.window is not None else None
    total = sum(len(next(iter(recording.values()))) for recording in recordings)
    stride = -(-total // MAX_KEPT_STEPS)
    kept: tuple[dict[str, list[Array]], ...] = ({}, {}, {}, {})
    step = 0
    for recording in recordings:
        columns = normalise(program, recording)
        runner.reset()
        for t in range(len(next(iter(columns.values())))):
            if window is not None and t and t % window == 0:
                runner.reset()
            keep = step % stride == 0
            step += 1
            before = {name: state.copy() for name, state in runner.state.items()} if keep else {}
            frame = {name: column[t] for name, column in columns.items()}
            with np.errstate(all="ignore"):  # looked for below
                runner.step(frame)
            if keep:
                raw = {name: column[t] for name, column in recording.items()}
                for kind, arrays in zip(kept, (raw, frame | written, before, runner.state), strict=True):
                    for name, array in arrays.items():
                        kind.setdefault(name, []).append(np.array(array).ravel())
    result = Trace(*({name: np.array(rows) for name, rows in kind.items()} for kind in kept))
    for name, rows in (result.values | result.after).items():
        if not np.isfinite(rows).all():
            raise QuantizationError(f"the float program gives NaN or infinity for {name} on the calibration")
    return result
