"""Pipeline: bytes to events, without input or output of its own. Any split of the bytes gives the same events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.config import StreamSettings
from edgernn.decisions import Decider
from edgernn.errors import ConfigError
from edgernn.events import Event
from edgernn.formats import FORMATS, link_formats, make_format
from edgernn.formats.base import KINDS, Format, Samples
from edgernn.formats.detect import Detected, Detector
from edgernn.metadata import DecisionSettings, Metadata
from edgernn.program import Program
from edgernn.scores import Scores
from edgernn.signals.clock_fit import ClockFit
from edgernn.signals.gaps import Gaps
from edgernn.signals.normalise import Normalise
from edgernn.signals.rate import RateMeter
from edgernn.signals.resample import Resample
from edgernn.signals.sequence import SEQUENCES, SequenceTracker
from edgernn.sources.base import Chunk
from edgernn.wiring import Inputs, Wiring, choose_columns, wire

LONGEST_BLOCK = 4096  # samples in one call of the runner
RATE_TOLERANCE = 0.05
DEFAULT_RATE_HZ = 1000.0  # to tell when a sequence may have wrapped, where the rate is unknown


class StepRunner(Protocol):
    """What the pipeline needs of `edgernn.Runner`."""

    def run(self, X: Any, *, index: bool) -> tuple[Any, Any]:
        """Outputs, and the index of the sample of each in X; dicts of both where outputs come at steps of their own."""

    def run_into(self, X: NDArray[np.float32], Y: NDArray[np.float32], indices: NDArray[np.int64]) -> int:
        """`run` into arrays that exist; how many outputs there were."""

    def flush(self) -> Any:
        """Outputs that are still to come at the end."""

    def reset(self) -> None:
        """Begin anew."""

    def state_is_finite(self) -> bool:
        """Whether no state has diverged."""


class Observer(Protocol):
    """Looks on while a pipeline works, as an evaluation does."""

    def outputs(self, steps: NDArray[np.int64], scores: NDArray[Any]) -> None:
        """Scores (m, K) before smoothing, and the step (m,) at which each came; those of a flush count on behind it."""

    def reset(self) -> None:
        """Model and decisions begin anew."""


class Sampler(ABC):
    """The bytes of one source to samples: format, channels, normalisation, clock, gaps. What becomes of them is `_run`.

    Parameters
    ----------
    wiring : Wiring
        Which of the source's numbers are wanted.
    metadata : Metadata
    settings : StreamSettings
    format_name : str, optional
        The format, if the source's address names it.
    whole_start : bool
        The first byte begins a frame.

    Attributes
    ----------
    format : Format or None
        None until it is known.
    steps : int
        Samples so far, those made up in gaps among them.
    rate : RateMeter
    sequence : SequenceTracker
    clock_fit : ClockFit
    gaps : Gaps
    measuring : int
        Samples that only measured the rate, for resampling.
    """

    def __init__(
        self,
        wiring: Wiring,
        metadata: Metadata,
        settings: StreamSettings,
        *,
        format_name: str | None = None,
        whole_start: bool = False,
    ) -> None:
        self.wiring = wiring
        self.metadata = metadata
        self.settings = settings
        name = format_name or (None if settings.format == "auto" else settings.format)
        if name is not None and name not in FORMATS:
            raise ConfigError(f"format is {name!r}: use {', '.join(FORMATS)} or auto")
        link_formats(name)
        self._only_format = name
        self._detector: Detector | None = Detector(name, whole_start=whole_start)
        self._earlier_counts = np.zeros(len(KINDS), np.int64)  # of formats that turned out to be wrong
        self.format: Format | None = None
        self.gaps = Gaps(settings.gap, settings.gap_steps)
        self.sequence = SequenceTracker()
        self.rate = RateMeter()
        self.clock_fit = ClockFit()
        self.measuring = 0
        if settings.resample is not None and metadata.rate_hz is None:
            raise ConfigError("resample needs the rate that the model was trained at: give --rate")
        self._resample: Resample | None = None
        self._normalise: Normalise | None = None  # known with the width of a sample
        self._columns: Sequence[int] = ()
        self._last_bytes = b""
        self.steps = 0
        self._seen_breaks = 0  # of the sender's clock
        self._last_arrival_ns: int | None = None
        self._wrap_ns = round(SEQUENCES / 2 * 1e9 / (wiring.rate_hz or DEFAULT_RATE_HZ))

    def counts(self) -> dict[str, int]:
        """What was seen, by kind; samples, and everything that was not one."""
        seen = self._earlier_counts if self.format is None else self._earlier_counts + self.format.counts
        sequence = self.sequence
        return {
            **dict(zip(KINDS, seen.tolist(), strict=True)),
            "lost": sequence.lost,
            "duplicated": sequence.duplicated,
            "late": sequence.late,
            "restarts": sequence.restarts,
            "unknown_losses": sequence.unknown_losses,
            "filled": self.gaps.filled,
            "measuring": self.measuring,
        }

    def feed(self, chunk: Chunk) -> list[Event]:
        """Take bytes; give the events of the samples that are complete. `latency_ns` is filled in by the stream."""
        if chunk.after_gap:
            self.interrupted()
        data: bytes | memoryview = chunk.data
        self._last_bytes = chunk.data[-64:]
        if self._detector is not None:
            found = self._detector.feed(data)
            if found is None:
                return []
            data = self._choose_format(found)
        return self._parse(data, chunk)

    def feed_samples(
        self,
        values: NDArray[np.float64],
        chunk: Chunk,
        names: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
    ) -> list[Event]:
        """Take samples (n, width) that are numbers already, as those of an array; `chunk` says when they came."""
        if self._normalise is None:
            self._normalise = self._connect("an array", values.shape[1], names, units)
        return self._samples(Samples(np.ascontiguousarray(values, np.float64)), chunk)

    def finish(self, chunk: Chunk) -> list[Event]:
        """No more bytes come: decide on the format with what there is."""
        found = self._detector.finish() if self._detector is not None else None
        return [] if found is None else self._parse(self._choose_format(found), chunk)

    def interrupted(self) -> None:
        """Bytes are missing: the unfinished frame is dropped, and the model begins anew unless its state is kept."""
        if self.format is None:
            heading = None if self._detector is None else self._detector.heading
            self._detector = Detector(self._only_format, heading=heading)
        else:
            self.format.resynchronise()
        if not self.settings.keep_state:
            self.gaps.outage()
        self.rate.restart()

    def detect_again(self) -> None:
        """Look for another format, because this one gives no samples."""
        if self.format is not None:
            self._earlier_counts += self.format.counts
            self.format = None
            self._detector = Detector(self._only_format)

    def unread(self) -> bytes:
        """Some of the last bytes of which no samples could be made."""
        return bytes(self._detector.seen[-64:]) if self._detector is not None else self._last_bytes

    def _choose_format(self, found: Detected) -> memoryview:
        assert self._detector is not None
        self._normalise = self._connect(*found)
        self.format = make_format(
            found.format,
            found.width,
            whole_start=self._detector.whole_start,
            channels=found.channels,
            taken=self._columns,
        )
        seen, self._detector = self._detector.seen, None
        return memoryview(seen)

    def _connect(self, name: str, width: int, names: tuple[str, ...] = (), units: tuple[str, ...] = ()) -> Normalise:
        wiring = self.wiring
        self._columns = choose_columns(wiring, name, width, names, units)
        return Normalise(self._columns, scale=wiring.scale, mean=wiring.mean, std=wiring.std)

    def _parse(self, data: bytes | memoryview, chunk: Chunk) -> list[Event]:
        assert self.format is not None
        events: list[Event] = []
        for samples in self.format.feed(data):
            events += self._samples(samples, chunk)
        return events

    def _samples(self, samples: Samples, chunk: Chunk) -> list[Event]:
        self.rate.add(len(samples.values), chunk.monotonic_ns)
        assert self._normalise is not None
        X = self._normalise(samples.values)  # (n, C)
        missing = None
        if samples.sequence is not None or samples.device_time_us is not None:
            since_ns = 0 if self._last_arrival_ns is None else chunk.monotonic_ns - self._last_arrival_ns
            followed = self.sequence.follow(samples.sequence, samples.device_time_us, outage=since_ns > self._wrap_ns)
            if samples.device_time_us is not None:
                self._follow_clock(samples.device_time_us, chunk.monotonic_ns)
            missing = followed.missing
            X = X if followed.keep is None else X[followed.keep]
        self._last_arrival_ns = chunk.monotonic_ns
        events: list[Event] = []
        for segment in self.gaps(X, missing, finite=self._normalise.finite):
            if segment.reset:
                self.reset()
            events += self._run(self._resampled(segment.X), chunk)
        return events

    def _follow_clock(self, device_time_us: NDArray[np.int64], arrival_ns: int) -> None:
        breaks = self.sequence.restarts + self.sequence.unknown_losses
        if breaks != self._seen_breaks:
            self._seen_breaks = breaks
            self.clock_fit.restart()
        self.clock_fit.add(int(device_time_us[-1]), arrival_ns)

    def _resampled(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples at the model's rate; none while the rate at which they come is not known."""
        if self.settings.resample is None or self.metadata.rate_hz is None:
            return X
        if self._resample is None:
            from_hz = self.settings.source_rate_hz or self.rate.rate_hz
            if from_hz is None:
                self.measuring += len(X)
                return X[:0]
            self._resample = Resample(from_hz, self.metadata.rate_hz)
        return self._resample(X)

    def rate_complaint(self) -> str | None:
        """Why the rate of the source does not suit the model; None if it does, or is not known yet."""
        wanted, measured = self.wiring.rate_hz, self.rate.rate_hz
        if self._resample is not None:
            wanted = self._resample.from_hz
        if wanted is None or measured is None or abs(measured / wanted - 1) <= RATE_TOLERANCE:
            return None
        if self.settings.inputs:
            return (
                f"{measured:.4g} samples a second come, inputs.{self.wiring.inputs[0]} says {wanted:.4g}: "
                f"set the board or rate_hz, or go on with --allow-rate"
            )
        expected = "they began with" if self._resample is not None else "the model was trained at"
        return (
            f"{measured:.4g} samples a second come, {expected} {wanted:.4g}: set the board to that rate, give "
            f"--resample linear, or go on with --allow-rate"
        )

    @abstractmethod
    def reset(self) -> None:
        """Samples are missing of which none can be made up: what gets them begins anew."""

    @abstractmethod
    def _run(self, X: NDArray[np.float32], chunk: Chunk) -> list[Event]:
        """Use samples (n, C), which follow one another."""


