"""Streaming beside the original: what a Runner gives step by step, and onnxruntime on whole sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError
from edgernn.original import Array, Original
from edgernn.program import OutputDescription, Program, Window
from edgernn.runner import Runner
from edgernn.sample_file import read_samples

Sequences = Mapping[str, NDArray[np.float32]]  # input -> (T, *shape of a frame)
Frames = dict[str, dict[int, Array]]  # output -> step -> frame
Pairs = Iterator[
    tuple[int, Array | None, Array]
]  # a step, what was streamed there if anything, what the original gives

MOST_WINDOWS = 50  # that are compared, evenly spread
PREFIX_PARTS = (1, 2, 3, 5, 10, 30, 100)  # the longest prefix is divided by these


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
    """

    name: str
    compared: str
    largest_difference: float
    first_step: int | None


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


def random_sequences(program: Program, steps: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Normally distributed samples (T, *shape of a frame) for each input."""
    rng = np.random.default_rng(seed)
    return {port.name: rng.standard_normal((steps, *port.shape)).astype(np.float32) for port in program.inputs}


def recorded_sequences(program: Program, path: Path, steps: int | None = None) -> dict[str, NDArray[np.float32]]:
    """The first `steps` samples of a recording, or all, normalised as a stream does it.

    Raises
    ------
    InputError
        The model has several inputs, or the recording has other channels.
    """
    if len(program.inputs) != 1:
        names = ", ".join(port.name for port in program.inputs)
        raise InputError(f"the model has several inputs ({names}), a recording holds one: check it without a recording")
    (port,), metadata = program.inputs, program.metadata
    samples = read_samples(path, metadata.channels)[:steps]
    if samples[0].size != port.size:
        raise InputError(f"{path} has {samples[0].size} channels, input {port.name} takes {port.size}")
    samples = samples.reshape(-1, port.size)
    if metadata.mean:
        samples = ((samples - np.array(metadata.mean)) / np.array(metadata.std)).astype(np.float32)
    return {port.name: samples.reshape(-1, *port.shape)}


def check_streaming(original: Original, sequences: Sequences, tolerance: float = 1e-5) -> CheckReport:
    """Stream sequences through a program, and compare all that comes out with the original.

    - An output with a result for every frame: every frame, with the original on the whole sequence.
    - An output for the whole sequence: with the original on prefixes of several lengths.
    - In windowed mode, every output: with the original on windows of the sequence, each by itself.
    - Last states that the original has as outputs: after the last sample.

    Parameters
    ----------
    original : Original
    sequences : mapping of str to ndarray
        For each input (T, *shape of a frame), as the model takes them.
    tolerance : float
        Largest difference that is no difference, for outputs of order one; larger outputs have it in proportion.

    Returns
    -------
    CheckReport

    Raises
    ------
    InputError
        The sequences are shorter than what the model needs.
    """
    program = original.program
    if program.window is not None:
        return _check_windows(original, program.window, sequences, tolerance)
    sequences, whole, notes = _run_whole(original, sequences)
    steps = _length(sequences)
    frames, states = _stream(program, sequences)
    comparisons = []
    for output in program.description.outputs:
        found = frames[output.name]
        if output.per_frame or original.is_one_step:
            pairs, compared = _each_frame(found, whole[output.name]), f"{len(whole[output.name])} frames"
        else:
            lengths = [steps] if notes else prefix_lengths(steps)
            pairs, compared = _prefixes(original, sequences, output.name, found, lengths), f"{len(lengths)} prefixes"
        comparisons.append(_compare(output.name, compared, pairs, tolerance))
    for state, output_name in original.pairs.items():
        if output_name in frames:
            continue  # it has no output but its states, which have just been compared
        last = iter([(steps - 1, states[state], whole[output_name])])
        comparisons.append(_compare(state, "last state", last, tolerance))
    return CheckReport(tuple(comparisons), steps, notes)


def prefix_lengths(steps: int) -> list[int]:
    """Lengths of the prefixes that are compared, ascending.

    Examples
    --------
    >>> prefix_lengths(300)
    [1, 2, 3, 10, 30, 60, 100, 150, 300]
    """
    return sorted({min(2, steps), *(max(1, steps // part) for part in (*PREFIX_PARTS, steps))})


def _check_windows(original: Original, window: Window, sequences: Sequences, tolerance: float) -> CheckReport:
    steps = _length(sequences)
    _expect_length(steps, window.steps)
    frames, _ = _stream(original.program, sequences)
    ends = range(window.steps - 1, steps, window.hop)
    chosen = sorted({ends[round(place)] for place in np.linspace(0, len(ends) - 1, MOST_WINDOWS)})
    comparisons = []
    for output in original.program.description.outputs:
        pairs = _windows(original, window.steps, sequences, output, frames[output.name], chosen)
        comparisons.append(_compare(output.name, f"{len(chosen)} of {len(ends)} windows", pairs, tolerance))
    return CheckReport(tuple(comparisons), steps, ())


def _run_whole(original: Original, sequences: Sequences) -> tuple[Sequences, dict[str, Array], tuple[str, ...]]:
    """The original on the whole sequences, or on as much of them as its frozen length allows."""
    length = original.only_length
    if length is None:
        whole, steps = original.run(sequences), _length(sequences)
        if original.runs_at(steps + 1):
            return sequences, whole, ()
        length = steps
    _expect_length(_length(sequences), length)
    sequences = {name: rows[:length] for name, rows in sequences.items()}
    note = f"the file runs only on its frozen length of {length} samples, so that only this length was compared"
    return sequences, original.run(sequences), (note,)


def _length(sequences: Sequences) -> int:
    return len(next(iter(sequences.values())))


def _expect_length(steps: int, needed: int) -> None:
    if steps < needed:
        raise InputError(f"the sequence has {steps} samples, the model needs {needed}: give a longer one")


def _stream(program: Program, sequences: Sequences) -> tuple[Frames, dict[str, Array]]:
    """Every frame that a Runner gives step by step, and the states after the last step."""
    runner = Runner(program)
    frames: Frames = {port.name: {} for port in program.outputs}
    for t in range(_length(sequences)):
        sample = {name: rows[t].ravel() for name, rows in sequences.items()}
        result = runner.step(sample if len(sample) > 1 else next(iter(sample.values())))
        results = result if isinstance(result, dict) else {program.outputs[0].name: result}
        for name, frame in results.items():
            if frame is not None:
                frames[name][t] = np.array(frame)  # the runner overwrites its own
    return frames, {slot.name: np.array(runner.state[slot.name]) for slot in program.state}


def _each_frame(found: Mapping[int, Array], whole: Array) -> Pairs:
    """The first frame that was streamed is the original's first, and so on."""
    steps = [*found, *([max(found, default=0)] * (len(whole) - len(found)))]
    for number, expected in enumerate(whole):
        yield steps[number], found[steps[number]] if number < len(found) else None, expected


def _prefixes(
    original: Original, sequences: Sequences, name: str, found: Mapping[int, Array], lengths: list[int]
) -> Pairs:
    for length in lengths:
        prefix = {input_name: rows[:length] for input_name, rows in sequences.items()}
        yield length - 1, found.get(length - 1), original.run(prefix)[name]


def _windows(
    original: Original,
    window_steps: int,
    sequences: Sequences,
    output: OutputDescription,
    found: Mapping[int, Array],
    ends: list[int],
) -> Pairs:
    for t in ends:
        window = {name: rows[t + 1 - window_steps : t + 1] for name, rows in sequences.items()}
        expected = original.run(window)[output.name]
        yield t, found.get(t), np.moveaxis(expected, 0, output.time_axis) if output.per_frame else expected


def _compare(name: str, compared: str, pairs: Pairs, tolerance: float) -> Comparison:
    largest, first_step = 0.0, None
    for step, streamed, expected in pairs:
        difference = np.inf if streamed is None else float(np.abs(streamed.ravel() - expected.ravel()).max())
        scale = max(1.0, float(np.abs(expected).max()))
        if not difference <= tolerance * scale and first_step is None:
            first_step = step
        largest = max(largest, difference)
    return Comparison(name, compared, largest, first_step)
