"""Pauses of Python's garbage collector, and the steps that they hit."""

from __future__ import annotations

import gc

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.stream.clock import Clock

MAX_PAUSES = 1024  # between two looks at them; more are counted, but not attributed to steps


class GarbagePauses(msgspec.Struct):
    """What the garbage collector cost.

    Attributes
    ----------
    count : int
        Pauses.
    total_ns, longest_ns : int
    steps_hit : int
        Steps that were due or at work during a pause.
    largest_hit_ns, largest_other_ns : int
        Largest response time of the steps that were hit, and of all others.
    """

    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    steps_hit: int = 0
    largest_hit_ns: int = 0
    largest_other_ns: int = 0


class GarbageWatch:
    """Times the pauses between `start` and `stop`."""

    def __init__(self, clock: Clock) -> None:
        self.pauses = GarbagePauses()
        self._now_ns = clock.monotonic_ns
        self._spans = np.zeros((MAX_PAUSES, 2), np.int64)  # start and stop
        self._filled = 0
        self._start_ns = 0

    def start(self) -> None:
        """Watch from now on."""
        gc.callbacks.append(self._called)

    def stop(self) -> None:
        """Watch no more."""
        gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._start_ns = self._now_ns()
            return
        stop_ns = self._now_ns()
        pause_ns = stop_ns - self._start_ns
        pauses = self.pauses
        pauses.count += 1
        pauses.total_ns += pause_ns
        pauses.longest_ns = max(pauses.longest_ns, pause_ns)
        if self._filled < MAX_PAUSES:
            self._spans[self._filled] = self._start_ns, stop_ns
            self._filled += 1

    def attribute(self, due_ns: NDArray[np.int64], finished_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the steps that pauses since the last call hit; returns those pauses, (n, 2) start and stop.

        Parameters
        ----------
        due_ns, finished_ns : ndarray (steps,)
            Both in the order of time.
        """
        spans = self._spans[: self._filled].copy()
        self._filled = 0
        # a pause hits the steps that were finished after its start and due before its end
        first = np.searchsorted(finished_ns, spans[:, 0], side="right")
        last = np.searchsorted(due_ns, spans[:, 1], side="left")
        edges = np.zeros(len(due_ns) + 1, np.int64)
        some = first < last
        np.add.at(edges, first[some], 1)
        np.add.at(edges, last[some], -1)
        hit = np.cumsum(edges[:-1]) > 0
        response_ns = finished_ns - due_ns
        pauses = self.pauses
        pauses.steps_hit += int(hit.sum())
        pauses.largest_hit_ns = int(response_ns.max(initial=pauses.largest_hit_ns, where=hit))
        pauses.largest_other_ns = int(response_ns.max(initial=pauses.largest_other_ns, where=~hit))
        return spans
