"""When samples are due, and how to wait for that."""

from __future__ import annotations

from edgernn.stream.clock import Clock

LEAD_NS = 1_000_000  # before the first sample is due


class Pacing:
    """Sample k is due at ``begin_ns + k * period_ns``.

    Parameters
    ----------
    clock : Clock
    period_ns : int
    busy : bool
        Wait by looking at the clock all the time, which keeps the core awake; else sleep, as most programs do.

    Attributes
    ----------
    begin_ns : int
    held_ns : int
        How far the schedule was pushed back, because the profiler itself was at work when a sample was due.
    """

    def __init__(self, clock: Clock, period_ns: int, *, busy: bool = False) -> None:
        self.clock = clock
        self.period_ns = period_ns
        self.busy = busy
        self.held_ns = 0
        self.restart()

    def restart(self) -> None:
        """Sample 0 is due soon."""
        self.begin_ns = self.clock.monotonic_ns() + LEAD_NS

    def due_ns(self, k: int) -> int:
        """When sample k is due."""
        return self.begin_ns + k * self.period_ns

    def wait(self, k: int) -> int:
        """Wait until sample k is due, not at all if it is late; returns when it was due."""
        due_ns, now_ns = self.begin_ns + k * self.period_ns, self.clock.monotonic_ns
        if self.busy:
            while now_ns() < due_ns:
                pass
        else:
            while (pause_ns := due_ns - now_ns()) > 0:
                self.clock.sleep(pause_ns / 1e9)
        return due_ns

    def hold(self, since_ns: int, k: int) -> None:
        """The profiler was at work from `since_ns` until now: sample k must not be late for that."""
        late_ns = self.clock.monotonic_ns() - max(since_ns, self.due_ns(k))
        if late_ns > 0:
            self.begin_ns += late_ns
            self.held_ns += late_ns
