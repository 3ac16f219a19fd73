"""When something happens in a stream: the one description of delays, strides and ends."""

from __future__ import annotations

import msgspec

MAX_STEPS = 1 << 30  # of a delay or an excess of frames
MAX_PERIOD = 1 << 20


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Frame j comes at step ``first + j * period``; a sequence of T steps has ``(T + extra) // period`` frames.

    A stream goes on, so its frames have no end. When it has ended after T steps, the *tail* follows: steps T, T + 1,
    ... without input, in which the frames come that were still to come, up to the last.

    Attributes
    ----------
    first : int
        Step of the first frame, from 0.
    period : int
        Steps from one frame to the next.
    extra : int
        What makes the number of frames differ from that of the steps; negative where frames are lost at the ends.
    at_end : bool
        It happens once, in the last step of the tail, with all that the sequence so far gives; in each step from
        `first` on where the program has no tail. `period` and `extra` then say nothing.

    Examples
    --------
    >>> symmetric = Schedule(first=1, extra=0)  # a convolution of three frames with one frame of padding on both sides
    >>> [symmetric.frame(t) for t in range(4)], symmetric.frames(4), symmetric.tail_steps
    ([None, 0, 1, 2], 4, 1)
    >>> Schedule(first=1, period=2).frame(5)
    2
    """

    first: int = 0
    period: int = 1
    extra: int = 0
    at_end: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether all numbers are within their bounds."""
        return 0 <= self.first <= MAX_STEPS and 1 <= self.period <= MAX_PERIOD and abs(self.extra) <= MAX_STEPS

    def frame(self, step: int) -> int | None:
        """Index of the frame that comes at a step, None where none comes."""
        index, rest = divmod(step - self.first, self.period)
        return index if index >= 0 and rest == 0 else None

    def frames(self, steps: int) -> int:
        """Frames of a sequence of so many steps."""
        return max(0, (steps + self.extra) // self.period)

    def frames_within(self, steps: int) -> int:
        """Frames that come in the first `steps` steps of a stream that goes on."""
        return max(0, (steps - 1 - self.first) // self.period + 1)

    @property
    def tail_steps(self) -> int:
        """The most steps after the last sample until the last frame has come."""
        return 0 if self.at_end else max(0, self.first + self.extra - self.period + 1)

    def happens(self, step: int, end: int | None, tail_steps: int) -> bool:
        """Whether it happens at a step of a sequence that ended after `end` steps, None while it goes on.

        `tail_steps` is the length of the program's tail.
        """
        if self.at_end and tail_steps:
            return end is not None and step == end - 1 + tail_steps and end > self.first
        if self.at_end:
            return step >= self.first
        index = self.frame(step)
        return index is not None and (end is None or index < self.frames(end))

    def covers(self, other: Schedule, tail_steps: int) -> bool:
        """Whether this happens in all steps of the other, whatever the length of the sequence.

        `tail_steps` is the length of the program's tail.

        Examples
        --------
        >>> Schedule(first=1, period=2).covers(Schedule(first=3, period=4), 0)
        True
        >>> Schedule(first=1, period=2).covers(Schedule(first=2, period=4), 0)
        False
        >>> Schedule().covers(Schedule(first=1, extra=0), 1)  # whose last frame comes in the tail
        False
        """
        mine, others = (when if tail_steps else when._without_tail() for when in (self, other))
        if mine.at_end:
            return others.at_end and mine.first <= others.first
        if others.at_end:  # in the last step of the tail
            return mine.period == 1 and mine.tail_steps >= tail_steps and mine.first <= others.first + tail_steps
        return mine.paces(others) and min(others.tail_steps, tail_steps) <= mine.tail_steps

    def paces(self, other: Schedule) -> bool:
        """Whether this happens in all steps of the other while the stream goes on."""
        waited = other.first - self.first
        return waited >= 0 and waited % self.period == 0 and other.period % self.period == 0

    def _without_tail(self) -> Schedule:
        """The same in a program that has no tail, where what happens at the end does so in each step."""
        return Schedule(self.first, extra=-self.first) if self.at_end else self


EVERY_STEP = Schedule()
