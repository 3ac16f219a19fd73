"""Traces: what a model said at every step of a session, beside what was true."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import FormatError, InputError
from edgernn.evaluation.sessions import Session
from edgernn.program.metadata import DecisionSettings
from edgernn.program.program import Program
from edgernn.stream.config import StreamSettings
from edgernn.stream.pipeline import Pipeline
from edgernn.stream.sample_decoder import RATE_TOLERANCE
from edgernn.stream.sources.base import Chunk

UNLABELLED = -1


class LabelledEvent(NamedTuple):
    """An event: the step at which it came, and the index of its label."""

    step: int
    label: int


class ScoreTrace(NamedTuple):
    """A session as a model saw it.

    Attributes
    ----------
    name : str
    rate_hz : float or None
        Steps a second.
    labels : tuple of str
    decision : DecisionSettings
    truth : ndarray int64 (T,)
        Index of what was done at each step, or -1 where nobody knows.
    steps : ndarray int64 (m,)
        The step at which each output came.
    about : ndarray int64 (m,)
        The step that each output is about; an earlier one where the model looks ahead.
    scores : ndarray (m, K)
        Scores before smoothing.
    begins : tuple of int
        Outputs before which the model was reset.
    events : tuple of LabelledEvent
    counts : dict of str to int
        As in `edgernn.stream.stream.StreamStatus`.
    notes : tuple of str
        How the model was run.
    """

    name: str
    rate_hz: float | None
    labels: tuple[str, ...]
    decision: DecisionSettings
    truth: NDArray[np.int64]
    steps: NDArray[np.int64]
    about: NDArray[np.int64]
    scores: NDArray[np.float64]
    begins: tuple[int, ...]
    events: tuple[LabelledEvent, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]

    def part(self, start: int, stop: int) -> ScoreTrace:
        """Steps `start` up to, not including, `stop`, with the outputs that are about them."""
        kept = np.flatnonzero((self.about >= start) & (self.about < stop) & (self.steps < stop))
        first = int(kept[0]) if len(kept) else 0
        return self._replace(
            truth=self.truth[start:stop],
            steps=self.steps[kept] - start,
            about=self.about[kept] - start,
            scores=self.scores[kept],
            begins=tuple(begin - first for begin in self.begins if first < begin < first + len(kept)),
            events=tuple(LabelledEvent(step - start, label) for step, label in self.events if start <= step < stop),
        )


class _Outputs:
    """Keeps what a pipeline's observer is told."""

    def __init__(self) -> None:
        self.steps: list[NDArray[np.int64]] = []
        self.scores: list[NDArray[np.float64]] = []
        self.begins: list[int] = []
        self.count = 0

    def outputs(self, steps: NDArray[np.int64], scores: NDArray[Any]) -> None:
        self.steps.append(steps.copy())
        self.scores.append(scores.astype(np.float64))
        self.count += len(steps)

    def reset(self) -> None:
        self.begins.append(self.count)


def trace_session(program: Program, settings: StreamSettings, session: Session) -> ScoreTrace:
    """Stream a session through a model exactly as `edgernn run` does.

    Raises
    ------
    InputError
        A label is unknown to the model, the rate is another one, or nothing came out.
    """
    seen = _Outputs()
    if settings.source_rate_hz is None and session.rate_hz is not None:
        settings = msgspec.structs.replace(settings, source_rate_hz=session.rate_hz)
    try:
        pipeline = Pipeline(
            program, settings, whole_start=True, latched_forms=[(None, True)] * len(settings.inputs), observer=seen
        )
        _check_inputs(pipeline, session)
        truth, events = _feed(pipeline, session)
    except FormatError as error:
        raise InputError(f"{session.name}: {error}") from error
    if not seen.count:
        needed = f" of {pipeline.program.window_steps} samples" if pipeline.program.window_steps else ""
        raise InputError(f"{session.name}: {len(truth)} samples gave no output of the model{needed}: it is too short")
    rate_hz = session.rate_hz or pipeline.decoder.rate.rate_hz
    steps = np.concatenate(seen.steps)
    _check_rate(session.name, rate_hz, pipeline.metadata.rate_hz, settings)
    return ScoreTrace(
        session.name,
        pipeline.metadata.rate_hz
        if settings.resample is not None
        else rate_hz or pipeline.decoder.input_mapping.rate_hz,
        pipeline.labels,
        settings.decision.apply(pipeline.metadata.decision),
        truth,
        np.minimum(steps, len(truth) - 1),
        np.clip(steps - pipeline.delay_steps, 0, len(truth) - 1),
        np.concatenate(seen.scores),
        tuple(seen.begins),
        tuple(events),
        pipeline.counts(),
        tuple(pipeline.notes),
    )


