"""SampleDecoder: the bytes of one source to samples at an even pace, without input or output."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError
from edgernn.stream.config import StreamSettings
from edgernn.stream.formats.base import Format
from edgernn.stream.frame_decoder import Decoded, FrameDecoder
from edgernn.stream.input_mapping import InputMapping, WholeNumbers
from edgernn.stream.signals.channel_watch import ChannelWatch
from edgernn.stream.signals.clock_fit import ClockFit
from edgernn.stream.signals.gaps import UNKNOWN, Gaps, Segment
from edgernn.stream.signals.rate import RateMeter
from edgernn.stream.signals.resample import Resample
from edgernn.stream.signals.sequence import SequenceTracker
from edgernn.stream.sources.base import Chunk

RATE_TOLERANCE = 0.05


class SampleDecoder:
    """Follows the sender's counter and clock, fills gaps and resamples. Its frame decoder makes numbers of the bytes.

    Parameters
    ----------
    input_mapping : InputMapping
        Which of the source's numbers are wanted.
    settings : StreamSettings
    resample_to_hz : float, optional
        The model's rate, to which samples are brought.
    format_name : str, optional
        The format, if the source's address names it.
    whole_start : bool
        The first byte begins a frame.
    whole_numbers : WholeNumbers, optional
        Finds samples that are out of the model's range, which count as missing.

    Attributes
    ----------
    frames : FrameDecoder
    rate : RateMeter
    sequence : SequenceTracker
    clock_fit : ClockFit
    channels : ChannelWatch
    gaps : Gaps
    last_arrival_ns : int or None
        Of the newest sample, on the monotonic clock.
    samples : int
        That came so far, used or not.
    measuring : int
        Samples that only measured the rate, for resampling.

    Raises
    ------
    ConfigError
        The settings contradict each other, or name no format.
    """

    def __init__(
        self,
        input_mapping: InputMapping,
        settings: StreamSettings,
        *,
        resample_to_hz: float | None = None,
        format_name: str | None = None,
        whole_start: bool = False,
        whole_numbers: WholeNumbers | None = None,
    ) -> None:
        if whole_numbers and (settings.gap == "interpolate" or resample_to_hz is not None):
            setting = "resample" if resample_to_hz is not None else "gap = interpolate"
            raise ConfigError(
                f"{setting} is between numbers, input {input_mapping.inputs[0]} takes whole ones: leave it out"
            )
        self.input_mapping = input_mapping
        self.settings = settings
        name = format_name or (None if settings.format == "auto" else settings.format)
        self.frames = FrameDecoder(
            input_mapping, format_name=name, whole_start=whole_start, whole_numbers=whole_numbers
        )
        self.gaps = Gaps(settings.gap, settings.gap_steps)
        self.sequence = SequenceTracker()
        self.rate = RateMeter()
        self.clock_fit = ClockFit()
        self.channels = ChannelWatch()
        self.samples = 0
        self.measuring = 0
        self.last_arrival_ns: int | None = None
        self._resample_to_hz = resample_to_hz
        self._resample: Resample | None = None  # known with the rate at which samples come
        self._seen_breaks = 0  # of the sender's clock
        self._followed_format: Format | None = None
        self._used = self._uncounted = 0  # samples with and without a number or time

    def counts(self) -> dict[str, int]:
        """What was seen, by kind; samples, and everything that was not one."""
        sequence = self.sequence
        return {
            **self.frames.counts(),
            "lost": sequence.lost,
            "duplicated": sequence.duplicated,
            "late": sequence.late,
            "restarts": sequence.restarts,
            "unknown_losses": sequence.unknown_losses,
            "filled": self.gaps.filled,
            "measuring": self.measuring,
        }

    def feed(self, chunk: Chunk) -> Iterator[Segment]:
        """Take bytes; give the samples that are complete. Use the iterator up before the next call."""
        return self._followed(self.frames.feed(chunk.data), chunk)

    def feed_values(
        self, values: NDArray[np.float64], chunk: Chunk, names: tuple[str, ...], units: tuple[str, ...]
    ) -> Iterator[Segment]:
        """Take samples (n, width) that are numbers already, as those of an array; `chunk` says when they came."""
        return self._followed(iter([self.frames.feed_values(values, names, units)]), chunk)

    def finish(self, chunk: Chunk) -> Iterator[Segment]:
        """No more bytes come."""
        return self._followed(self.frames.finish(), chunk)

    def interrupted(self, *, reconnected: bool) -> None:
        """Bytes are missing: the unfinished frame is dropped, and the model is reset unless its state is kept.

        `reconnected` says that the line was cut, so that the sender may be another or have restarted.
        """
        self.frames.resynchronise()
        if not self.settings.keep_state:
            self.gaps.outage()
        if reconnected:
            self.sequence.cut(0 if self.settings.keep_state else UNKNOWN)
        self.rate.restart()

    def reset(self) -> None:
        """The next sample does not continue the last one."""
        if self._resample is not None:
            self._resample.reset()

    def rate_complaint(self) -> str | None:
        """Why the rate of the source does not suit the model; None if it does, or is not known yet."""
        wanted, measured = self.input_mapping.rate_hz, self.rate.rate_hz
        if self._resample is not None:
            wanted = self._resample.from_hz
        if wanted is None or measured is None or abs(measured / wanted - 1) <= RATE_TOLERANCE:
            return None
        if self.settings.inputs:
            return (
                f"{measured:.4g} samples per second arrive, inputs.{self.input_mapping.inputs[0]} says {wanted:.4g}: "
                f"set the board or rate_hz, or continue with --allow-rate"
            )
        expected = "they began with" if self._resample is not None else "the model was trained at"
        return (
            f"{measured:.4g} samples per second arrive, {expected} {wanted:.4g}: set the board to that rate, give "
            f"--resample linear, or continue with --allow-rate"
        )

    def _followed(self, blocks: Iterator[Decoded], chunk: Chunk) -> Iterator[Segment]:
        for decoded in blocks:
            self.samples += len(decoded.X)
            X, missing = self._in_sequence(decoded, chunk)
            self.rate.add_up_to(self._sent(), chunk.monotonic_ns)
            self.last_arrival_ns = chunk.monotonic_ns
            self.channels.look(X, finite=decoded.finite, arrival_ns=chunk.monotonic_ns)
            for segment in self.gaps(X, missing, finite=decoded.finite):
                if segment.reset:
                    self.reset()
                yield segment._replace(X=self._resampled(segment.X))

    def _in_sequence(self, decoded: Decoded, chunk: Chunk) -> tuple[NDArray[np.float32], list[int] | None]:
        """The samples to use (n, C), and how many are missing before each."""
        X, _, numbers, device_time_us, announced = decoded
        if numbers is None and device_time_us is None:
            self._uncounted += len(X)
            return X, self.sequence.announce(len(X)) if announced else None
        form = self.frames.format
        if form is not None and form is not self._followed_format:
            self._followed_format = form
            self.sequence.begin(form.sequence_modulus, form.time_modulus_us)
        followed = self.sequence.follow(
            numbers,
            device_time_us,
            pause_ns=0 if self.last_arrival_ns is None else chunk.monotonic_ns - self.last_arrival_ns,
            rate_hz=self.rate.rate_hz or self.input_mapping.rate_hz,
            announced=announced,
        )
        if device_time_us is not None:
            self._follow_clock(chunk.monotonic_ns)
        X = X if followed.keep is None else X[followed.keep]
        self._used += len(X)
        return X, followed.missing

    def _sent(self) -> int:
        """Samples that were sent so far, as far as is known: used, lost, late and malformed ones."""
        sequence = self.sequence
        if self._used:  # malformed and unused ones are missing in the sequence
            return self._used + sequence.lost + sequence.late
        counts = self.frames.counts()
        return self._uncounted + counts["malformed"] + counts["wrong_width"]

    def _follow_clock(self, arrival_ns: int) -> None:
        breaks = self.sequence.restarts + self.sequence.unknown_losses
        if breaks != self._seen_breaks:
            self._seen_breaks = breaks
            self.clock_fit.restart()
        self.clock_fit.add(self.sequence.elapsed_us, arrival_ns)

    def _resampled(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples at the model's rate; none while the rate at which they come is not known."""
        if self._resample_to_hz is None:
            return X
        if self._resample is None:
            from_hz = self.settings.source_rate_hz or self.rate.rate_hz
            if from_hz is None:
                self.measuring += len(X)
                return X[:0]
            self._resample = Resample(from_hz, self._resample_to_hz)
        return self._resample(X)
