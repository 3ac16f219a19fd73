"""When the frames of a stream come, as far as the importer has followed it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgernn.errors import UnsupportedModelError
from edgernn.program.operations import Schedule
from edgernn.program.operations.schedule import MAX_PERIOD, MAX_STEPS


class NeedsWindowError(UnsupportedModelError):
    """The model needs frames that a stream does not have yet, or has no more, so it can only run on windows."""


class CountsStepsError(NeedsWindowError):
    """The model computes with the positions of frames in time."""


class InputDecidesError(UnsupportedModelError):
    """An input decides which nodes run: no choice of axes helps, only setting that input."""


@dataclass(frozen=True)
class Timing:
    """Frame j comes at step ``first + j * period``; a sequence of T steps has ``(T + extra) // period`` frames.

    Attributes
    ----------
    first, period, extra : int
        As of a `Schedule`, but the first frame may come before the stream begins, if it is padding.
    pad_begin, pad_end : int
        How many of the first and of the last frames are padding, which no operation makes.
    fill : float
        What padding holds.
    per_sequence : bool
        The stream is not a frame of the sequence, but belongs to the whole sequence so far: a last frame, a last state,
        a mean. Then it is there from step `first` on, in each step.
    time_invariant : bool
        The stream is no frame of the sequence: an input without time, or what is made of such; there in each step.
    tail : int
        Of a whole stream: steps that must follow the end of the sequence until it is right.

    Examples
    --------
    >>> symmetric = Timing(first=1)
    >>> symmetric.tail_steps, Timing(first=2, extra=-2).tail_steps
    (1, 0)
    """

    first: int = 0
    period: int = 1
    extra: int = 0
    pad_begin: int = 0
    pad_end: int = 0
    fill: float = 0.0
    per_sequence: bool = False
    tail: int = 0
    time_invariant: bool = False

    @property
    def is_padded(self) -> bool:
        """Whether some frames are padding."""
        return bool(self.pad_begin or self.pad_end)

    @property
    def schedule(self) -> Schedule:
        """When an operation on the stream runs."""
        assert self.first >= 0, "padding is materialized before"
        if self.per_sequence:
            return bounded(Schedule(self.first, extra=-self.first, at_end=self.tail > 0))
        return bounded(Schedule(self.first, self.period, self.extra))

    @property
    def real(self) -> Timing:
        """The timing of the frames that are no padding."""
        return replace(
            self,
            first=self.first + self.period * self.pad_begin,
            extra=self.extra - self.period * (self.pad_begin + self.pad_end),
            pad_begin=0,
            pad_end=0,
        )

    @property
    def tail_steps(self) -> int:
        """Steps that must follow the end of the sequence until the last frame has come."""
        return self.tail if self.per_sequence else max(0, self.first + self.extra - self.period + 1)

    @property
    def frames_early(self) -> int:
        """Frames that come although a sequence that ends there would not have them: what it leaves out at its end."""
        return max(0, -((self.first + self.extra - self.period + 1) // self.period))

    def padded(self, pad_begin: int, pad_end: int, fill: float) -> Timing:
        """With more frames of padding in front and behind; negative numbers take frames away."""
        timing = replace(
            self,
            first=self.first - self.period * pad_begin,
            extra=self.extra + self.period * (pad_begin + pad_end),
            pad_begin=max(0, self.pad_begin + pad_begin),
            pad_end=max(0, self.pad_end + pad_end),
            fill=fill if pad_begin > 0 or pad_end > 0 else self.fill,
        )
        if self.is_padded and fill != self.fill and (pad_begin > 0 or pad_end > 0):
            raise AssertionError("padding of another kind is materialized before")
        return timing

    def strided(self, stride: int) -> Timing:
        """Every `stride`-th frame, the first among them."""
        assert not self.is_padded
        return replace(self, period=self.period * stride, extra=self.extra + self.period * (stride - 1))

    def as_per_sequence(self) -> Timing:
        """Of something that belongs to the whole sequence: there is none before the sequence has a frame."""
        if self.per_sequence:
            return self
        first = max(0, self.period - self.extra - 1)
        return Timing(
            first=first if self.tail_steps else max(first, self.first), per_sequence=True, tail=self.tail_steps
        )


EVERY_FRAME = Timing()
LAST = Timing(per_sequence=True)
TIME_INVARIANT = Timing(time_invariant=True)


def bounded(schedule: Schedule) -> Schedule:
    """The schedule, if its numbers are within bounds."""
    if not schedule.is_valid:
        raise UnsupportedModelError(
            f"the model looks further into the future, or strides over more frames, than {MAX_STEPS} steps and a "
            f"period of {MAX_PERIOD} allow: make its receptive field shorter"
        )
    return schedule
