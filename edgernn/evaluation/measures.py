"""Measures: how good the outputs and the events of traces are.

**Outputs.** Each output of the model is set against what was true at the step that it is about: the one at which it
came, an earlier one where the model looks ahead. Outputs about unlabelled steps do not count. Macro F1 is the mean over
the labels that are true or recognized at least once. Cross-entropy is the mean of ``-ln p[truth]``, with p limited from
below to 2.2e-16.

**Events.** An *interval* is a longest stretch of steps with the same true label, other than the `nothing` label. It is
detected by the first event of its label inside it, or at most `grace_s` seconds behind it; the delay counts from its
onset. A further event of its label there is repeated; every other event is false. Events at unlabelled steps behind no
interval do not count, and neither does unlabelled time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.evaluation.confidence import poisson_upper_bound
from edgernn.evaluation.trace import UNLABELLED, LabelledEvent, ScoreTrace

MIN_PROBABILITY = float(np.finfo(np.float64).eps)
SUM_TOLERANCE = 1e-3  # of probabilities


class Interval(NamedTuple):
    """From step `start` up to, not including, step `stop` the label with this index was done."""

    start: int
    stop: int
    label: int


class OutputMeasures(msgspec.Struct, frozen=True):
    """How good the outputs are.

    Attributes
    ----------
    outputs : int
        How many were compared.
    accuracy, macro_f1 : float
    cross_entropy : float or None
        In nats; None if the scores are no probabilities.
    confusion : tuple
        Counts, a row for each true label, a column for each recognized one.
    f1 : tuple of float or None
        For each label; None if it is neither true nor recognized anywhere.
    """

    outputs: int
    accuracy: float
    cross_entropy: float | None
    macro_f1: float
    confusion: tuple[tuple[int, ...], ...]
    f1: tuple[float | None, ...]


class EventMeasures(msgspec.Struct, frozen=True):
    """How good the events are.

    Attributes
    ----------
    intervals, detected, repeated, false_events : int
    recall, precision : float or None
        Detected of all intervals; detected of detected and false. None where there is nothing to count.
    hours : float or None
        Labelled time; None if the rate is unknown.
    false_per_hour : float or None
    false_per_hour_bound : float or None
        Below this the true number is, with 95 % confidence: false events are rare, and recordings are short.
    delay_p50_s, delay_p95_s : float or None
        Of the detected intervals.
    mean_wait_s : float or None
        Mean over all intervals of the time without the right event: the delay, or the whole length of a missed one.
    delays_s : tuple of float
        Of the detected intervals, in their order.
    """

    intervals: int
    detected: int
    repeated: int
    false_events: int
    recall: float | None
    precision: float | None
    hours: float | None
    false_per_hour: float | None
    false_per_hour_bound: float | None
    delay_p50_s: float | None
    delay_p95_s: float | None
    mean_wait_s: float | None
    delays_s: tuple[float, ...]


def true_intervals(truth: NDArray[np.int64], nothing: int | None) -> list[Interval]:
    """Longest stretches of one label that means something.

    Examples
    --------
    >>> true_intervals(np.array([0, 0, 1, 1, 2, -1]), nothing=0)
    [Interval(start=2, stop=4, label=1), Interval(start=4, stop=5, label=2)]
    """
    bounds = [0, *(np.flatnonzero(np.diff(truth)) + 1).tolist(), len(truth)]
    stretches = (Interval(start, stop, int(truth[start])) for start, stop in itertools.pairwise(bounds) if stop)
    return [stretch for stretch in stretches if stretch.label not in {UNLABELLED, nothing}]


def measure_outputs(traces: Sequence[ScoreTrace]) -> OutputMeasures:
    """Compare the outputs of traces with the truth; all must be of one model and have labelled steps."""
    truth = np.concatenate([trace.truth[trace.about] for trace in traces])  # (m,)
    scores = np.concatenate([trace.scores for trace in traces])  # (m, K)
    known = truth != UNLABELLED
    truth, scores = truth[known], scores[known]
    K = scores.shape[1]
    confusion = np.zeros((K, K), np.int64)
    np.add.at(confusion, (truth, scores.argmax(axis=1)), 1)
    right, mentioned = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)  # (K,) each
    f1 = [2 * int(r) / int(n) if n else None for r, n in zip(right, mentioned, strict=True)]
    return OutputMeasures(
        outputs=len(truth),
        accuracy=float(right.sum() / len(truth)),
        cross_entropy=_cross_entropy(truth, scores),
        macro_f1=float(np.mean([value for value in f1 if value is not None])),
        confusion=tuple(map(tuple, confusion.tolist())),
        f1=tuple(f1),
    )


def _cross_entropy(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> float | None:
    if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        return None
    p = np.maximum(scores[np.arange(len(truth)), truth], MIN_PROBABILITY)
    return float(-np.log(p).mean())


def first_right_steps(traces: Iterable[ScoreTrace]) -> list[int]:
    """For each trace that is ever right: samples up to and including the one whose output was right first."""
    firsts = []
    for trace in traces:
        right = np.flatnonzero(trace.scores.argmax(axis=1) == trace.truth[trace.about])
        if len(right):
            firsts.append(int(trace.steps[right[0]]) + 1)
    return firsts


def measure_events(
    traces: Sequence[ScoreTrace], events: Sequence[Sequence[LabelledEvent]], grace_s: float
) -> EventMeasures:
    """Set events, a sequence for each trace, against the true intervals.

    Traces without a rate give no times, and have no grace.
    """
    intervals = detected = repeated = false_events = 0
    labelled_s = 0.0
    delays_s: list[float] = []
    waits_s: list[float] = []
    for trace, found in zip(traces, events, strict=True):
        nothing = None if trace.decision.nothing is None else trace.labels.index(trace.decision.nothing)
        wanted = true_intervals(trace.truth, nothing)
        rate_hz = trace.rate_hz
        onsets, again, wrong = _attribute(
            found, wanted, trace.truth, 0 if rate_hz is None else round(grace_s * rate_hz)
        )
        intervals, detected = intervals + len(wanted), detected + len(onsets)
        repeated, false_events = repeated + again, false_events + wrong
        if rate_hz is not None:
            labelled_s += int(np.count_nonzero(trace.truth != UNLABELLED)) / rate_hz
            delays_s += [delay / rate_hz for delay in onsets.values()]
            waits_s += [onsets.get(k, one.stop - one.start) / rate_hz for k, one in enumerate(wanted)]
    timed = all(trace.rate_hz is not None for trace in traces)
    p50, p95 = np.percentile(delays_s, [50, 95]).tolist() if timed and delays_s else (None, None)
    return EventMeasures(
        intervals=intervals,
        detected=detected,
        repeated=repeated,
        false_events=false_events,
        recall=detected / intervals if intervals else None,
        precision=detected / (detected + false_events) if detected + false_events else None,
        hours=labelled_s / 3600 if timed else None,
        false_per_hour=false_events * 3600 / labelled_s if timed and labelled_s else None,
        false_per_hour_bound=poisson_upper_bound(false_events) * 3600 / labelled_s if timed and labelled_s else None,
        delay_p50_s=p50,
        delay_p95_s=p95,
        mean_wait_s=float(np.mean(waits_s)) if timed and waits_s else None,
        delays_s=tuple(delays_s) if timed else (),
    )


def _attribute(
    events: Sequence[LabelledEvent], wanted: Sequence[Interval], truth: NDArray[np.int64], grace_steps: int
) -> tuple[dict[int, int], int, int]:
    """Delay in steps of each detected interval by its place, repeated events, false events."""
    delays: dict[int, int] = {}
    repeated = wrong = 0
    for step, label in events:
        places = [
            place
            for place, one in enumerate(wanted)
            if one.label == label and one.start <= step < one.stop + grace_steps
        ]
        if not places:
            wrong += int(truth[step] != UNLABELLED)
        elif places[-1] in delays:
            repeated += 1
        else:
            delays[places[-1]] = step - wanted[places[-1]].start
    return delays, repeated, wrong
