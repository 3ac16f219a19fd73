"""Sampler: the bytes of one source to the samples that a model takes, without input or output of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError
from edgernn.program.metadata import Metadata
from edgernn.stream.config import StreamSettings
from edgernn.stream.events import Event
from edgernn.stream.formats import FORMATS, link_formats, make_format
from edgernn.stream.formats.base import KINDS, Format, Samples
from edgernn.stream.formats.detect import Detected, Detector
from edgernn.stream.input_mapping import InputMapping, WholeNumbers, choose_columns
from edgernn.stream.signals.clock_fit import ClockFit
from edgernn.stream.signals.gaps import Gaps
from edgernn.stream.signals.normalise import Normalise
from edgernn.stream.signals.rate import RateMeter
from edgernn.stream.signals.resample import Resample
from edgernn.stream.signals.sequence import SEQUENCES, SequenceTracker
from edgernn.stream.sources.base import Chunk

RATE_TOLERANCE = 0.05
DEFAULT_RATE_HZ = 1000.0  # to tell when a sequence may have wrapped, where the rate is unknown


class SampleDecoder(ABC):
    """The bytes of one source to samples: format, channels, normalisation, clock, gaps. What becomes of them is `_run`.

    Parameters
    ----------
    input_mapping : InputMapping
        Which of the source's numbers are wanted.
    metadata : Metadata
    settings : StreamSettings
    format_name : str, optional
        The format, if the source's address names it.
    whole_start : bool
        The first byte begins a frame.
    whole_numbers : WholeNumbers, optional
        Finds samples that are out of the model's range, which count as missing.

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
    last_arrival_ns : int or None
        Of the newest sample, on the monotonic clock.
    measuring : int
        Samples that only measured the rate, for resampling.
    """

    def __init__(
        self,
        input_mapping: InputMapping,
        metadata: Metadata,
        settings: StreamSettings,
        *,
        format_name: str | None = None,
        whole_start: bool = False,
        whole_numbers: WholeNumbers | None = None,
    ) -> None:
        if whole_numbers and (settings.gap == "interpolate" or settings.resample is not None):
            setting = "resample" if settings.resample is not None else "gap = interpolate"
            raise ConfigError(
                f"{setting} is between numbers, input {input_mapping.inputs[0]} takes whole ones: leave it out"
            )
        self._whole_numbers = whole_numbers
        self._rejected = 0  # samples with numbers that are no ids
        self.input_mapping = input_mapping
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
        self.last_arrival_ns: int | None = None
        self._wrap_ns = round(SEQUENCES / 2 * 1e9 / (input_mapping.rate_hz or DEFAULT_RATE_HZ))

    def counts(self) -> dict[str, int]:
        """What was seen, by kind; samples, and everything that was not one."""
        seen = self._earlier_counts if self.format is None else self._earlier_counts + self.format.counts
        sequence = self.sequence
        kinds = dict(zip(KINDS, seen.tolist(), strict=True))
        return {
            **kinds,
            "out_of_range": kinds["out_of_range"] + self._rejected,
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
        input_mapping = self.input_mapping
        self._columns = choose_columns(input_mapping, name, width, names, units)
        return Normalise(self._columns, scale=input_mapping.scale, mean=input_mapping.mean, std=input_mapping.std)

    def _parse(self, data: bytes | memoryview, chunk: Chunk) -> list[Event]:
        assert self.format is not None
        events: list[Event] = []
        for samples in self.format.feed(data):
            events += self._samples(samples, chunk)
        return events

    def _samples(self, samples: Samples, chunk: Chunk) -> list[Event]:
        self.rate.add(len(samples.values), chunk.monotonic_ns)
        assert self._normalise is not None
        X, finite = self._normalise(samples.values), self._normalise.finite  # (n, C)
        if self._whole_numbers and (rejected := self._whole_numbers.reject(X)):
            self._rejected, finite = self._rejected + rejected, False
        missing = None
        if samples.sequence is not None or samples.device_time_us is not None:
            since_ns = 0 if self.last_arrival_ns is None else chunk.monotonic_ns - self.last_arrival_ns
            followed = self.sequence.follow(samples.sequence, samples.device_time_us, outage=since_ns > self._wrap_ns)
            if samples.device_time_us is not None:
                self._follow_clock(samples.device_time_us, chunk.monotonic_ns)
            missing = followed.missing
            X = X if followed.keep is None else X[followed.keep]
        self.last_arrival_ns = chunk.monotonic_ns
        events: list[Event] = []
        for segment in self.gaps(X, missing, finite=finite):
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
        wanted, measured = self.input_mapping.rate_hz, self.rate.rate_hz
        if self._resample is not None:
            wanted = self._resample.from_hz
        if wanted is None or measured is None or abs(measured / wanted - 1) <= RATE_TOLERANCE:
            return None
        if self.settings.inputs:
            return (
                f"{measured:.4g} samples a second come, inputs.{self.input_mapping.inputs[0]} says {wanted:.4g}: "
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
