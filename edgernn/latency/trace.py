"""A run's worst moments in the trace event format, which Perfetto (https://ui.perfetto.dev) and Chrome open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from edgernn.latency.recorder import LatencyRecorder, SampleBatch


def trace_text(recorders: Mapping[str, LatencyRecorder]) -> str:
    """For each benchmark target the up to 4096 steps around its worst response, with pauses of the garbage collector.

    Times are in µs from the first sample on. See "Trace Event Format" of the Chromium project.
    """
    blocks = {name: recorder.worst for name, recorder in recorders.items() if recorder.worst is not None}
    events: list[dict[str, Any]] = []
    for number, (name, block) in enumerate(blocks.items(), start=1):
        events.append({"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": name}})
        events += _events(block, number)
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"})


def _events(block: SampleBatch, number: int) -> Iterator[dict[str, Any]]:
    origin_ns = int(block.due_ns[0])
    rows = zip(block.due_ns.tolist(), block.started_ns.tolist(), block.finished_ns.tolist(), strict=True)
    for due_ns, started_ns, finished_ns in rows:
        yield _span("late", due_ns, started_ns, origin_ns, number)
        yield _span("work", started_ns, finished_ns, origin_ns, number)
    for start_ns, stop_ns in block.pauses_ns.tolist():
        yield _span("garbage collection", start_ns, stop_ns, origin_ns, number)


def _span(name: str, start_ns: int, stop_ns: int, origin_ns: int, number: int) -> dict[str, Any]:
    start_us, length_us = (start_ns - origin_ns) / 1000, max(0, stop_ns - start_ns) / 1000
    return {"ph": "X", "name": name, "pid": 1, "tid": number, "ts": start_us, "dur": length_us}