class Pipeline(Sampler):
    """Format, signals, model and decisions in a row.

    Of a model whose inputs come from several sources it takes the samples of the fastest; those of the others are given
    to `held`.

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
    held_forms : sequence of (str or None, bool)
        The last two for each further source.
    observer : Observer, optional

    Attributes
    ----------
    metadata : Metadata
        The model's, with what the settings change.
    notes : list of str
        What a person should know about how the model is run.
    steps : int
        Samples that the model has seen, those made up in gaps among them.
    held : tuple of HeldInputs
        One for each further source.
    waiting : int
        Samples that were not used because an input of another source was not known yet.
    diverged : int
        How often a state was no longer finite, and the model began anew.
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
        held_forms: Sequence[tuple[str | None, bool]] = (),
        observer: Observer | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.program = as_trained(program, settings, self.notes)
        metadata = changed_metadata(program.metadata, settings)
        wiring, *others = wire(self.program, metadata, settings)
        super().__init__(wiring, metadata, settings, format_name=format_name, whole_start=whole_start)
        forms = [*held_forms, *[(None, False)] * len(others)]
        self.held = tuple(HeldInputs(self, other, settings, *form) for other, form in zip(others, forms, strict=False))
        self._scores = Scores(self.program, self.metadata, settings)
        self._decider = Decider(settings.decision.apply(self.metadata.decision), self._scores.labels)
        self._observer = observer
        self._runner = runner if runner is not None else _make_runner(self.program)
        self._inputs = Inputs(self.program, (wiring, *others))
        self.waiting = 0
        self.diverged = 0
        self._since_reset = 0  # steps

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
        counts = super().counts()
        for held in self.held:
            counts = {kind: count + counts[kind] for kind, count in held.counts().items()}
        return {**counts, "waiting": self.waiting, "diverged": self.diverged}

    def reset(self) -> None:
        """Have the model and the decisions begin anew; the count of steps goes on."""
        self._runner.reset()
        self._decider.reset()
        self._since_reset = 0
        if self._resample is not None:
            self._resample.reset()
        if self._observer is not None:
            self._observer.reset()

    def finish(self, chunk: Chunk) -> list[Event]:
        """No more bytes come: the model says what it was still waiting to say."""
        return super().finish(chunk) + self._flush(chunk)

    @property
    def delay_steps(self) -> int:
        """Steps by which an output comes after the frame that it is about."""
        return self.program.delay_steps if self.program.description.outputs[0].per_frame else 0

    def _flush(self, chunk: Chunk) -> list[Event]:
        """What a model with look-ahead says when nothing follows: its events come with the last sample."""
        Y = self._runner.flush()
        frames = len(self._scores(Y))
        if not frames:
            return []
        period = max(1, round(1 / self.program.outputs[0].rate))
        steps = self.steps - 1 + self.delay_steps - period * np.arange(frames)[::-1]  # (frames,)
        return [msgspec.structs.replace(event, step=self.steps - 1) for event in self._decide(Y, steps, chunk)]

    def _joined(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples with the last ones of all other sources beside (n, C of all); none while one of these is unknown."""
        rows = [held.last for held in self.held if held.last is not None]
        if len(rows) == len(self.held):
            return np.concatenate([X, *(np.broadcast_to(row, (len(X), len(row))) for row in rows)], axis=1)
        self.waiting += len(X)
        if self._since_reset:
            self.reset()
        return X[:0]

    def _run(self, X: NDArray[np.float32], chunk: Chunk) -> list[Event]:
        events: list[Event] = []
        X = self._joined(X) if self.held else X
        start = 0
        while start < len(X):
            end = min(start + self._steps_to_reset(), start + LONGEST_BLOCK, len(X))
            Y, index = self._step(X[start:end])
            events += self._decide(Y, self.steps + index, chunk)
            self.steps += end - start
            self._since_reset += end - start
            start = end
            if not self._runner.state_is_finite():
                self.diverged += 1
                self.reset()
            elif self._since_reset == self.settings.reset_every:
                events += self._flush(chunk)
                self.reset()
        return events

    def _decide(self, Y: Any, steps: NDArray[np.int64], chunk: Chunk) -> list[Event]:
        """The events of outputs that came at these steps (m,)."""
        scores = self._scores(Y)
        if len(scores) != len(steps):  # several frames in each step
            steps = np.repeat(steps, len(scores) // len(steps))
        if self._observer is not None:
            self._observer.outputs(steps, scores)
        return [
            Event(
                chunk.wall_ns,
                chunk.monotonic_ns,
                int(steps[decision.output]),
                self._scores.labels[decision.label],
                decision.score,
                0,
            )
            for decision in self._decider.feed(scores)
        ]

    def _step(self, X: NDArray[np.float32]) -> tuple[Any, NDArray[np.int64]]:
        """Outputs of the model, and for each the index of its sample in X (n, C)."""
        if self._inputs.several or len(self.program.outputs) > 1 or self.program.arithmetic != "float32":
            Y, index = self._runner.run(self._inputs(X), index=True)
            return Y, index[self.program.outputs[0].name] if isinstance(index, dict) else index
        Y = np.empty((len(X), *self.program.outputs[0].shape), np.float32)
        index = np.empty(len(X), np.int64)
        count = self._runner.run_into(X.reshape(-1, *self.program.inputs[0].shape), Y, index)
        return Y[:count], index[:count]

    def _steps_to_reset(self) -> int:
        """Samples that the model may still take before it begins anew."""
        every = self.settings.reset_every
        return LONGEST_BLOCK if every is None else every - self._since_reset


class HeldInputs(Sampler):
    """Inputs from a slower source: they count with their last sample.

    Attributes
    ----------
    last : ndarray float32 (C,) or None
        None before the first, and after an outage unless the state is kept.
    """

    def __init__(
        self, pipeline: Pipeline, wiring: Wiring, settings: StreamSettings, format_name: str | None, whole_start: bool
    ) -> None:
        settings = msgspec.structs.replace(settings, resample=None)
        super().__init__(wiring, pipeline.metadata, settings, format_name=format_name, whole_start=whole_start)
        self._pipeline = pipeline
        self.last: NDArray[np.float32] | None = None

    def interrupted(self) -> None:
        super().interrupted()
        if not self.settings.keep_state:
            self.last = None

    def reset(self) -> None:
        self._pipeline.reset()

    def _run(self, X: NDArray[np.float32], chunk: Chunk) -> list[Event]:
        if len(X):
            self.steps += len(X)
            self.last = X[-1].copy()
        return []


def link_stream_kernels() -> None:
    """Compile and cache what every stream needs beside its model."""
    link_formats()
    Normalise([0])
    Decider(DecisionSettings(), ("",))


def as_trained(program: Program, settings: StreamSettings, notes: list[str]) -> Program:
    """The program on windows of the length it was trained on, where it must not run on a state it never saw."""
    trained = program.trained_steps
    whole = not program.description.outputs[0].per_frame
    if program.window is not None or trained is None or not whole:
        return program
    if settings.continuous or settings.reset_every is not None:
        return program
    hop = max(1, trained // 4)
    notes.append(
        f"the model was trained on {trained} samples: it runs on windows of {trained}, one every {hop} "
        f"(--continuous or --reset-every N change that)"
    )
    return program.with_window(trained, hop, f"trained on {trained} steps")


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


def _make_runner(program: Program) -> StepRunner:
    from edgernn.runner import Runner

    return Runner(program)
