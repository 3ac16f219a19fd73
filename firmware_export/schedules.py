"""In which steps the parts of a program run, as C conditions on a step counter that never overflows."""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm
from typing import NamedTuple

from edgernn.errors import ExportError
from edgernn.program.description import OutputDescription
from edgernn.program.operations import AnyOperation, DelayLine, Schedule
from edgernn.program.program import Program

MAX_COUNT = 0xFFFFFFFF


class When(NamedTuple):
    """The steps in which something runs: a Schedule in the form that C tests.

    Steps of the tail are counted by `ended`, from 1; it is 0 while the stream goes on. Frame j of a sequence of T
    steps comes at ``step = first + j * period``, and exists if ``(j + 1) * period <= T + extra``. In the tail T is
    ``step + 1 - ended``, so that is ``ended <= first + extra - period + 1``, whatever T is: no length is remembered.

    Attributes
    ----------
    first, period : int
    tail : int
        The last step of the tail in which it runs.
    at_end : bool
        It runs in the last step of the tail alone.
    """

    first: int = 0
    period: int = 1
    tail: int = 0
    at_end: bool = False


class StepCounter:
    """The step counter of a program, and its conditions.

    The counter cannot overflow, however long a stream is: behind `latest`, the last first step of all schedules, they
    all repeat every `cycle` steps, so the counter is set back by one cycle at `limit`. The tail, which is bounded, only
    counts on.

    Raises
    ------
    ExportError
        The schedules have no common cycle that fits into 32 bits.

    Examples
    --------
    >>> from edgernn.program.operations import Dense
    >>> from edgernn.program.description import InputDescription, ProgramDescription
    >>> import numpy as np
    >>> slow = Schedule(first=2, period=3)
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (1,)),),
    ...     outputs=(OutputDescription("y", "y", per_frame=True, when=slow),),
    ...     operations=(Dense(name="d", inputs=("x",), outputs=("y",), W="W", when=slow),),
    ... )
    >>> clock = StepCounter(Program(description, {"W": np.ones((1, 1), np.float32)}))
    >>> clock.condition(clock.when(slow)), clock.limit, clock.cycle, clock.c_type
    ('step >= 2u && (step - 2u) % 3u == 0', 6, 3, 'uint16_t')
    """

    def __init__(self, program: Program) -> None:
        self.tail_steps = program.tail_steps
        whens = list(dict.fromkeys(self._all(program)))
        self.cycle = lcm(*(when.period for when in whens))
        self.limit = max(when.first for when in whens) + 1 + self.cycle
        highest = self.limit
        if program.staggered is not None:  # the counter of a window begins anew with each window
            highest = program.staggered.steps
        highest += self.tail_steps
        if highest >= MAX_COUNT:
            raise ExportError(
                f"the program repeats itself only every {self.cycle} steps, which a counter of 32 bits cannot count"
            )
        self.c_type = "uint16_t" if highest < 1 << 16 else "uint32_t"
        self.counts = any(self.condition(when) for when in whens)
        conditional = [when for when in whens if self.condition(when)]
        self.flags = {when: f"on_{number}" for number, when in enumerate(conditional)}  # C variables

    def _all(self, program: Program) -> Iterator[When]:
        yield When()
        for operation in program.operations:
            yield from (self.when(operation.when), self.written(operation), self.produced(operation))
        for output in program.description.outputs:
            yield self.when(output.when)

    def when(self, schedule: Schedule) -> When:
        """The steps of a schedule."""
        if schedule.at_end and self.tail_steps:
            return When(schedule.first, at_end=True)
        if schedule.at_end:
            return When(schedule.first)
        return When(schedule.first, schedule.period, min(schedule.tail_steps, self.tail_steps))

    def written(self, operation: AnyOperation) -> When:
        """The steps in which an operation runs; a History runs to the end of the tail, with padding in place of x."""
        when = self.when(operation.when)
        return when._replace(tail=self.tail_steps) if isinstance(operation, DelayLine) else when

    def produced(self, operation: AnyOperation) -> When:
        """The steps in which the outputs of an operation are made."""
        return self.when(operation.read if isinstance(operation, DelayLine) else operation.when)

    def covers(self, outer: When, inner: When) -> bool:
        """Whether something runs in all steps, of all sequences, in which `inner` runs."""
        if inner.at_end and outer.at_end:
            return outer.first <= inner.first
        if inner.at_end:  # the last step of the tail is any step from first + tail_steps on
            reaches = outer.period == 1 and outer.tail == self.tail_steps
            return reaches and outer.first <= inner.first + self.tail_steps
        return (
            not outer.at_end
            and outer.first <= inner.first
            and (inner.first - outer.first) % outer.period == 0
            and inner.period % outer.period == 0
            and inner.tail <= outer.tail
        )

    def within(self, outer: When, inner: When) -> When | None:
        """The steps of `inner` when it stands inside of something that runs in the steps of `outer`, None if neither
        has all steps of the other."""
        if self.covers(outer, inner):
            return inner
        return outer if self.covers(inner, outer) else None

    def condition(self, when: When) -> str:
        """C condition on `step` and `ended`; empty if it always holds."""
        if when.at_end:  # of a sequence of more than `first` steps
            return f"ended == {self.tail_steps} && step >= {when.first}u + ended"
        terms = []
        if when.first:
            terms.append(f"step >= {when.first}u")
        if when.period > 1:
            terms.append(f"(step{f' - {when.first}u' if when.first else ''}) % {when.period}u == 0")
        if when.tail < self.tail_steps:
            terms.append(f"ended <= {when.tail}" if when.tail else "ended == 0")
        return " && ".join(terms)

    def last_step(self, output: OutputDescription, steps: int) -> int:
        """The last step, those of the tail counted on, in which an output of a window of so many steps comes.

        Raises
        ------
        ExportError
            None comes, or another number of frames than the output claims.
        """
        when = self.when(output.when)
        end = steps - 1 + (self.tail_steps if when.at_end else when.tail)
        frames = (end - when.first) // when.period + 1
        missing = steps <= when.first if when.at_end else frames < 1
        if missing or (output.per_frame and frames != output.when.frames(steps)):
            raise ExportError(f"output {output.name} does not give its frames within a window of {steps} steps")
        return end if when.at_end else when.first + (frames - 1) * when.period