def _feed(pipeline: Pipeline, session: Session) -> tuple[NDArray[np.int64], list[LabelledEvent]]:
    """What was true at each step, and the events."""
    numbers = {label: place for place, label in enumerate(pipeline.labels)}
    nothing = pipeline.metadata.decision.nothing
    period_ns = 0.0 if session.rate_hz is None else 1e9 / session.rate_hz
    truth: list[NDArray[np.int64]] = []
    events: list[LabelledEvent] = []
    samples = 0
    number = UNLABELLED
    chunk = Chunk(b"", 0, 0, 0)
    places = {name: place for place, decoder in enumerate(pipeline.decoders) for name in decoder.input_mapping.inputs}
    for data, label, input_name in session.pieces():
        name = nothing if label is None else label
        if name is not None and name not in numbers:
            raise InputError(f"{session.name} holds the label {name!r}, the model knows {', '.join(pipeline.labels)}")
        number = UNLABELLED if name is None else numbers[name]
        before = pipeline.steps
        if isinstance(data, Chunk):
            chunk = data
            found = pipeline.feed(data, 0 if input_name is None else places[input_name])
        else:
            samples += len(data)
            arrival_ns = round(samples * period_ns)
            chunk = Chunk(b"", arrival_ns, arrival_ns, 0)
            found = pipeline.feed_samples(data, chunk, session.channels, session.units)
        events += [LabelledEvent(event.step, numbers[event.label]) for event in found]
        truth.append(np.full(pipeline.steps - before, number, np.int64))
    before = pipeline.steps
    found = pipeline.finish(chunk._replace(data=b""))
    events += [LabelledEvent(event.step, numbers[event.label]) for event in found]
    truth.append(np.full(pipeline.steps - before, number, np.int64))
    return np.concatenate([np.zeros(0, np.int64), *truth]), events


def _check_inputs(pipeline: Pipeline, session: Session) -> None:
    """Every source of the model has a recording in the session."""
    input_mappings = [decoder.input_mapping for decoder in pipeline.decoders]
    unknown = set(session.inputs) - {name for input_mapping in input_mappings for name in input_mapping.inputs}
    if unknown:
        raise InputError(f"{session.name}: the model has no input {', '.join(sorted(unknown))}")
    if session.inputs or len(input_mappings) > 1:
        silent = [
            input_mapping.inputs[0]
            for input_mapping in input_mappings
            if len(set(input_mapping.inputs) & set(session.inputs)) != 1
        ]
        if silent:
            raise InputError(
                f"{session.name}: the model's inputs come from {len(input_mappings)} sources: give one recording of "
                f"each together, as {','.join(f'{input_mapping.inputs[0]}=FILE' for input_mapping in input_mappings)}"
            )


def _check_rate(name: str, rate_hz: float | None, wanted_hz: float | None, settings: StreamSettings) -> None:
    if rate_hz is None or wanted_hz is None or settings.allow_rate or settings.resample is not None:
        return
    if abs(rate_hz / wanted_hz - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{name} has {rate_hz:.4g} samples per second, the model was trained at {wanted_hz:.4g}: give --resample "
            f"linear, or continue with --allow-rate"
        )
