"""The page of an evaluation: tables and plots for a browser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgernn.evaluation.evaluate import Evaluation, EvaluationReport, side_by_side
from edgernn.evaluation.measures import Interval, true_intervals
from edgernn.evaluation.sweep import describe, describe_tuning
from edgernn.evaluation.trace import ScoreTrace
from edgernn.html_report import Band, Series, bar_plot, heading, lanes, line_plot, page, paragraph, table

MAX_SESSIONS = 12  # drawn; more would make the page slow
MAX_BANDS = 2000  # in one lane
DELAY_BARS = 20


def evaluation_page(evaluations: Sequence[Evaluation]) -> str:
    """HTML of one or more evaluations on the same sessions."""
    reports = [evaluation.report for evaluation in evaluations]
    parts = [table(side_by_side(reports))]
    parts += [paragraph(note) for report in reports for note in report.notes]
    for report, traces in evaluations:
        parts += [*_tables(report), *_delays(report), *_front(report)]
        parts += [heading(f"{report.model}: what was done and what was recognized")]
        parts += [_timeline(trace) for trace in traces[:MAX_SESSIONS]]
        if len(traces) > MAX_SESSIONS:
            parts.append(paragraph(f"The first {MAX_SESSIONS} of {len(traces)} sessions are drawn."))
    return page("Evaluation: " + ", ".join(report.model for report in reports), parts)


def _tables(report: EvaluationReport) -> list[str]:
    counts = report.outputs.confusion
    rows = [
        [label, *row, "" if f1 is None else f"{f1:.3f}"]
        for label, row, f1 in zip(report.labels, counts, report.outputs.f1, strict=True)
    ]
    shades = [[count / max(sum(row), 1) for count in row] + [0.0] for row in counts]
    return [
        heading(f"{report.model}: true label by recognized label"),
        table([["true", *report.labels, "F1"], *rows], shades),
        paragraph(f"Decision settings: {describe(report.decision)}, release = {report.decision.release}."),
    ]


def _delays(report: EvaluationReport) -> list[str]:
    if not report.events.delays_s:
        return []
    counts, edges = np.histogram(report.events.delays_s, DELAY_BARS, (0.0, max(*report.events.delays_s, 0.1)))
    return [
        heading(f"{report.model}: detection delay"),
        bar_plot(edges.tolist(), counts.tolist(), "seconds from the onset to the event", "intervals"),
    ]


def _front(report: EvaluationReport) -> list[str]:
    if report.tuning is None:
        return []
    measured = [
        (point.events.mean_wait_s, point.events.false_per_hour, point.decision)
        for point in report.tuning.front
        if point.events.mean_wait_s is not None and point.events.false_per_hour is not None
    ]
    rows = [[describe(decision), f"{wait_s:.2f}", f"{false:.1f}"] for wait_s, false, decision in measured]
    points = [(wait_s, false) for wait_s, false, _ in measured]
    return [
        heading(f"{report.model}: decision settings that no others beat on these recordings"),
        line_plot([Series("", points)], "mean wait for the right event, s", "false events per hour", dots=True),
        table([["settings", "mean wait, s", "false events per hour"], *rows]),
        *([paragraph(describe_tuning(report.tuning)[-1])] if report.tuning.held_out is not None else []),
    ]


def _timeline(trace: ScoreTrace) -> str:
    period_s = 1.0 if trace.rate_hz is None else 1.0 / trace.rate_hz
    recognized = np.full(len(trace.truth), -1, np.int64)  # (T,) each output holds until the next
    ends = [*trace.steps[1:].tolist(), len(trace.truth)]
    for step, end, label in zip(trace.steps.tolist(), ends, trace.scores.argmax(axis=1).tolist(), strict=True):
        recognized[step:end] = label
    events = [Band(step * period_s, step * period_s, label) for step, label in trace.events]
    rows = [("true", _bands(trace.truth, period_s)), ("output", _bands(recognized, period_s)), ("event", events)]
    unit = "samples" if trace.rate_hz is None else "seconds"
    return lanes(rows, trace.labels, f"{trace.name}, {unit}")


def _bands(numbers: NDArray[np.int64], period_s: float) -> list[Band]:
    stretches: list[Interval] = true_intervals(numbers, nothing=None)
    longest = sorted(stretches, key=lambda one: one.start - one.stop)[:MAX_BANDS]
    return [Band(one.start * period_s, one.stop * period_s, one.label) for one in longest]
