"""Decisions against the specification in Python, output by output, with whole numbers of any size."""

import itertools
import math
from collections import deque

import numpy as np
import pytest
from byte_streams import cuts
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgernn.errors import ConfigError, InputError
from edgernn.program.metadata import DecisionSettings
from edgernn.stream.decisions import Decider, Decision

LABELS = ("rest", "wave", "turn")

decision_settings = st.builds(
    lambda threshold, share, **others: DecisionSettings(threshold=threshold, release=threshold * share, **others),
    threshold=st.floats(0.1, 0.9),
    share=st.floats(0, 1),
    smoothing_steps=st.integers(1, 6),
    minimum_steps=st.integers(1, 4),
    hold_off_steps=st.integers(0, 8),
    nothing=st.sampled_from([None, *LABELS]),
)
score_blocks = st.lists(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), min_size=3, max_size=3), max_size=80).map(
    lambda rows: np.array(rows, np.float32).reshape(-1, 3)
)


def whole(score: float) -> int:
    """A score in units of 2**-15."""
    return 0 if math.isnan(score) else max(-(2**31 - 1), min(2**31 - 1, math.floor(score * 32768 + 0.5)))


def decide(settings: DecisionSettings, scores: NDArray[np.float32]) -> list[Decision]:
    """The specification, one output at a time."""
    recent: deque[list[int]] = deque(maxlen=settings.smoothing_steps)
    recognized, candidate, held, hold_off = None, None, 0, 0
    decisions = []
    for output, row in enumerate(scores.tolist()):
        recent.append([whole(score) for score in row])
        m, S = len(recent), [sum(column) for column in zip(*recent, strict=True)]
        if recognized is not None and S[recognized] < m * whole(settings.release):
            recognized = None
        top = S.index(max(S))
        if LABELS[top] != settings.nothing and S[top] >= m * whole(settings.threshold):
            candidate, held = top, (held + 1 if top == candidate else 1)
        else:
            candidate, held = None, 0
        if hold_off > 0:
            hold_off -= 1
        elif held >= settings.minimum_steps and top != recognized:
            recognized, hold_off = top, settings.hold_off_steps
            decisions.append(Decision(output, top, S[top] / (m * 32768)))
    return decisions


@settings(max_examples=200)
@given(decision_settings, score_blocks, cuts)
def test_decisions_are_those_of_the_specification_in_any_split(
    chosen: DecisionSettings, scores: NDArray[np.float32], fractions: list[float]
) -> None:
    decider = Decider(chosen, LABELS)
    places = sorted({0, len(scores), *(int(fraction * len(scores)) for fraction in fractions)})
    found = []
    for start, end in itertools.pairwise(places):
        found += [one._replace(output=start + one.output) for one in decider.feed(scores[start:end])]
    assert found == decide(chosen, scores)


def test_a_reset_forgets_everything() -> None:
    chosen = DecisionSettings(smoothing_steps=3, minimum_steps=2, hold_off_steps=50)
    decider = Decider(chosen, LABELS)
    scores = np.array([[0.1, 0.9, 0.0]] * 5, np.float32)
    first = decider.feed(scores)
    decider.reset()
    assert first == decider.feed(scores)
    assert len(first) == 1


def test_smoothed_scores_do_not_drift() -> None:
    decider = Decider(DecisionSettings(smoothing_steps=7), LABELS)
    random = np.random.default_rng(1).random((100_000, 3))
    decider.feed(random)
    decider.feed(np.full((7, 3), 0.25))
    assert decider.scores.tolist() == [0.25, 0.25, 0.25]


def test_scores_that_are_not_numbers_count_as_nothing_and_large_ones_are_limited() -> None:
    decider = Decider(DecisionSettings(), LABELS)
    decider.feed(np.array([[np.nan, np.inf, -np.inf]]))
    assert decider.scores.tolist() == [0, (2**31 - 1) / 32768, -(2**31 - 1) / 32768]


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"decision\.nothing is 'idle', the labels are rest, wave, turn"):
        Decider(DecisionSettings(nothing="idle"), LABELS)
    with pytest.raises(ConfigError, match="with 1000 labels at most 16777"):
        Decider(DecisionSettings(smoothing_steps=20_000), tuple(map(str, range(1000))))
    with pytest.raises(InputError, match="there are 3 labels"):
        Decider(DecisionSettings(), LABELS).feed(np.zeros((4, 2)))
