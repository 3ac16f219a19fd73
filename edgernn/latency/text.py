"""Figures of a profile as rows of text, for terminals and pages alike."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.latency.budget import Budget
from edgernn.latency.measurement import Measurement
from edgernn.latency.operations import OperationTimes

Rows = list[tuple[object, ...]]
REALTIME = ", realtime"  # at the end of the name of what was measured in real time


def time_text(time_ns: float) -> str:
    """A time with the unit that fits.

    Examples
    --------
    >>> time_text(312), time_text(45_600), time_text(12_000_000), time_text(2.5e9)
    ('312 ns', '45.6 µs', '12 ms', '2.5 s')
    """
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(time_ns) >= 0.9995 * size:
            return f"{time_ns / size:.3g} {unit}"
    return f"{time_ns:.3g} ns"


def response_rows(measurements: Sequence[Measurement]) -> Rows:
    """From due to done."""
    rows: Rows = [("response", "p50", "p90", "p99", "p99.9", "p99.99", "max", "jitter", "missed")]
    for m in measurements:
        r = m.response
        times = (r.p50_ns, r.p90_ns, r.p99_ns, r.p99_9_ns, r.p99_99_ns, r.max_ns, r.jitter_ns)
        rows.append((m.name, *map(time_text, times), f"{m.deadline_misses} of {m.steps}"))
    return rows


def service_rows(measurements: Sequence[Measurement]) -> Rows:
    """The work itself."""
    rows: Rows = [("service", "p50", "p90", "p99", "p99.9", "p99.99", "max", "CPU share", "duty cycle")]
    for m in measurements:
        s = m.service
        times = (s.p50_ns, s.p90_ns, s.p99_ns, s.p99_9_ns, s.p99_99_ns, s.max_ns)
        rows.append((m.name, *map(time_text, times), f"{m.cpu_share:.1%}", f"{m.duty_cycle:.2%}"))
    return rows


def resource_rows(measurements: Sequence[Measurement]) -> Rows:
    """What else the machine did meanwhile."""
    rows: Rows = [
        (
            "meanwhile",
            "late starts",
            "collections",
            "longest",
            "steps hit",
            "faults minor+major",
            "switches own+forced",
            "memory",
            "a step allocates",
        )
    ]
    for m in measurements:
        used, garbage = m.used, m.garbage
        rows.append(
            (
                m.name,
                str(m.late_starts),
                str(garbage.count),
                time_text(garbage.longest_ns),
                str(garbage.steps_hit),
                "?" if used.minor_faults is None else f"{used.minor_faults}+{used.major_faults}",
                "?" if used.forced_switches is None else f"{used.voluntary_switches}+{used.forced_switches}",
                "?" if used.resident_bytes is None else f"{used.resident_bytes / 1024:+.0f} kB",
                "?" if m.allocated_bytes is None else f"{m.allocated_bytes} bytes",
            )
        )
    return rows


def gain_rows(measurements: Sequence[Measurement]) -> Rows:
    """What real time changed: the response without it and with it."""
    by_name = {m.name: m.response for m in measurements}
    rows: Rows = [("real time gained", "p50", "p99.9", "max")]
    for name, before in by_name.items():
        after = by_name.get(name + REALTIME)
        if after is not None:
            pairs = ((before.p50_ns, after.p50_ns), (before.p99_9_ns, after.p99_9_ns), (before.max_ns, after.max_ns))
            rows.append((name, *(f"{time_text(old)} → {time_text(new)}" for old, new in pairs)))
    return rows


def operation_rows(times: OperationTimes) -> Rows:
    """Where the time of a step goes."""
    rows: Rows = [("operation", "kind", "time", "share")]
    rows += [(part.name, part.kind, f"{part.time_ns:.0f} ns", f"{part.share:.1%}") for part in times.operations]
    return rows


def operation_verdict(times: OperationTimes) -> str:
    """How far the parts can be trusted."""
    return (
        f"together {times.sum_ns:.0f} ns; an ordinary step took {times.plain_ns:.0f} ns beside it "
        f"({times.change:+.1%} by measuring)"
    )


def budget_rows(budget: Budget) -> Rows:
    """From a movement to its event, part by part."""
    rows: Rows = [("part", "typical", "at worst", "because")]
    rows += [(part.name, time_text(part.typical_ns), time_text(part.worst_ns), part.why) for part in budget.parts]
    rows.append(("together", time_text(budget.typical_ns), time_text(budget.worst_ns), f"at {budget.rate_hz:g} Hz"))
    return rows


def budget_verdict(budget: Budget) -> str:
    """Which part dominates, and what to change."""
    part = budget.dominant
    return f"{part.name} is {part.typical_ns / budget.typical_ns:.0%} of it; shorter with: {part.remedy}"
