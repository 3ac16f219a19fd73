"""Sweep: what other decision settings would give on the same outputs, and which of them are worth having."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from edgernn.evaluation.measures import EventMeasures, measure_events
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

    Others beat settings if both their mean wait for the right event and their false events an hour are at most as
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


def describe_front(chosen: SweepPoint, front: Sequence[SweepPoint]) -> list[str]:
    """A line for each point of the front, with a mark at the chosen one."""
    lines = [
        f"  {point.events.mean_wait_s:7.2f} s {point.events.false_per_hour:9.1f}   {describe(point.decision)}"
        f"{'  <- chosen' if point is chosen else ''}"
        for point in front
    ]
    return ["mean wait for the right event, false events an hour:", *lines]


def with_decision(settings: StreamSettings, decision: DecisionSettings) -> StreamSettings:
    """Settings that decide so, whatever the model says about it."""
    changes = msgspec.structs.asdict(decision)
    if decision.nothing is None and settings.decision.nothing is not None:
        changes["nothing"] = ""  # not that of the model either
    return msgspec.structs.replace(settings, decision=DecisionChanges(**changes))
