"""Gap policies, sample by sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.signals.gaps import UNKNOWN, Gaps, Segment

nan, inf = np.nan, np.inf


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def fill(gaps: Gaps, *blocks: tuple[np.ndarray, list[int] | None]) -> list[tuple[list[float], bool]]:
    return [(segment.X[:, 0].tolist(), segment.reset) for X, missing in blocks for segment in gaps(X, missing)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("hold", [([1, 1, 1, 4, 5], False)]),
        ("interpolate", [([1, 2, 3, 4, 5], False)]),
        ("reset", [([1], False), ([4, 5], True)]),
    ],
)
def test_missing_samples(policy: str, expected: list[tuple[list[float], bool]]) -> None:
    gaps = Gaps(policy, most=2)
    assert fill(gaps, (column(1, 4, 5), [0, 2, 0])) == expected
    assert (gaps.filled, gaps.resets) == ((0, 1) if policy == "reset" else (2, 0))


@pytest.mark.parametrize("count", [3, UNKNOWN])
@pytest.mark.parametrize("policy", ["hold", "interpolate"])
def test_a_long_or_unknown_gap_makes_the_model_begin_anew(policy: str, count: int) -> None:
    gaps = Gaps(policy, most=2)
    assert fill(gaps, (column(1), None), (column(4, 5), [count, 0])) == [([1], False), ([4, 5], True)]
    assert (gaps.filled, gaps.resets) == (0, 1)


@pytest.mark.parametrize("policy", ["hold", "interpolate"])
def test_a_channel_that_is_not_finite_holds_its_last_value(policy: str) -> None:
    gaps = Gaps(policy)
    X = np.array([[1, 2], [nan, 3], [4, -inf]], np.float32)
    (segment,) = gaps(X)
    assert segment.X.tolist() == [[1, 2], [1, 3], [4, 3]]
    assert gaps.filled == 2


def test_before_the_first_good_sample_there_is_nothing_to_hold() -> None:
    assert fill(Gaps("hold"), (column(nan, 1, nan), None)) == [([1, 1], False)]


def test_too_many_bad_samples_in_a_row_make_the_model_begin_anew() -> None:
    gaps = Gaps("hold", most=2)
    assert fill(gaps, (column(1, nan), None), (column(nan, nan, nan, 2), None)) == [
        ([1, 1], False),
        ([1], False),
        ([2], True),
    ]


def test_with_reset_a_bad_sample_is_left_out() -> None:
    assert fill(Gaps("reset"), (column(1, nan, 3), None)) == [([1], False), ([3], True)]


def test_an_outage_makes_the_model_begin_anew_once() -> None:
    gaps = Gaps("hold")
    gaps(column(1))
    gaps.outage()
    assert fill(gaps, (column(nan, 2), None), (column(3), None)) == [([2], True), ([3], False)]


@settings(max_examples=150)
@given(
    st.sampled_from(["hold", "interpolate", "reset"]),
    st.lists(st.tuples(st.sampled_from([1.0, 2.0, 5.0, nan, inf]), st.integers(-1, 5)), max_size=30),
    st.integers(0, 30),
)
def test_any_split_gives_the_same_and_nothing_is_left_that_is_not_finite(
    policy: str, samples: list[tuple[float, int]], place: int
) -> None:
    X = column(*(value for value, _ in samples))
    missing = [count for _, count in samples]

    def joined(segments: list[Segment]) -> list[tuple[float, bool]]:
        return [(value, s.reset and row == 0) for s in segments for row, value in enumerate(s.X[:, 0].tolist())]

    whole, split = Gaps(policy, most=3), Gaps(policy, most=3)
    expected = joined(whole(X, missing))
    assert joined(split(X[:place], missing[:place]) + split(X[place:], missing[place:])) == expected
    assert np.isfinite([value for value, _ in expected]).all()
    assert (whole.filled, whole.resets) == (split.filled, split.resets)
