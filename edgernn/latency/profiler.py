"""Profiles benchmark targets interleaved, so that a noisy moment of the machine meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgernn.latency.pacing import Pacing
from edgernn.latency.recorder import LatencyRecorder
from edgernn.latency.targets import BenchmarkTarget
from edgernn.stream.clock import Clock, SystemClock

SLICE_NS = 1_000_000_000  # how long a benchmark target goes on at a time


def profile(
    targets: Sequence[BenchmarkTarget],
    steps: int,
    period_ns: int,
    *,
    deadline_ns: int | None = None,
    busy: bool = False,
    clock: Clock | None = None,
    on_progress: Callable[[int, int], None] = lambda done, steps: None,
) -> list[LatencyRecorder]:
    """Run each benchmark target on the same number of samples and the same schedule. Ctrl-C ends it early.

    Parameters
    ----------
    targets : sequence of BenchmarkTarget
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
        One for each benchmark target.

    Examples
    --------
    >>> from edgernn.latency.targets import empty_step
    >>> (recorder,) = profile([empty_step()], steps=10, period_ns=100_000)
    >>> recorder.response.total
    10
    """
    clock = clock or SystemClock()
    recorders = [LatencyRecorder(clock, period_ns, deadline_ns or period_ns) for _ in targets]
    slice_steps = max(1, SLICE_NS // period_ns)
    try:
        on_progress(0, steps)
        for done in range(0, steps, slice_steps):
            for target, recorder in zip(targets, recorders, strict=True):
                schedule = Pacing(clock, period_ns, busy=busy)
                recorder.begin_slice()
                try:
                    target.time_slice(min(slice_steps, steps - done), schedule, recorder)
                finally:
                    recorder.end_slice(schedule.held_ns)
            on_progress(min(done + slice_steps, steps), steps)
    except KeyboardInterrupt:
        pass
    return recorders
