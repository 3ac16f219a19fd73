"""Evaluate: labelled sessions through a model, measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import NamedTuple

import msgspec
import numpy as np

from edgernn.errors import InputError
from edgernn.evaluation.measures import (
    EventMeasures,
    OutputMeasures,
    first_right_steps,
    measure_events,
    measure_outputs,
)
from edgernn.evaluation.sessions import Session
from edgernn.evaluation.sweep import Tuning, tune
from edgernn.evaluation.trace import UNLABELLED, ScoreTrace, trace_session
from edgernn.program.metadata import DecisionSettings
from edgernn.program.program import Program
from edgernn.stream.config import StreamSettings

DEFAULT_GRACE_S = 0.5
Progress = Callable[[int, int], None]  # done, of


class EvaluationReport(msgspec.Struct, frozen=True):
    """How good a model is on labelled sessions.

    Attributes
    ----------
    model : str
    labels : tuple of str
    sessions, samples : int
    rate_hz : float or None
        Of the first session.
    outputs : OutputMeasures
    events : EventMeasures
    first_right_p50_steps : float or None
        Median over the sessions of the samples up to the first right output.
    decision : DecisionSettings
    counts : dict of str to int
        Lost, malformed and other samples by kind, over all sessions.
    notes : tuple of str
        How the model was run.
    tuning : Tuning or None
        Decision settings worth having, if they were looked for.
    """

    model: str
    labels: tuple[str, ...]
    sessions: int
    samples: int
    rate_hz: float | None
    outputs: OutputMeasures
    events: EventMeasures
    first_right_p50_steps: float | None
    decision: DecisionSettings
    counts: dict[str, int]
    notes: tuple[str, ...]
    tuning: Tuning | None = None


class Evaluation(NamedTuple):
    """A report, and what it was made from."""

    report: EvaluationReport
    traces: tuple[ScoreTrace, ...]


def evaluate_sessions(
    name: str,
    program: Program,
    sessions: Sequence[Session],
    settings: StreamSettings,
    *,
    grace_s: float = DEFAULT_GRACE_S,
    jobs: int = 1,
    on_progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Stream sessions through a model, each from a fresh state, and measure what comes out.

    Parameters
    ----------
    name : str
        What to call the model.
    program : Program
    sessions : sequence of Session
    settings : StreamSettings
        As for `edgernn run`.
    grace_s : float
        Seconds behind an interval in which an event still detects it.
    jobs : int
        Sessions at the same time.
    on_progress : callable
        Called with how many sessions are done, and of how many.

    Raises
    ------
    InputError
        Nothing can be measured: a session is empty, too short or of another rate, or fewer than two
        labels occur.
    """
    if not sessions:
        raise InputError("there are no recordings to evaluate on: give at least one")
    traces: list[ScoreTrace] = []
    with ThreadPoolExecutor(jobs) as workers:
        for trace in workers.map(lambda session: trace_session(program, settings, session), sessions):
            traces.append(trace)
            on_progress(len(traces), len(sessions))
    _expect_several_labels(traces)
    firsts = first_right_steps(traces)
    counts = {kind: sum(trace.counts[kind] for trace in traces) for kind in traces[0].counts}
    report = EvaluationReport(
        model=name,
        labels=traces[0].labels,
        sessions=len(traces),
        samples=sum(len(trace.truth) for trace in traces),
        rate_hz=traces[0].rate_hz,
        outputs=measure_outputs(traces),
        events=measure_events(traces, [trace.events for trace in traces], grace_s),
        first_right_p50_steps=float(np.median(firsts)) if firsts else None,
        decision=traces[0].decision,
        counts=counts,
        notes=traces[0].notes,
    )
    return Evaluation(report, tuple(traces))


def with_tuning(
    evaluation: Evaluation,
    grace_s: float = DEFAULT_GRACE_S,
    most_false_per_hour: float = 1.0,
    on_progress: Progress = lambda done, total: None,
) -> Evaluation:
    """The evaluation with other decision settings that are worth having, of the many that are tried on its traces.

    Parameters
    ----------
    evaluation : Evaluation
    grace_s : float
        As for `evaluate_sessions`.
    most_false_per_hour : float
        False events an hour that are acceptable.
    on_progress : callable
        Called with how many decision settings were tried, and of how many.
    """
    tuning = tune(evaluation.traces, grace_s, most_false_per_hour, on_progress)
    return evaluation._replace(report=msgspec.structs.replace(evaluation.report, tuning=tuning))


def _expect_several_labels(traces: Sequence[ScoreTrace]) -> None:
    occurring = set(np.concatenate([trace.truth[trace.about] for trace in traces]).tolist()) - {UNLABELLED}
    if not occurring:
        raise InputError("no output of the model came at a labelled step: nothing can be measured")
    if len(occurring) == 1:
        only = traces[0].labels[occurring.pop()]
        raise InputError(
            f"only {only} was labelled where the model gave outputs: a model that always says {only} would seem "
            f"perfect; add recordings of another label"
        )


def side_by_side(reports: Sequence[EvaluationReport]) -> list[list[object]]:
    """Rows of a table with a column for each report; the first column names the measures."""
    columns = [_figures(report) for report in reports]
    rows = zip_longest([name for name, _ in columns[0]], *([value for _, value in column] for column in columns))
    return [list(row) for row in rows]


def _figures(report: EvaluationReport) -> list[tuple[str, str]]:
    outputs, events = report.outputs, report.events
    return [
        ("", report.model),
        ("accuracy of labelled outputs", f"{outputs.accuracy:.4f}"),
        ("labelled outputs", str(outputs.outputs)),
        ("cross-entropy, nats", _text(outputs.cross_entropy, ".4f")),
        ("macro F1", f"{outputs.macro_f1:.4f}"),
        ("steps to the first right output, p50", _text(report.first_right_p50_steps, ".0f")),
        ("intervals detected", f"{events.detected} of {events.intervals}"),
        ("precision of events", _text(events.precision, ".3f")),
        ("repeated events", str(events.repeated)),
        ("false events", str(events.false_events)),
        ("false events per hour", _text(events.false_per_hour, ".1f")),
        ("  with 95 % confidence below", _text(events.false_per_hour_bound, ".1f")),
        ("delay p50, s", _text(events.delay_p50_s, ".2f")),
        ("delay p95, s", _text(events.delay_p95_s, ".2f")),
        ("mean wait, s", _text(events.mean_wait_s, ".2f")),
    ]


def _text(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
