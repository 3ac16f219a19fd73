"""Streaming beside the original: what a Runner gives step by step, and onnxruntime on whole sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError
from edgernn.evaluation.onnxruntime_model import Array, FixedLengthError, OnnxruntimeModel
from edgernn.program.description import OutputDescription, Port, Window
from edgernn.program.operations import DelayLine
from edgernn.program.program import Program
from edgernn.recordings.report import DEFAULT_READING, Reading, ReadReport
from edgernn.recordings.sample_file import read_inputs
from edgernn.runtime.plan import ANY_ROWS, plan_of
from edgernn.runtime.runner import Runner

Sequences = Mapping[str, NDArray[Any]]  # input -> (T, *shape of a frame)
Frames = dict[str, list[tuple[int, Array]]]  # output -> each frame with the step in which it came

MAX_WINDOWS = 50  # that are compared, evenly spread
PREFIX_PARTS = (1, 2, 3, 5, 10, 30, 100)  # the longest prefix is divided by these
ANY_INTEGERS = 10  # random integers that choose no rows of a table are below


class Pair(NamedTuple):
    """What was streamed in a step and what the original gives, None where there is nothing; and what both are."""

    what: str
    step: int
    streamed: Array | None
    expected: Array | None


@dataclass(frozen=True)
class Comparison:
    """One output or state beside the original.

    Attributes
    ----------
    name : str
        Of the output or the state.
    compared : str
        What was compared.
    largest_difference : float
        Absolute; infinite where streaming gave nothing.
    first_step : int or None
        The first step beyond the tolerance, None if there is none.
    first_difference : str
        Which frame, prefix or window it is, and what differs in it; empty if nothing does.
    """

    name: str
    compared: str
    largest_difference: float
    first_step: int | None = None
    first_difference: str = ""


@dataclass(frozen=True)
class CheckReport:
    """All comparisons of a model over `steps` samples. `notes` say what could not be compared as asked, and why."""

    comparisons: tuple[Comparison, ...]
    steps: int
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether everything is within the tolerance."""
        return all(comparison.first_step is None for comparison in self.comparisons)


