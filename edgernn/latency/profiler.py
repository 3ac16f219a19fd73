"""Profiles contestants by turns, so that a noisy moment of the machine meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgernn.latency.contestants import Contestant
from edgernn.latency.recorder import Recorder
from edgernn.latency.schedule import Schedule
from edgernn.stream.clock import Clock, SystemClock

TURN_NS = 1_000_000_000  # how long a contestant goes on at a time


def profile(
    contestants: Sequence[Contestant],
    steps: int,
    period_ns: int,
    *,
    deadline_ns: int | None = None,
    busy: bool = False,
    clock: Clock | None = None,
    on_progress: Callable[[int, int], None] = lambda done, steps: None,
) -> list[Recorder]:
    """Let each contestant take the same number of samples on the same schedule. Ctrl-C ends it with what there is.

    Parameters
    ----------
    contestants : sequence of Contestant
    steps : int
        Samples for each.
    period_ns : int
        From one sample to the next.
    deadline_ns : int, optional
        Longer responses are misses; the period if not given.
    busy : bool
        Wait for samples by looking at the clock.
    clock : Clock, optional
    on_progress : callable
        Called with the samples that each has taken so far, and `steps`: at the beginning and after each round of turns.

    Returns
    -------
    list of Recorder
        One for each contestant.

    Examples
    --------
    >>> from edgernn.latency.contestants import empty_step
    >>> (recorder,) = profile([empty_step()], steps=10, period_ns=100_000)
    >>> recorder.response.total
    10
    """
    clock = clock or SystemClock()
    recorders = [Recorder(clock, period_ns, deadline_ns or period_ns) for _ in contestants]
    turn_steps = max(1, TURN_NS // period_ns)
    try:
        on_progress(0, steps)
        for done in range(0, steps, turn_steps):
            for contestant, recorder in zip(contestants, recorders, strict=True):
                schedule = Schedule(clock, period_ns, busy=busy)
                recorder.begin_turn()
                try:
                    contestant.turn(min(turn_steps, steps - done), schedule, recorder)
                finally:
                    recorder.end_turn(schedule.held_ns)
            on_progress(min(done + turn_steps, steps), steps)
    except KeyboardInterrupt:
        pass
    return recorders
