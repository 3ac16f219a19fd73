"""The result of a profile as plain values, for tables and JSON."""

from __future__ import annotations

import msgspec

from edgernn.latency.garbage import GarbagePauses
from edgernn.latency.histogram import PERCENTILES, Histogram
from edgernn.latency.recorder import LatencyRecorder
from edgernn.latency.resources import Resources


class Spread(msgspec.Struct, frozen=True):
    """Percentiles of times, in ns; each at most 0.1 % too large. `jitter_ns` is the standard deviation."""

    p50_ns: int
    p90_ns: int
    p99_ns: int
    p99_9_ns: int
    p99_99_ns: int
    max_ns: int
    min_ns: int
    mean_ns: float
    jitter_ns: float

    @classmethod
    def of(cls, histogram: Histogram) -> Spread:
        """The spread of what a histogram holds."""
        p50, p90, p99, p99_9, p99_99 = (histogram.percentile(percent) for percent in PERCENTILES)
        return cls(
            p50, p90, p99, p99_9, p99_99, histogram.largest, histogram.smallest, histogram.mean, histogram.deviation
        )


class Measurement(msgspec.Struct, frozen=True):
    """How a benchmark target did.

    Attributes
    ----------
    name : str
    steps : int
    period_ns, deadline_ns : int
    response, service : Spread
        From due to done, and from the beginning of the work to done.
    deadline_misses, late_starts : int
        Responses that took longer than the deadline; steps that began after the next one was due.
    elapsed_ns : int
    held_ns : int
        By which the schedule was pushed back for the profiler's own work.
    cpu_share, duty_cycle : float
        Processor time of all threads by the time that passed, waiting included; service time by the time that passed.
    allocated_bytes : int or None
        The most that a step takes from the allocator at any moment; None where it was not looked at.
    used : Resources
    garbage : GarbagePauses
    """

    name: str
    steps: int
    period_ns: int
    deadline_ns: int
    response: Spread
    service: Spread
    deadline_misses: int
    late_starts: int
    elapsed_ns: int
    held_ns: int
    cpu_share: float
    duty_cycle: float
    allocated_bytes: int | None
    used: Resources
    garbage: GarbagePauses

    @classmethod
    def of(cls, name: str, recorder: LatencyRecorder, allocated_bytes: int | None = None) -> Measurement:
        """What a recorder took."""
        elapsed_ns = max(recorder.elapsed_ns, 1)
        service = Spread.of(recorder.service)
        return cls(
            name=name,
            steps=recorder.response.total,
            period_ns=recorder.period_ns,
            deadline_ns=recorder.deadline_ns,
            response=Spread.of(recorder.response),
            service=service,
            deadline_misses=recorder.misses,
            late_starts=recorder.late_starts,
            elapsed_ns=recorder.elapsed_ns,
            held_ns=recorder.held_ns,
            cpu_share=recorder.used.cpu_ns / elapsed_ns,
            duty_cycle=service.mean_ns * recorder.response.total / elapsed_ns,
            allocated_bytes=allocated_bytes,
            used=recorder.used,
            garbage=recorder.garbage.pauses,
        )
