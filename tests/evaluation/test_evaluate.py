"""Measures against scikit-learn on the same outputs, and against recordings whose events are known by construction."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stream_models import larger_channel, random_gru, turns

from edgernn.errors import InputError
from edgernn.evaluation.confidence import poisson_upper_bound
from edgernn.evaluation.evaluate import Evaluation, evaluate_sessions, side_by_side
from edgernn.evaluation.measures import measure_events
from edgernn.evaluation.sessions import Piece, Session
from edgernn.evaluation.sweep import Tuning, choose, decide, describe_tuning, pareto_front, sweep, tune, with_decision
from edgernn.evaluation.trace import LabelledEvent, ScoreTrace, trace_session
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.program import Program
from edgernn.runtime.runner import Runner
from edgernn.stream.config import DecisionChanges, StreamSettings, to_toml
from edgernn.stream.sources.base import Chunk
from edgernn.stream.sources.virtual_port import csv_frames

RNG = np.random.default_rng(8)
LABELS = ("a", "b", "c")


def session(samples: np.ndarray, labels: list[str | None], rate_hz: float | None = 50.0, name: str = "s") -> Session:
    def pieces() -> Iterator[Piece]:
        for sample, label in zip(samples, labels, strict=True):
            yield Piece(sample[None], label)

    return Session(name, rate_hz, pieces)


def random_session(name: str = "s") -> Session:
    samples = RNG.normal(size=(300, 3)).cumsum(axis=0) % 4 - 2
    labels: list[str | None] = [LABELS[k // 60 % 3] for k in range(300)]
    labels[40:55] = [None] * 15
    return session(samples, labels, name=name)


def evaluate(program: Program, *sessions: Session, **settings: object) -> Evaluation:
    return evaluate_sessions("model", program, sessions, StreamSettings(**settings))  # type: ignore[arg-type]


def test_outputs_are_those_of_a_runner_and_measures_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss  # takes a second

    program, sessions = random_gru(), [random_session(), random_session()]
    found = evaluate(program, *sessions).report.outputs
    truth, scores = [], []
    for one in sessions:
        pieces = list(one.pieces())
        Y = Runner(program).run(np.concatenate([piece.data for piece in pieces]).astype(np.float32))
        kept = [k for k, piece in enumerate(pieces) if piece.label is not None]
        truth += [LABELS.index(str(pieces[k].label)) for k in kept]
        scores.append(Y[kept].astype(np.float64))
    p = np.concatenate(scores)
    top = p.argmax(axis=1)
    assert found.outputs == len(truth) == 570
    assert found.accuracy == pytest.approx(accuracy_score(truth, top))
    assert found.macro_f1 == pytest.approx(f1_score(truth, top, average="macro"))
    assert found.f1 == pytest.approx(tuple(f1_score(truth, top, average=None)))
    assert found.confusion == tuple(map(tuple, confusion_matrix(truth, top).tolist()))
    p /= p.sum(axis=1, keepdims=True)  # scikit-learn complains about float32's last digits
    assert found.cross_entropy == pytest.approx(log_loss(truth, p, labels=[0, 1, 2]), rel=1e-5)


def test_labels_that_never_occur_have_no_f1_and_raw_scores_no_cross_entropy() -> None:
    samples = turns(4)
    labels: list[str | None] = ["first" if row[0] else "second" for row in samples]
    metadata_labels = ("first", "second")
    report = evaluate(larger_channel(softmax=False), session(samples, labels), raw_scores=True).report
    assert report.labels == metadata_labels
    assert report.outputs.cross_entropy is None
    assert report.outputs.accuracy == 1.0
    wrong = evaluate(random_gru(), session(turns(4), ["a"] * 20 + ["b"] * 20)).report.outputs
    mentioned = np.array(wrong.confusion).sum(axis=0) + np.array(wrong.confusion).sum(axis=1)
    assert [value is None for value in wrong.f1] == (mentioned == 0).tolist()


def test_delays_false_and_repeated_events_of_constructed_events() -> None:
    truth = np.array([0] * 100 + [1] * 100 + [0] * 100 + [2] * 50 + [-1] * 50 + [1] * 100, np.int64)
    trace = ScoreTrace(
        "t",
        10.0,
        ("rest", "wave", "circle"),
        DecisionSettings(nothing="rest"),
        truth,
        np.arange(500),
        np.arange(500),
        np.zeros((500, 3)),
        (),
        (),
        {},
        (),
    )
    events = [
        LabelledEvent(20, 1),  # false: at rest
        LabelledEvent(130, 1),  # right, after 30 steps
        LabelledEvent(150, 1),  # repeated
        LabelledEvent(160, 2),  # false: something else is done
        LabelledEvent(354, 2),  # right within the grace of 5 steps, after 54 steps
        LabelledEvent(380, 1),  # unlabelled: nobody knows
        LabelledEvent(499, 1),  # right, after 99 steps
    ]
    found = measure_events([trace], [events], grace_s=0.5)
    assert (found.intervals, found.detected, found.repeated, found.false_events) == (3, 3, 1, 2)
    assert found.delays_s == (3.0, 5.4, 9.9)
    assert found.delay_p50_s == 5.4
    assert found.delay_p95_s == pytest.approx(9.45)  # between the two largest
    assert found.hours == pytest.approx(45 / 3600)
    assert found.false_per_hour == pytest.approx(2 / 45 * 3600)
    assert (found.recall, found.precision) == (1.0, 3 / 5)
    without_grace = measure_events([trace], [events], grace_s=0.0)
    assert (without_grace.detected, without_grace.recall) == (2, 2 / 3)
    assert without_grace.mean_wait_s == pytest.approx((3.0 + 5.0 + 9.9) / 3)


def test_two_channels_taking_turns_are_detected_at_once() -> None:
    samples = turns(6)
    labels: list[str | None] = ["first" if row[0] else "second" for row in samples]
    changes = DecisionChanges(minimum_steps=3)
    report = evaluate(larger_channel(rate_hz=50.0), session(samples, labels), decision=changes).report
    assert (report.events.intervals, report.events.detected, report.events.false_events) == (6, 6, 0)
    assert set(report.events.delays_s) == {2 / 50}  # the third output of an interval
    assert report.first_right_p50_steps == 1
    assert report.events.hours == pytest.approx(60 / 50 / 3600)


def test_bytes_and_numbers_of_the_same_samples_give_the_same() -> None:
    numbers = random_session()
    pieces = list(numbers.pieces())
    lines = csv_frames(np.concatenate([np.asarray(piece.data) for piece in pieces]), decimals=17)

    def chunks() -> Iterator[Piece]:
        for place, (line, piece) in enumerate(zip(lines, pieces, strict=True)):
            yield Piece(Chunk(line, place * 20_000_000, 0, 0), piece.label)

    settings = StreamSettings()
    one = trace_session(random_gru(), settings, numbers)
    other = trace_session(random_gru(), settings, Session("s", None, chunks))
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.events == other.events
    assert len(one.events) > 3
    assert (one.truth != other.truth).sum() <= 1  # the format is known with the second line
    assert other.rate_hz == pytest.approx(50.0)


def test_trained_windows_are_used_as_by_run_and_said() -> None:
    report = evaluate(random_gru(trained_steps=20), random_session()).report
    assert report.outputs.outputs == len([t for t in range(19, 300, 5) if not 40 <= t < 55])
    assert "windows of 20" in report.notes[0]


def empty() -> Session:
    return session(np.zeros((0, 3)), [])


@pytest.mark.parametrize(
    ("sessions", "complaint"),
    [
        ([], "no recordings"),
        ([empty()], "too short"),
        ([session(turns(2), ["a"] * 20)], "only a was labelled"),
        ([session(turns(2), [None] * 20)], "nothing can be measured"),
        ([session(turns(2), ["a"] * 10 + ["jump"] * 10)], "label 'jump', the model knows a, b, c"),
        (
            [session(turns(2), ["a"] * 10 + ["b"] * 10, rate_hz=60.0)],
            "60 samples per second, the model was trained at 50",
        ),
        ([session(turns(2)[:, :2], ["a"] * 10 + ["b"] * 10)], "sends 2 numbers"),
    ],
)
def test_what_cannot_be_measured_is_said(sessions: list[Session], complaint: str) -> None:
    program = random_gru(metadata=Metadata(labels=LABELS, rate_hz=50.0))
    with pytest.raises(InputError, match=complaint):
        evaluate(program, *sessions)


def test_jobs_change_nothing_and_progress_is_told() -> None:
    sessions = [random_session(f"s{k}") for k in range(5)]
    told: list[tuple[int, int]] = []
    alone = evaluate(random_gru(), *sessions).report
    many = evaluate_sessions(
        "model", random_gru(), sessions, StreamSettings(), jobs=3, on_progress=lambda *numbers: told.append(numbers)
    )
    assert many.report == alone
    assert [trace.name for trace in many.traces] == [f"s{k}" for k in range(5)]
    assert told == [(k, 5) for k in range(1, 6)]


def test_deciding_again_with_the_same_settings_gives_the_same_events_also_where_the_model_began_anew() -> None:
    trace = trace_session(random_gru(), StreamSettings(reset_every=70), random_session())
    assert trace.begins == (70, 140, 210, 280)
    assert len(trace.events) > 3
    assert tuple(decide(trace, trace.decision)) == trace.events


def test_nothing_on_the_front_of_a_sweep_is_beaten_and_the_toml_gives_the_chosen_settings(tmp_path: Path) -> None:
    import tomllib

    import msgspec

    evaluation = evaluate_sessions("m", random_gru(), [random_session()], StreamSettings())
    front = sweep(evaluation.traces, 0.5)
    pairs = [(point.events.mean_wait_s or 0.0, point.events.false_per_hour or 0.0) for point in front]
    assert len(pairs) > 1
    assert pairs == sorted(pairs)
    assert [false for _, false in pairs] == sorted((false for _, false in pairs), reverse=True)
    own = evaluation.report.events
    assert own.mean_wait_s is not None
    assert own.false_per_hour is not None
    assert any(wait <= own.mean_wait_s and false <= own.false_per_hour for wait, false in pairs)
    chosen = choose(front, most_false_per_hour=pairs[1][1])
    assert chosen == front[1]
    assert choose(front, most_false_per_hour=-1.0) == front[-1]
    given = StreamSettings(model=str(tmp_path / 'a "b".onnx'), logits=True, decision=DecisionChanges(nothing=""))
    tuning = Tuning(front, chosen, None)
    text = to_toml(with_decision(given, chosen.decision), tmp_path, describe_tuning(tuning))
    settings = msgspec.convert(tomllib.loads(text), StreamSettings)
    assert (settings.model, settings.logits) == ('a "b".onnx', True)
    assert settings.decision.apply(DecisionSettings(nothing="rest")) == chosen.decision
    assert len([line for line in text.splitlines() if line.startswith("#")]) == len(front) + 2


def test_without_a_rate_there_are_no_times() -> None:
    samples, labels = turns(2), ["a"] * 10 + ["b"] * 10
    evaluation = evaluate(random_gru(), session(samples, labels, rate_hz=None))
    assert evaluation.report.events.hours is None
    assert evaluation.report.events.delays_s == ()
    assert sweep(evaluation.traces, 0.5) == pareto_front(()) == ()
    assert ["delay p50, s", "unknown"] in side_by_side([evaluation.report])


def test_settings_are_chosen_on_one_part_and_measured_on_the_other() -> None:
    sessions = [random_session() for _ in range(4)]
    traces = evaluate_sessions("m", random_gru(), sessions, StreamSettings()).traces
    tuning = tune(traces, 0.5, 1.0)
    assert tuning is not None
    assert tuning.front == sweep(traces[::2], 0.5)
    again = [decide(trace, tuning.chosen.decision) for trace in traces[1::2]]
    assert tuning.held_out == measure_events(traces[1::2], again, 0.5)


def test_a_single_recording_is_cut_in_two_parts_that_add_up() -> None:
    (trace,) = evaluate_sessions("m", random_gru(), [random_session()], StreamSettings()).traces
    half = len(trace.truth) // 2
    first, second = trace.part(0, half), trace.part(half, len(trace.truth))
    np.testing.assert_array_equal(np.concatenate([first.truth, second.truth]), trace.truth)
    np.testing.assert_array_equal(np.concatenate([first.scores, second.scores]), trace.scores)
    np.testing.assert_array_equal(np.concatenate([first.steps, second.steps + half]), trace.steps)
    tuning = tune([trace], 0.5, 1.0)
    assert tuning is not None
    assert tuning.held_out is not None
    assert tuning.held_out.hours == pytest.approx((len(trace.truth) - half) / (trace.rate_hz or 0) / 3600, rel=0.1)


@pytest.mark.parametrize(("count", "bound"), [(0, 2.9957), (1, 4.7439), (10, 16.962), (100, 118.08)])
def test_rare_events_are_bounded_as_the_chi_squared_distribution_says(count: int, bound: float) -> None:
    """Half of the 95 % quantile of chi-squared with 2 (count + 1) degrees of freedom, from published tables."""
    assert poisson_upper_bound(count) == pytest.approx(bound, rel=1e-4)


def test_a_minute_without_a_false_event_shows_no_less_than_180_an_hour() -> None:
    assert poisson_upper_bound(0) * 60 == pytest.approx(180, rel=0.01)