def random_sequences(program: Program, steps: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random samples (T, *shape of a frame) for each input: normally distributed, or ids of a table."""
    rng = np.random.default_rng(seed)
    rows = plan_of(program).id_rows
    return {
        port.name: rng.integers(0, _most_ids(port, rows), (steps, *port.shape), np.int32)
        if port.dtype.startswith("int")
        else rng.standard_normal((steps, *port.shape)).astype(np.float32)
        for port in program.inputs
    }


def _most_ids(port: Port, rows: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Random integers of an input are below these, one for each number."""
    most = rows.get(port.name, np.full(port.size, ANY_INTEGERS))
    return np.where(most < ANY_ROWS, most, ANY_INTEGERS).reshape(port.shape)


def recorded_sequences(
    program: Program,
    path: Path,
    steps: int | None = None,
    *,
    reading: Reading = DEFAULT_READING,
    on_report: Callable[[ReadReport], None] | None = None,
) -> dict[str, NDArray[Any]]:
    """The first `steps` samples of a recording, or all, normalised as a stream does it.

    Raises
    ------
    InputError
        The recording has other channels, or no samples of an input, or is not whole where the model takes ids.
    """
    sizes = {port.name: port.size for port in program.inputs}
    recorded = read_inputs(path, sizes, program.metadata.channels, reading=reading, on_report=on_report)
    return {port.name: _frames(program, port, recorded[port.name][:steps], path) for port in program.inputs}


def _frames(program: Program, port: Port, samples: Array, path: Path) -> NDArray[Any]:
    """Samples of an input as the model takes them (T, *shape)."""
    if samples[0].size != port.size:
        raise InputError(f"{path} has {samples[0].size} channels, input {port.name} takes {port.size}")
    samples = samples.reshape(-1, *port.shape)
    if port.dtype.startswith("int"):
        if (samples != np.floor(samples)).any():
            raise InputError(f"{path} holds numbers that are not whole, input {port.name} takes integers")
        return samples.astype(np.int32)
    normalisation = program.normalisation(port.name)
    if normalisation is None:
        return samples
    mean, std = normalisation
    return ((samples - mean) / std).astype(np.float32)


def check_streaming(onnx_model: OnnxruntimeModel, sequences: Sequences, tolerance: float = 1e-5) -> CheckReport:
    """Stream sequences through a program, and compare all that comes out with the original.

    - An output with a result for every frame: every frame, those that `flush` gives too, with the original on the whole
      sequence.
    - An output for the whole sequence: with the original on prefixes of several lengths; where it comes only with
      `flush`, on the whole sequence.
    - In windowed mode, every output: with the original on windows of the sequence, each by itself.
    - Last states that the original has as outputs: after the last sample, and the tail.

    Parameters
    ----------
    onnx_model : Original
    sequences : mapping of str to ndarray
        For each input (T, *shape of a frame), as the model takes them; of an input without time the first row counts.
    tolerance : float
        Largest difference that is no difference, for outputs of order one; an output whose numbers reach further has it
        in proportion to its largest number.

    Returns
    -------
    CheckReport

    Raises
    ------
    InputError
        The sequences are shorter than what the model needs.
    """
    program = onnx_model.program
    sequences = onnx_model.with_time_invariant(sequences)
    if program.window is not None:
        return _check_windows(onnx_model, program.window, sequences, tolerance)
    least = least_steps(program)
    _expect_length(_length(sequences), least)
    sequences, expected, notes, output_period = _run_whole(onnx_model, sequences)
    steps = _length(sequences)
    frames, states = _stream(program, sequences)
    comparisons = []
    for output in program.description.outputs:
        found = frames[output.name]
        if output.per_frame or onnx_model.is_one_step:
            comparisons.append(_compare(output.name, "frames", _each_frame(found, expected[output.name]), tolerance))
        else:
            only_flushed = output.when.at_end and program.tail_steps and program.description.tail == "flush"
            lengths = [steps] if notes or only_flushed else prefix_lengths(steps, least, output_period)
            pairs = _prefixes(onnx_model, sequences, output.name, dict(found), lengths)
            comparisons.append(_compare(output.name, "prefixes", pairs, tolerance))
    for state, output_name in onnx_model.pairs.items():
        if output_name in frames:
            continue  # it has no output but its states, which have just been compared
        last = iter([Pair("the last state", steps - 1, states[state], expected[output_name])])
        comparisons.append(_compare(state, "last state", last, tolerance))
    return CheckReport(tuple(comparisons), steps, notes)


def least_steps(program: Program) -> int:
    """The shortest sequence of which each operation has a frame: on a shorter one the original is not defined."""
    schedules = [operation.when for operation in program.operations]
    schedules += [operation.read for operation in program.operations if isinstance(operation, DelayLine)]
    schedules += [output.when for output in program.description.outputs]
    return max(1, *(schedule.period - schedule.extra for schedule in schedules))


def prefix_lengths(steps: int, least: int = 1, output_period: int = 1) -> list[int]:
    """Lengths of the prefixes that are compared, ascending from `least`, all multiples of `output_period`.

    Examples
    --------
    >>> prefix_lengths(300)
    [1, 2, 3, 10, 30, 60, 100, 150, 300]
    >>> prefix_lengths(300, 1, 4)
    [8, 28, 60, 100, 148, 300]
    """
    lengths = {least, min(least + 1, steps), *(steps // part for part in PREFIX_PARTS)}
    return sorted({length - length % output_period for length in lengths if length - length % output_period >= least})


def _check_windows(onnx_model: OnnxruntimeModel, window: Window, sequences: Sequences, tolerance: float) -> CheckReport:
    steps = _length(sequences)
    _expect_length(steps, window.steps)
    frames, _ = _stream(onnx_model.program, sequences)
    ends = range(window.steps - 1, steps, window.hop)
    chosen = sorted({ends[round(place)] for place in np.linspace(0, len(ends) - 1, MAX_WINDOWS)})
    comparisons = []
    for output in onnx_model.program.description.outputs:
        pairs = _windows(onnx_model, window.steps, sequences, output, dict(frames[output.name]), ends, chosen)
        comparisons.append(_compare(output.name, f"of {len(ends)} windows", pairs, tolerance))
    return CheckReport(tuple(comparisons), steps, ())


def _run_whole(
    onnx_model: OnnxruntimeModel, sequences: Sequences
) -> tuple[Sequences, dict[str, Array], tuple[str, ...], int]:
    """The original on the whole sequences, or on as much of them as its frozen length allows, or its strides.

    At last the number of which all lengths are a multiple on which it runs.
    """
    steps, length = _length(sequences), onnx_model.only_length
    if length is None and onnx_model.runs_at(steps) and onnx_model.runs_at(steps + 1):
        return sequences, onnx_model.run(sequences), (), 1
    even = steps - steps % onnx_model.output_period
    if length is None and even and onnx_model.runs_at(even + onnx_model.output_period):
        sequences = {name: rows[:even] for name, rows in sequences.items()}
        return sequences, onnx_model.run(sequences), (), onnx_model.output_period
    length = steps if length is None else length
    _expect_length(steps, length)
    sequences = {name: rows[:length] for name, rows in sequences.items()}
    note = f"the file runs only on its frozen length of {length} samples, so only this length was compared"
    return sequences, onnx_model.run(sequences), (note,), 1


def _length(sequences: Sequences) -> int:
    return len(next(iter(sequences.values())))


def _expect_length(steps: int, needed: int) -> None:
    if steps < needed:
        raise InputError(f"the sequence has {steps} samples, the model needs {needed}: give a longer one")


def _stream(program: Program, sequences: Sequences) -> tuple[Frames, dict[str, Array]]:
    """Every frame that a Runner gives step by step and at the end, and the states then."""
    runner = Runner(program)
    frames: Frames = {port.name: [] for port in program.outputs}
    steps = _length(sequences)
    for t in range(steps):
        sample = {name: rows[t].ravel() for name, rows in sequences.items()}
        result = runner.step(sample if len(sample) > 1 else next(iter(sample.values())))
        for name, frame in _by_output(program, result).items():
            if frame is not None:
                frames[name].append((t, np.array(frame)))  # the runner overwrites its own
    tail = _by_output(program, runner.flush())
    for output in program.description.outputs:
        for frame in _of_steps(output, tail[output.name]):
            step = (
                steps - 1 if output.when.at_end else output.when.first + output.when.period * len(frames[output.name])
            )
            frames[output.name].append((step, frame))
    return frames, {slot.name: np.array(runner.state[slot.name]) for slot in program.state}


def _by_output(program: Program, result: Any) -> dict[str, Any]:
    return result if isinstance(result, dict) else {program.outputs[0].name: result}


def _of_steps(output: OutputDescription, rows: Array) -> Array:
    """Flushed frames, which lie end to end, as steps give them: several at once where the rate is above 1."""
    if output.frames == 1:
        return rows
    steps = rows.reshape(-1, output.frames, *rows.shape[1:])
    return np.moveaxis(steps, 1, 1 + output.time_axis)


def _each_frame(found: list[tuple[int, Array]], expected: Array) -> Iterator[Pair]:
    """The first frame that was streamed is the original's first, and so on."""
    last_step = found[-1][0] if found else 0
    for number in range(max(len(found), len(expected))):
        step, streamed = found[number] if number < len(found) else (last_step, None)
        yield Pair(f"frame {number}", step, streamed, expected[number] if number < len(expected) else None)


def _prefixes(
    onnx_model: OnnxruntimeModel, sequences: Sequences, name: str, found: Mapping[int, Array], lengths: list[int]
) -> Iterator[Pair]:
    for length in lengths:
        prefix = {input_name: rows[:length] for input_name, rows in sequences.items()}
        streamed = found.get(length - 1)
        try:
            expected = onnx_model.run(prefix)[name]
        except FixedLengthError:
            if length == lengths[-1]:
                raise
            continue  # shorter than what the model looks at
        if length == lengths[-1] or np.isfinite(expected).all():
            yield Pair(f"the prefix of {length} samples", length - 1, streamed, expected)


def _windows(
    onnx_model: OnnxruntimeModel,
    window_steps: int,
    sequences: Sequences,
    output: OutputDescription,
    found: Mapping[int, Array],
    ends: range,
    chosen: list[int],
) -> Iterator[Pair]:
    for t in chosen:
        window = {name: rows[t + 1 - window_steps : t + 1] for name, rows in sequences.items()}
        expected = onnx_model.run(window)[output.name]
        expected = np.moveaxis(expected, 0, output.time_axis) if output.per_frame else expected
        yield Pair(f"the window that ends with sample {t}", t, found.get(t), expected)
    for t in sorted(found.keys() - ends):
        yield Pair(f"a window that ends with sample {t}", t, found[t], None)


def _compare(name: str, what: str, pairs: Iterator[Pair], tolerance: float) -> Comparison:
    compared = list(pairs)
    expected = [pair.expected for pair in compared if pair.expected is not None]
    allowed = tolerance * max(1.0, *(_magnitude(array) for array in expected), 0.0)
    largest, first_step, first_difference = 0.0, None, ""
    for pair in compared:
        difference, place = _difference(pair.streamed, pair.expected)
        if not difference <= allowed and first_step is None:
            first_step, first_difference = pair.step, f"{pair.what}{place}"
        largest = max(largest, difference)
    compared_text = what if what == "last state" else f"{len(expected)} {what}"
    return Comparison(name, compared_text, largest, first_step, first_difference)


def _magnitude(array: Array) -> float:
    """The largest finite number, of either sign; a difference is judged beside the range of the whole output."""
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0.0))


def _difference(streamed: Array | None, expected: Array | None) -> tuple[float, str]:
    """The largest difference, infinite where one is missing, and where it is."""
    if expected is None:
        return np.inf, " is too many, the original has none"
    if streamed is None:
        return np.inf, " is missing"
    if streamed.size != expected.size:
        return np.inf, f" has {streamed.size} numbers, the original's {expected.size}"
    if not expected.size:
        return 0.0, ""
    apart = np.nan_to_num(np.abs(streamed.ravel() - expected.ravel()), nan=np.inf)
    place = int(np.argmax(apart))
    return float(apart[place]), f", number {place}: {streamed.ravel()[place]:.7g} is not {expected.ravel()[place]:.7g}"
