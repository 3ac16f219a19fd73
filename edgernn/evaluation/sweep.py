"""Sweep: what other decision settings would give on the same outputs, and which of them are worth having.

Settings are chosen on one part of the recordings and measured on another: on those that chose them they look better
than they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from edgernn.evaluation.measures import EventMeasures, measure_events, true_intervals
from edgernn.evaluation.trace import LabelledEvent, ScoreTrace
from edgernn.program.metadata import DecisionSettings
from edgernn.stream.config import DecisionChanges, StreamSettings
from edgernn.stream.decisions import Decider

SMOOTHING_STEPS = (1, 2, 4, 8, 16, 32)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MINIMUM_STEPS = (1, 2, 4, 8, 16)


class SweepPoint(msgspec.Struct, frozen=True):
    """Decision settings and what they give."""

    decision: DecisionSettings
    events: EventMeasures


class Tuning(msgspec.Struct, frozen=True):
    """Decision settings that were looked for.

    Attributes
    ----------
    front : tuple of SweepPoint
        Settings that no others beat, on the part of the recordings that chooses.
    chosen : SweepPoint
        One of them.
    held_out : EventMeasures or None
        What the chosen settings give on the other part; None if no other part has intervals.
    """

    front: tuple[SweepPoint, ...]
    chosen: SweepPoint
    held_out: EventMeasures | None


def tune(
    traces: Sequence[ScoreTrace],
    grace_s: float,
    most_false_per_hour: float,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuning | None:
    """Choose decision settings on one part of the traces, and measure them on the other.

    Every second trace is held out, of a single trace its second half. None without a rate or an interval.
    """
    choosing, held_out = _parts(traces)
    front = sweep(choosing, grace_s, on_progress)
    if not front:
        return None
    chosen = choose(front, most_false_per_hour)
    return Tuning(front, chosen, _measure(held_out, chosen.decision, grace_s) if held_out else None)


def _measure(traces: Sequence[ScoreTrace], decision: DecisionSettings, grace_s: float) -> EventMeasures:
    return measure_events(traces, [decide(trace, decision) for trace in traces], grace_s)


def _parts(traces: Sequence[ScoreTrace]) -> tuple[Sequence[ScoreTrace], Sequence[ScoreTrace]]:
    """The part that chooses and the part that is held out, which may be empty; both hold intervals."""
    parts = (traces[::2], traces[1::2])
    if len(traces) == 1:
        half = len(traces[0].truth) // 2
        parts = ([traces[0].part(0, half)], [traces[0].part(half, len(traces[0].truth))])
    return parts if all(map(_has_intervals, parts)) else (traces, ())


def _has_intervals(traces: Sequence[ScoreTrace]) -> bool:
    decision, labels = traces[0].decision, traces[0].labels
    nothing = None if decision.nothing is None else labels.index(decision.nothing)
    return any(len(trace.steps) and true_intervals(trace.truth, nothing) for trace in traces)


def decide(trace: ScoreTrace, decision: DecisionSettings) -> list[LabelledEvent]:
    """The events that a trace's outputs give with other settings."""
    decider = Decider(decision, trace.labels)
    events: list[LabelledEvent] = []
    bounds = [0, *trace.begins, len(trace.scores)]
    for start, stop in itertools.pairwise(bounds):
        decider.reset()
        found = decider.feed(trace.scores[start:stop])
        events += [LabelledEvent(int(trace.steps[start + one.output]), one.label) for one in found]
    return events


def grid(own: DecisionSettings) -> list[DecisionSettings]:
    """The model's own settings, and all others that a sweep tries; hold-off and `nothing` stay as they are."""
    others = [
        msgspec.structs.replace(
            own,
            smoothing_steps=smoothing_steps,
            threshold=threshold,
            release=min(own.release, threshold),
            minimum_steps=minimum_steps,
        )
        for smoothing_steps, threshold, minimum_steps in itertools.product(SMOOTHING_STEPS, THRESHOLDS, MINIMUM_STEPS)
    ]
    return [own, *(decision for decision in others if decision != own)]


def sweep(
    traces: Sequence[ScoreTrace], grace_s: float, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[SweepPoint, ...]:
    """The settings that no others beat, by mean wait ascending.

    Others beat settings if both their mean wait for the right event and their false events per hour are at most as
    large, and one is smaller. Without a rate, or without an interval, there are none.
    """
    points = []
    candidates = grid(traces[0].decision)
    for done, decision in enumerate(candidates, 1):
        events = [decide(trace, decision) for trace in traces]
        points.append(SweepPoint(decision, measure_events(traces, events, grace_s)))
        on_progress(done, len(candidates))
    return pareto_front(points)


def pareto_front(points: Sequence[SweepPoint]) -> tuple[SweepPoint, ...]:
    """The points that no other beats; of equal ones the first."""
    front: list[SweepPoint] = []
    fewest = np.inf
    for wait_s, false_per_hour, point in sorted(_measured(points), key=lambda entry: entry[:2]):
        if false_per_hour < fewest and np.isfinite(wait_s):
            fewest = false_per_hour
            front.append(point)
    return tuple(front)


def _measured(points: Sequence[SweepPoint]) -> list[tuple[float, float, SweepPoint]]:
    return [
        (point.events.mean_wait_s, point.events.false_per_hour, point)
        for point in points
        if point.events.mean_wait_s is not None and point.events.false_per_hour is not None
    ]


def choose(front: Sequence[SweepPoint], most_false_per_hour: float) -> SweepPoint:
    """The point with the shortest wait that has few enough false events, or else the one with the fewest."""
    return next((point for point in front if (point.events.false_per_hour or 0.0) <= most_false_per_hour), front[-1])


def describe(decision: DecisionSettings) -> str:
    """What a sweep changes, in a line."""
    return (
        f"smoothing_steps = {decision.smoothing_steps}, threshold = {decision.threshold}, "
        f"minimum_steps = {decision.minimum_steps}"
    )


def describe_tuning(tuning: Tuning) -> list[str]:
    """A line for each point of the front, with a mark at the chosen one, and what that gives on recordings held out."""
    lines = [
        f"  {point.events.mean_wait_s:7.2f} s {point.events.false_per_hour:9.1f}   {describe(point.decision)}"
        f"{'  <- chosen' if point is tuning.chosen else ''}"
        for point in tuning.front
    ]
    held_out = "no recordings were left to measure the chosen settings on"
    if tuning.held_out is not None:
        held_out = f"chosen settings on recordings that were held out: {describe_events(tuning.held_out)}"
    return ["mean wait for the right event, false events per hour:", *lines, held_out]


def describe_events(events: EventMeasures) -> str:
    """Intervals, waiting time and false events in a line, with what the recordings can say about these."""
    wait = "unknown" if events.mean_wait_s is None else f"{events.mean_wait_s:.2f} s"
    false = "unknown"
    if events.false_per_hour is not None and events.false_per_hour_bound is not None:
        false = f"{events.false_per_hour:.1f} (below {events.false_per_hour_bound:.1f} with 95 % confidence)"
    return f"{events.detected} of {events.intervals} intervals, mean wait {wait}, false events per hour {false}"


def with_decision(settings: StreamSettings, decision: DecisionSettings) -> StreamSettings:
    """Settings that decide so, whatever the model says about it."""
    changes = msgspec.structs.asdict(decision)
    if decision.nothing is None and settings.decision.nothing is not None:
        changes["nothing"] = ""  # not that of the model either
    return msgspec.structs.replace(settings, decision=DecisionChanges(**changes))
