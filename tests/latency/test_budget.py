"""The latency budget counted by hand, and its decision part beside the decider itself."""

from math import ceil

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_models import larger_channel, looks_ahead, random_gru, two_frames

from edgernn.latency.budget import latency_budget
from edgernn.latency.text import budget_rows, budget_verdict, time_text
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.program import Program
from edgernn.stream.decisions import Decider

MS = 1e6


def test_parts_by_hand() -> None:
    decision = DecisionSettings(threshold=0.75, smoothing_steps=8, minimum_steps=3)
    program = larger_channel(rate_hz=50.0, decision=decision).with_window(20, 5)
    budget = latency_budget(program, baud=9600, step_ns=1000.0, step_worst_ns=5000.0)
    assert budget is not None
    parts = {part.name: (part.typical_ns / MS, part.worst_ns / MS) for part in budget.parts}
    assert parts["sampling"] == (10.0, 20.0)
    assert parts["serial transfer"] == pytest.approx((28 * 10 / 9.6, 28 * 10 / 9.6))  # 28 bytes of ten bits
    assert parts["driver"] == (1.0, 16.0)
    assert parts["window hop"] == (40.0, 80.0)
    assert parts["decision"] == (700.0, 900.0)  # (6 - 1 + 3 - 1) and (8 - 1 + 3 - 1) outputs of 100 ms
    assert parts["step"] == (0.001, 0.005)
    assert budget.dominant.name == "decision"
    assert budget.typical_ns == pytest.approx(sum(typical for typical, _ in parts.values()) * MS)
    assert budget_verdict(budget).startswith("decision is 9")
    assert budget_rows(budget)[-1][0] == "together"


def test_strides_and_delays_of_the_scores_own_output() -> None:
    decision = DecisionSettings(smoothing_steps=4, threshold=0.5)
    program = looks_ahead(taps=7, stride=5)
    budget = latency_budget(program.with_metadata(msgspec.structs.replace(program.metadata, decision=decision)))
    assert budget is not None
    parts = {part.name: (part.typical_ns / MS, part.worst_ns / MS) for part in budget.parts}
    assert parts["stride"] == (40.0, 80.0)  # 4 samples of 20 ms at most until the layer has its five
    assert parts["model delay"] == (60.0, 60.0)
    assert parts["decision"] == (100.0, 300.0)  # 2 - 1 and 4 - 1 outputs of five samples
    at_once = msgspec.structs.replace(program.description, outputs=program.description.outputs[::-1])
    budget = latency_budget(Program(at_once, program.weights))
    assert budget is not None
    assert "model delay" not in {part.name for part in budget.parts}


def test_several_outputs_in_a_step_fill_the_average_sooner() -> None:
    decision = DecisionSettings(smoothing_steps=8, threshold=0.5)
    budget = latency_budget(two_frames().with_metadata(Metadata(rate_hz=100.0, decision=decision)))
    assert budget is not None
    assert {part.name: part.worst_ns / MS for part in budget.parts}["decision"] == 35.0  # 7 outputs of 5 ms


def test_what_takes_no_time_is_left_out() -> None:
    budget = latency_budget(larger_channel(), rate_hz=100.0)
    assert budget is not None
    assert [part.name for part in budget.parts] == ["sampling", "serial transfer", "driver", "step"]


def test_without_a_rate_there_is_no_budget() -> None:
    assert latency_budget(random_gru()) is None


@given(st.integers(1, 40), st.integers(1, 10), st.integers(1, 100).map(lambda percent: percent / 100))
@settings(max_examples=60)
def test_decision_takes_as_many_outputs_as_the_decider(smoothing: int, minimum: int, threshold: float) -> None:
    decision = DecisionSettings(
        smoothing_steps=smoothing, minimum_steps=minimum, threshold=threshold, release=0.0, nothing="first"
    )
    budget = latency_budget(larger_channel(rate_hz=1000.0, decision=decision))
    assert budget is not None
    typical_ms = {part.name: part.typical_ns / MS for part in budget.parts}.get("decision", 0.0)
    scores = np.zeros((200, 2))
    scores[100:, 1] = 1.0  # a score that jumps
    scores[:100, 0] = 1.0
    (found,) = Decider(decision, ("first", "second")).feed(scores)
    # where the sums of both labels must change places, that comes first
    changed = ceil((smoothing + 1) / 2) - 1 + minimum - 1
    assert found.output - 100 == max(round(typical_ms), changed)


def test_times_have_the_unit_that_fits() -> None:
    assert [time_text(ns) for ns in (0, 999, 999_600, 1e9)] == ["0 ns", "999 ns", "1 ms", "1 s"]
