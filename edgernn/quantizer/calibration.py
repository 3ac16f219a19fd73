"""Runs a float program over recordings and keeps what is needed to choose scales."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.errors import InputError, QuantizationError
from edgernn.program.operations import AnyOperation, DelayLine, RecurrentOperation, RunningReduce, RunningSoftmax
from edgernn.program.program import Program
from edgernn.recordings.sample_file import read_inputs
from edgernn.reference.arguments import region
from edgernn.reference.runner import ReferenceRunner

Array: TypeAlias = NDArray[Any]
Progress: TypeAlias = Callable[[int, int], None]  # steps done, steps in all
Recording: TypeAlias = Mapping[str, Array]  # input name -> (steps, *shape of the input)
GivenRecording: TypeAlias = NDArray[Any] | str | Path | Mapping[str, ArrayLike]
Calibration: TypeAlias = GivenRecording | list[GivenRecording] | tuple[GivenRecording, ...]

MAX_KEPT_STEPS = 20_000  # rows of a value; more are thinned out evenly
MAX_KEPT_NUMBERS = 1 << 23  # of a value
MIN_KEPT_ROWS = 64
PROGRESS_STEPS = 500


class CalibrationTrace(NamedTuple):
    """What a program did, as rows of numbers (rows, size); rows of different names belong to different steps."""

    raw: dict[str, Array]  # inputs as recorded
    values: dict[str, Array]
    states: dict[str, Array]  # between the steps; those that hold only frames or sums are left out
    cells: dict[str, Array]  # by operation: the input of a recurrent cell and the h that it met, side by side

    def of_cell(self, name: str, features: int) -> tuple[Array, Array]:
        """Inputs (rows, features) of a recurrent cell and the h (rows, hidden_size) that they met."""
        return self.cells[name][:, :features], self.cells[name][:, features:]


def read_recordings(program: Program, calibration: Calibration) -> list[dict[str, Array]]:
    """Recordings as dicts by input name, checked.

    One recording is an array (T, channels), a dict of such by input name, or the path of a file of samples (of several
    inputs, as `read_inputs` tells); a list or tuple holds several.

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


def _read_file(path: Path, program: Program) -> dict[str, NDArray[np.float32]]:
    try:
        return read_inputs(path, {port.name: port.size for port in program.inputs}, program.metadata.channels)
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


def count_steps(recording: Recording) -> int:
    """How many time steps a recording has."""
    return len(next(iter(recording.values())))


def normalise(program: Program, recording: Recording) -> dict[str, Array]:
    """From raw sensor units to the program's inputs, as the stream does it."""
    columns = dict(recording)
    for port in program.inputs:
        if (normalisation := program.normalisation(port.name)) is not None and port.dtype == "float32":
            mean, std = normalisation
            columns[port.name] = (columns[port.name] - mean) / std
    return columns


def steps_to_reset(program: Program) -> int | None:
    """Steps after which each state begins again: the length of a window, or what `Program.running` says."""
    return program.running.reset_steps if program.staggered is None else program.staggered.steps


def trace(
    program: Program, recordings: Sequence[Recording], on_progress: Progress = lambda done, total: None
) -> CalibrationTrace:
    """Run every recording from a reset to its end, a windowed program with a reset every window, and keep the frames.

    Only what the operations wrote is kept, when they wrote it: a value that comes in every fourth step has a fourth of
    the frames, one inside of a repeated part several in each step.
    """
    return _Tracer(program).run(recordings, on_progress)


class KeptRows:
    """Rows of numbers, thinned out evenly where there are too many."""

    def __init__(self) -> None:
        self._rows: list[Array] = []
        self._stride, self._count = 1, 0

    def add(self, row: Array) -> None:
        """Keep a copy of a row, of any shape, or leave it out."""
        if self._count % self._stride == 0:
            self._rows.append(np.array(row, np.float64).ravel())
            if len(self._rows) > max(MIN_KEPT_ROWS, min(MAX_KEPT_STEPS, MAX_KEPT_NUMBERS // self._rows[0].size)):
                self._rows, self._stride = self._rows[::2], 2 * self._stride
        self._count += 1

    def array(self) -> Array:
        """The rows that were kept (rows, size)."""
        return np.array(self._rows)


class _Tracer:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._raw: dict[str, KeptRows] = defaultdict(KeptRows)
        self._values: dict[str, KeptRows] = defaultdict(KeptRows)
        self._states: dict[str, KeptRows] = defaultdict(KeptRows)
        self._cells: dict[str, KeptRows] = defaultdict(KeptRows)
        causal = Program(msgspec.structs.replace(program.description, window=None), program.weights)
        self._runner = ReferenceRunner(causal, observe=self._observe, prepare=self._prepare)
        # states whose format follows from what is written into them
        self._derived = {
            getattr(operation, field).slot
            for operation in program.operations
            if isinstance(operation, DelayLine | RunningReduce | RunningSoftmax)
            for field in operation.state_fields
        }

    def run(self, recordings: Sequence[Recording], on_progress: Progress) -> CalibrationTrace:
        done, total = 0, sum(count_steps(recording) for recording in recordings)
        reset_steps = steps_to_reset(self._program)
        for recording in recordings:
            columns = normalise(self._program, recording)
            self._runner.reset()
            self._keep_states()
            for t in range(count_steps(recording)):
                if reset_steps is not None and t and t % reset_steps == 0:
                    self._end()
                    self._runner.reset()
                frame = {name: column[t] for name, column in columns.items()}
                for name, column in recording.items():
                    self._raw[name].add(column[t])
                    self._values[name].add(frame[name])
                with np.errstate(all="ignore"):  # looked for below
                    self._runner.step(frame)
                self._keep_states()
                done += 1
                if done % PROGRESS_STEPS == 0 or done == total:
                    on_progress(done, total)
            self._end()
        result = CalibrationTrace(
            raw={name: samples.array() for name, samples in self._raw.items()},
            values={name: samples.array() for name, samples in self._values.items()},
            states={name: samples.array() for name, samples in self._states.items()},
            cells={name: samples.array() for name, samples in self._cells.items()},
        )
        for name, rows in (result.values | result.states).items():
            if not np.isfinite(rows).all():
                raise QuantizationError(f"the float program gives NaN or infinity for {name} on the calibration")
        return result

    def _end(self) -> None:
        """Frames behind the last sample are frames like all others."""
        with np.errstate(all="ignore"):
            self._runner.flush()

    def _keep_states(self) -> None:
        for name, state in self._runner.state.items():
            if name not in self._derived:
                self._states[name].add(state)

    def _observe(self, operation: AnyOperation, name: str, array: Array) -> None:
        self._values[name].add(array)

    def _prepare(self, operation: AnyOperation, inputs: list[Array], state: dict[str, Array]) -> None:
        if isinstance(operation, RecurrentOperation):
            size = operation.state_sizes(self._program.weights)["h"]
            self._cells[operation.name].add(np.concatenate([inputs[0].ravel(), region(state, operation.h, size)]))
