"""Pipeline: bytes to events, without input or output of its own. Any split of the bytes gives the same events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.program import Program
from edgernn.program.streamed import CHANGED_BY, as_run, chosen_running
from edgernn.stream.config import StreamSettings
from edgernn.stream.decisions import Decider
from edgernn.stream.events import Event
from edgernn.stream.formats import link_formats
from edgernn.stream.input_mapping import InputMapping, Inputs, WholeNumbers, map_inputs
from edgernn.stream.sample_decoder import SampleDecoder
from edgernn.stream.scores import Scores
from edgernn.stream.signals.gaps import Segment
from edgernn.stream.signals.normalise import Normalise
from edgernn.stream.sources.base import Chunk

MAX_BLOCK = 4096  # samples in one call of the runner


class StepRunner(Protocol):
    """What the pipeline needs of `edgernn.Runner`."""

    def run(self, X: Any, *, index: bool) -> tuple[Any, Any]:
        """Outputs, and the index of the sample of each in X; dicts of both where outputs come at steps of their own."""

    def run_into(self, X: NDArray[np.float32], Y: NDArray[np.float32], indices: NDArray[np.int64]) -> int:
        """`run` into arrays that exist; how many outputs there were."""

    def flush(self) -> Any:
        """Outputs that are still to come at the end."""

    def reset(self) -> None:
        """Reset all states."""

    def state_is_finite(self) -> bool:
        """Whether no state has diverged."""


class Observer(Protocol):
    """Looks on while a pipeline works, as an evaluation does."""

    def outputs(self, steps: NDArray[np.int64], scores: NDArray[Any]) -> None:
        """Scores (m, K) before smoothing, and the step (m,) at which each came; those of a flush count on behind it."""

    def reset(self) -> None:
        """Model and decisions are reset."""


class Pipeline:
    """Decoder, model and decisions in a row.

    Of a model whose inputs come from several sources it takes the samples of the fastest; those of the others are given
    to `latched`.

    Parameters
    ----------
    program : Program
        Its first output holds the scores.
    settings : StreamSettings
    runner : StepRunner, optional
        A `Runner` of the program if not given.
    format_name : str, optional
        The format, if the source's address names it.
    whole_start : bool
        The first byte begins a frame.
    latched_forms : sequence of (str or None, bool)
        The last two for each further source.
    observer : Observer, optional

    Attributes
    ----------
    metadata : Metadata
        The model's, with what the settings change.
    settings : StreamSettings
    decoder : SampleDecoder
        Makes samples of the bytes of the fastest source.
    notes : list of str
        What a person should know about how the model is run.
    steps : int
        Samples that the model has seen, those made up in gaps among them.
    latched : tuple of LatchedInputs
        One for each further source.
    waiting : int
        Samples that were not used because an input of another source was not known yet.
    diverged : int
        How often a state was no longer finite, and the model was reset.
    scores : ndarray (K,)
        Smoothed scores of the last output.

    Raises
    ------
    ConfigError
        The model cannot make decisions with these settings.
    """

    def __init__(
        self,
        program: Program,
        settings: StreamSettings,
        *,
        runner: StepRunner | None = None,
        format_name: str | None = None,
        whole_start: bool = False,
        latched_forms: Sequence[tuple[str | None, bool]] = (),
        observer: Observer | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.program = as_run(_as_set(program, settings))
        if self.program.running.kind != "continuous":
            self.notes.append(_told_running(self.program))
        self.settings = settings
        self.metadata = metadata = changed_metadata(program.metadata, settings)
        if settings.resample is not None and metadata.rate_hz is None:
            raise ConfigError("resample needs the rate that the model was trained at: give --rate")
        input_mapping, *others = map_inputs(self.program, metadata, settings)
        resample_to_hz = None if settings.resample is None else metadata.rate_hz
        self.decoder = self._decoder(input_mapping, format_name, whole_start, resample_to_hz)
        forms = [*latched_forms, *[(None, False)] * len(others)]
        self.latched = tuple(
            LatchedInputs(self._decoder(other, *form)) for other, form in zip(others, forms, strict=False)
        )
        self._scores = Scores(self.program, self.metadata, settings)
        self._decider = Decider(settings.decision.apply(self.metadata.decision), self._scores.labels)
        self._observer = observer
        self._runner = runner if runner is not None else _make_runner(self.program)
        self._inputs = Inputs(self.program, (input_mapping, *others))
        self.steps = 0
        self.waiting = 0
        self.diverged = 0
        self._since_reset = 0  # steps

    def _decoder(
        self,
        input_mapping: InputMapping,
        format_name: str | None,
        whole_start: bool,
        resample_to_hz: float | None = None,
    ) -> SampleDecoder:
        return SampleDecoder(
            input_mapping,
            self.settings,
            resample_to_hz=resample_to_hz,
            format_name=format_name,
            whole_start=whole_start,
            whole_numbers=_whole_numbers(self.program, input_mapping),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the scores."""
        return self._scores.labels

    @property
    def scores(self) -> NDArray[np.float64]:
        """Smoothed scores (K,) of the last output."""
        return self._decider.scores

    def counts(self) -> dict[str, int]:
        """What was seen from all sources, by kind, and what became of it."""
        counts = self.decoder.counts()
        for latched in self.latched:
            counts = {kind: count + counts[kind] for kind, count in latched.decoder.counts().items()}
        return {**counts, "waiting": self.waiting, "diverged": self.diverged}

    def reset(self) -> None:
        """Reset the model and the decisions; the count of steps goes on."""
        self._runner.reset()
        self._decider.reset()
        self._since_reset = 0
        self.decoder.reset()
        if self._observer is not None:
            self._observer.reset()

    @property
    def decoders(self) -> tuple[SampleDecoder, ...]:
        """One for each source, that of the fastest first."""
        return (self.decoder, *(latched.decoder for latched in self.latched))

    def feed(self, chunk: Chunk, place: int = 0) -> list[Event]:
        """Take bytes of the source at this place; give the events of the samples that are complete.

        `latency_ns` is filled in by the stream.
        """
        if chunk.after_gap:
            self.interrupted(place, reconnected=True)
        return self._use(self.decoders[place].feed(chunk), chunk, place)

    def feed_samples(
        self,
        values: NDArray[np.float64],
        chunk: Chunk,
        names: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
    ) -> list[Event]:
        """Take samples (n, width) that are numbers already, as those of an array; `chunk` says when they came."""
        return self._use(self.decoder.feed_values(values, chunk, names, units), chunk, 0)

    def finish(self, chunk: Chunk, place: int = 0) -> list[Event]:
        """No more bytes come from a source; of the fastest, the model says what it was still waiting to say."""
        events = self._use(self.decoders[place].finish(chunk), chunk, place)
        return events if place else events + self._flush(chunk)

    def interrupted(self, place: int = 0, *, reconnected: bool) -> None:
        """Bytes of a source are missing: the model is reset with the next ones unless its state is kept.

        `reconnected` says that the line was cut, so that the numbers of samples tell no losses.
        """
        self.decoders[place].interrupted(reconnected=reconnected)
        if place and not self.settings.keep_state:
            self.latched[place - 1].last = None

    @property
    def delay_steps(self) -> int:
        """Steps by which the scores come after the frame that they are about; other outputs may be later."""
        output = self.program.description.outputs[0]
        return output.when.tail_steps if output.per_frame and self.program.window is None else 0

    def _flush(self, chunk: Chunk) -> list[Event]:
        """What a model with look-ahead says when nothing follows: its events come with the last sample."""
        if not self._since_reset:
            return []
        Y = self._runner.flush()
        output = self.program.description.outputs[0]
        frames = len(self._scores(Y)) // output.frames
        if not frames:
            return []
        last, index = self.steps - 1, np.zeros(1, np.int64)
        if output.per_frame:  # behind the last step, (frames,)
            when, ended = output.when, self._since_reset
            index = when.first + when.period * (when.frames_within(ended) + np.arange(frames)) - (ended - 1)
        return [msgspec.structs.replace(event, step=last) for event in self._decide(Y, index, last, chunk)]

    def _joined(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples with the last ones of all other sources beside (n, C of all); none while one of these is unknown."""
        rows = [latched.last for latched in self.latched if latched.last is not None]
        if len(rows) == len(self.latched):
            return np.concatenate([X, *(np.broadcast_to(row, (len(X), len(row))) for row in rows)], axis=1)
        self.waiting += len(X)
        if self._since_reset:
            self.reset()
        return X[:0]

    def _use(self, segments: Iterator[Segment], chunk: Chunk, place: int) -> list[Event]:
        events: list[Event] = []
        for X, is_after_reset in segments:
            if is_after_reset:
                self.reset()
            if place:
                self.latched[place - 1].hold(X)
            else:
                events += self._run(X, chunk)
        return events

    def _run(self, X: NDArray[np.float32], chunk: Chunk) -> list[Event]:
        events: list[Event] = []
        X = self._joined(X) if self.latched else X
        start = 0
        while start < len(X):
            end = min(start + self._steps_to_reset(), start + MAX_BLOCK, len(X))
            Y, index = self._step(X[start:end])
            events += self._decide(Y, index, self.steps, chunk)
            self.steps += end - start
            self._since_reset += end - start
            start = end
            if not self._runner.state_is_finite():
                self.diverged += 1
                self.reset()
            elif self._since_reset == self.program.running.reset_steps:
                events += self._flush(chunk)
                self.reset()
        return events

    def _decide(self, Y: Any, index: NDArray[np.int64], start: int, chunk: Chunk) -> list[Event]:
        """The events of outputs that came so many steps (m,) behind `start`."""
        scores = self._scores(Y)
        if len(scores) != len(index):  # several frames in each step of the tail
            index = np.repeat(index, len(scores) // len(index))
        if self._observer is not None:
            self._observer.outputs(start + index, scores)
        events: list[Event] = []
        for decision in self._decider.feed(scores):
            step, label = start + int(index[decision.output]), self._scores.labels[decision.label]
            events.append(Event(chunk.wall_ns, chunk.monotonic_ns, step, label, decision.score, 0))
        return events

    def _step(self, X: NDArray[np.float32]) -> tuple[Any, NDArray[np.int64]]:
        """Outputs of the model, and for each the index of its sample in X (n, C)."""
        several = (
            self._inputs.several or len(self.program.outputs) > 1 or self.program.description.outputs[0].frames > 1
        )
        if several or self.program.arithmetic != "float32":
            Y, index = self._runner.run(self._inputs(X), index=True)
            return Y, index[self.program.outputs[0].name] if isinstance(index, dict) else index
        Y = np.empty((len(X), *self.program.outputs[0].shape), np.float32)
        index = np.empty(len(X), np.int64)
        count = self._runner.run_into(X.reshape(-1, *self.program.inputs[0].shape), Y, index)
        return Y[:count], index[:count]

    def _steps_to_reset(self) -> int:
        """Samples that the model may still take before it is reset."""
        every = self.program.running.reset_steps
        return MAX_BLOCK if every is None else every - self._since_reset


class LatchedInputs:
    """Inputs from a slower source: they count with their last sample.

    Attributes
    ----------
    decoder : SampleDecoder
    last : ndarray float32 (C,) or None
        None before the first, and after an outage unless the state is kept.
    """

    def __init__(self, decoder: SampleDecoder) -> None:
        self.decoder = decoder
        self.last: NDArray[np.float32] | None = None

    def hold(self, X: NDArray[np.float32]) -> None:
        """Take samples (n, C)."""
        if len(X):
            self.last = X[-1].copy()


def link_stream_kernels() -> None:
    """Compile and cache what every stream needs beside its model."""
    link_formats()
    Normalise([0])
    Decider(DecisionSettings(), ("",))


def _as_set(program: Program, settings: StreamSettings) -> Program:
    """The program with the way of running that the settings ask for."""
    return chosen_running(
        program,
        window=settings.window,
        hop=settings.hop,
        continuous=settings.continuous,
        reset_every=settings.reset_every,
    )


def _told_running(program: Program) -> str:
    running = program.running
    return (
        f"the model runs on {running} ({running.reason}; {CHANGED_BY})"
        if running.kind == "windows"
        else (f"the model runs with a {running} ({running.reason})")
    )


def changed_metadata(metadata: Metadata, settings: StreamSettings) -> Metadata:
    """What a model says about itself, with what the settings change."""
    changes = {
        name: value
        for name in ("labels", "rate_hz", "mean", "std")
        if (value := getattr(settings, name)) not in ((), None)
    }
    try:
        return msgspec.convert({**msgspec.to_builtins(metadata), **changes}, Metadata)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error


def _whole_numbers(program: Program, input_mapping: InputMapping) -> WholeNumbers | None:
    if all(port.dtype.startswith("float") for port in program.inputs):
        return None
    from edgernn.runtime.plan import plan_of

    return WholeNumbers(program, input_mapping, plan_of(program).id_rows)


def _make_runner(program: Program) -> StepRunner:
    from edgernn.runtime.runner import Runner

    return Runner(program)
