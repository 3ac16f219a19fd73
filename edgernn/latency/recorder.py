"""All that is kept of a run's steps, in memory that does not grow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.latency.garbage import GarbageWatch
from edgernn.latency.histogram import Histogram
from edgernn.latency.resources import Resources, resources_now
from edgernn.stream.clock import Clock

BLOCK_STEPS = 4096
SLICES = 512  # of the run, each with its largest response
FIRST_SLICE_NS = 1_000_000


class SampleBatch(NamedTuple):
    """Times of steps in a row, (steps,), and the pauses of the garbage collector among them, (n, 2)."""

    due_ns: NDArray[np.int64]
    started_ns: NDArray[np.int64]
    finished_ns: NDArray[np.int64]
    pauses_ns: NDArray[np.int64]


class Slices:
    """The largest response time of each of at most 512 equal slices of a run, however long it lasts.

    Attributes
    ----------
    slice_ns : int
    largest_ns : ndarray of int64, (SLICES,)
    """

    def __init__(self) -> None:
        self.slice_ns = FIRST_SLICE_NS
        self.largest_ns = np.zeros(SLICES, np.int64)

    def add(self, at_ns: NDArray[np.int64], response_ns: NDArray[np.int64]) -> None:
        """Take steps that were due `at_ns` after the beginning."""
        while len(at_ns) and int(at_ns.max()) >= SLICES * self.slice_ns:
            pairs = self.largest_ns.reshape(-1, 2).max(axis=1)
            self.largest_ns[: SLICES // 2], self.largest_ns[SLICES // 2 :] = pairs, 0
            self.slice_ns *= 2
        np.maximum.at(self.largest_ns, at_ns // self.slice_ns, response_ns)


class LatencyRecorder:
    """Takes three times of each step; everything else is computed once for every 4096 steps.

    Attributes
    ----------
    response, service : Histogram
        From due to finished, and from started to finished, in ns.
    misses : int
        Steps whose response took longer than the deadline.
    late_starts : int
        Steps that began only after the next one was due.
    slices : Slices
    worst : Block or None
        The steps around the one with the largest response.
    garbage : GarbageWatch
    used : Resources
        By the turns so far.
    elapsed_ns, held_ns : int
        Of the turns so far, and by how much their schedules were held for the profiler's own work.
    """

    def __init__(self, clock: Clock, period_ns: int, deadline_ns: int) -> None:
        self.clock, self.period_ns, self.deadline_ns = clock, period_ns, deadline_ns
        self.response, self.service = Histogram(), Histogram()
        self.misses = self.late_starts = self.elapsed_ns = self.held_ns = 0
        self.slices = Slices()
        self.worst: SampleBatch | None = None
        self.garbage = GarbageWatch(clock)
        self.used = Resources(resident_bytes=0, minor_faults=0, major_faults=0, voluntary_switches=0, forced_switches=0)
        self._times_ns = np.zeros((3, BLOCK_STEPS), np.int64)  # due, started, finished
        self._due, self._started, self._finished = (row.data for row in self._times_ns)  # stores without NumPy
        self._filled = 0
        self._turn_begin_ns = 0
        self._before = Resources()

    @property
    def is_full(self) -> bool:
        """Whether `absorb` must come before the next `add`."""
        return self._filled == BLOCK_STEPS

    def begin_slice(self) -> None:
        """Steps follow."""
        self.garbage.start()
        self._before = resources_now()
        self._turn_begin_ns = self.clock.monotonic_ns()

    def end_slice(self, held_ns: int) -> None:
        """No steps follow for a while."""
        elapsed_ns = self.clock.monotonic_ns() - self._turn_begin_ns
        used = resources_now().since(self._before)
        self.garbage.stop()
        self.absorb()
        self.used = used.plus(self.used)
        self.elapsed_ns += elapsed_ns
        self.held_ns += held_ns

    def add(self, due_ns: int, started_ns: int, finished_ns: int) -> None:
        """Take the times of a step."""
        k = self._filled
        self._due[k], self._started[k], self._finished[k] = due_ns, started_ns, finished_ns
        self._filled = k + 1

    def absorb(self) -> None:
        """Count what was taken since the last time."""
        due_ns, started_ns, finished_ns = self._times_ns[:, : self._filled]
        self._filled = 0
        if not len(due_ns):
            return
        response_ns = finished_ns - due_ns
        largest_before = self.response.largest
        self.response.add(response_ns)
        self.service.add(finished_ns - started_ns)
        self.misses += int(np.count_nonzero(response_ns > self.deadline_ns))
        self.late_starts += int(np.count_nonzero(started_ns - due_ns > self.period_ns))
        self.slices.add(self.elapsed_ns + due_ns - self._turn_begin_ns, response_ns)
        pauses_ns = self.garbage.attribute(due_ns, finished_ns)
        if self.worst is None or self.response.largest > largest_before:
            self.worst = SampleBatch(due_ns.copy(), started_ns.copy(), finished_ns.copy(), pauses_ns)
