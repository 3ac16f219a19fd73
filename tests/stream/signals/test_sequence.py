"""The model of a board's counter and clock: constructed faults are told apart and counted."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.stream.signals.gaps import UNKNOWN
from edgernn.stream.signals.sequence import Followed, SequenceTracker

PERIOD_US = 20_000


def follow(
    tracker: SequenceTracker, numbers: Sequence[int], times_us: Sequence[int] | None = None, **told: object
) -> Followed:
    times = None if times_us is None else np.array(times_us, np.int64)
    return tracker.follow(np.array(numbers, np.int64), times, **told)


def counts(tracker: SequenceTracker) -> tuple[int, ...]:
    return tracker.lost, tracker.duplicated, tracker.late, tracker.restarts, tracker.unknown_losses


def used(followed: Followed, count: int) -> int:
    return count if followed.keep is None else len(followed.keep)


@pytest.mark.parametrize("is_timed", [False, True])
@pytest.mark.parametrize(
    ("base", "modulus", "step"),
    [(base, modulus, 1) for base in (0, 1) for modulus in (256, 65536, 100, 1000, 10_000)]
    + [(0, modulus, 2) for modulus in (256, 65536, 1000)],
)
def test_the_width_of_a_counter_is_learnt(base: int, modulus: int, step: int, is_timed: bool) -> None:
    span = modulus - base
    first = span - 300 if span > 300 else 7
    tracker = SequenceTracker()
    total = 3 * min(span, 2000)
    for begin in range(0, total, 50):
        numbers = [base + (first + step * k) % span for k in range(begin, begin + 50)]
        times = [PERIOD_US * k for k in range(begin, begin + 50)]
        assert used(follow(tracker, numbers, times if is_timed else None), 50) == 50
    assert counts(tracker) == (0, 0, 0, 0, 0)


def test_times_wrap_without_a_sequence() -> None:
    tracker = SequenceTracker()
    times_us = np.arange(2**32 - 5000, 2**32 + 5000, 1000) % 2**32
    assert tracker.follow(None, times_us) == Followed(None, None)
    assert tracker.follow(None, np.array([3900])).missing == [UNKNOWN]  # 0.1 ms back
    assert counts(tracker) == (0, 0, 0, 1, 0)


@pytest.mark.parametrize("modulus", [256, 65536, 1000])
def test_losses_around_a_wrap_are_counted(modulus: int) -> None:
    tracker = SequenceTracker()
    sent = [k for k in range(modulus - 40, modulus + 40) if k not in {modulus - 2, modulus - 1, modulus, modulus + 1}]
    follow(tracker, [k % modulus for k in sent], [k * PERIOD_US for k in sent])
    assert counts(tracker) == (4, 0, 0, 0, 0)


def test_a_clock_tells_how_often_a_narrow_counter_came_round() -> None:
    tracker = SequenceTracker()
    sent = [*range(600), *range(1500, 1600)]
    for k in sent:
        follow(tracker, [k % 256], [k * PERIOD_US], pause_ns=PERIOD_US * 1000 * (901 if k == 1500 else 1))
    assert counts(tracker) == (900, 0, 0, 0, 0)


@pytest.mark.parametrize("modulus_us", [1 << 30, 1 << 32, 1000 << 30, 1000 << 32, 1000 << 16])
def test_a_clock_that_wraps_is_no_restart(modulus_us: int) -> None:
    tracker = SequenceTracker()
    begin_us = modulus_us - 50 * PERIOD_US
    times = [(begin_us + k * PERIOD_US) % modulus_us // 1000 * 1000 for k in range(100)]
    for k, time_us in enumerate(times):
        follow(tracker, [k], [time_us])
    assert counts(tracker) == (0, 0, 0, 0, 0)
    assert tracker.elapsed_us == pytest.approx(99 * PERIOD_US, abs=2000)


@pytest.mark.parametrize("first", [0, 1, 2, 17, 599, 600, 601, 5000])
@pytest.mark.parametrize("modulus", [None, 256, 65536])
def test_time_that_goes_back_is_a_restart_whatever_the_number_is(first: int, modulus: int | None) -> None:
    def number(k: int) -> int:
        return k if modulus is None else k % modulus

    tracker = SequenceTracker()
    follow(tracker, [number(k) for k in range(601)], [(1 + k) * PERIOD_US for k in range(601)])
    found = follow(tracker, [number(first + k) for k in range(400)], [k * PERIOD_US for k in range(400)])
    assert found == Followed(list(range(400)), [UNKNOWN, *[0] * 399])
    assert counts(tracker) == (0, 0, 0, 1, 0)


def test_a_restart_with_missed_first_samples_or_without_a_clock() -> None:
    for first in (0, 1, 50, 300):
        tracker = SequenceTracker()
        follow(tracker, range(600))
        found = follow(tracker, range(first, first + 400))
        assert used(found, 400) == 400
        assert counts(tracker) == (0, 0, 0, 1, 0)


def test_a_restart_of_a_board_whose_clock_survives_it() -> None:
    tracker = SequenceTracker()
    follow(tracker, range(600), [k * PERIOD_US for k in range(600)])
    later_us = 600 * PERIOD_US + 2_000_000
    found = follow(tracker, range(3, 100), [later_us + k * PERIOD_US for k in range(97)])
    assert used(found, 97) == 97
    assert counts(tracker) == (0, 0, 0, 1, 0)


def test_a_board_that_restarts_over_and_over() -> None:
    tracker = SequenceTracker()
    for _ in range(20):
        follow(tracker, range(8), [k * PERIOD_US for k in range(8)])
    assert counts(tracker) == (0, 0, 0, 19, 0)


def test_lost_doubled_and_late_samples() -> None:
    for is_timed in (False, True):
        tracker = SequenceTracker()
        numbers = [10, 11, 14, 14, 12, 15]
        times = [1000 * number for number in numbers] if is_timed else None
        assert follow(tracker, numbers, times) == Followed([0, 1, 2, 5], [0, 0, 2, 0])
        assert counts(tracker) == (1, 1, 1, 0, 0)


def test_time_that_goes_forward_is_never_late() -> None:
    tracker = SequenceTracker()
    follow(tracker, range(300), [k * PERIOD_US for k in range(300)])
    for hours, first in ((1, 300), (20, 301), (2000, 302)):
        found = follow(tracker, [first], [hours * 3_600_000_000], pause_ns=0)
        assert used(found, 1) == 1
    assert counts(tracker)[:4] == (0, 0, 0, 0)


def test_a_counter_that_stands_still_costs_nothing() -> None:
    tracker = SequenceTracker()
    assert follow(tracker, [7] * 100, [k * PERIOD_US for k in range(100)]) == Followed(None, None)
    assert counts(tracker) == (0, 0, 0, 0, 0)
    tracker = SequenceTracker()
    assert used(follow(tracker, [7] * 100), 100) == 98
    assert counts(tracker) == (0, 0, 0, 0, 0)


def test_a_damaged_number_is_no_restart_and_no_loss() -> None:
    for is_timed in (False, True):
        for damaged in (5, 45, 9_000, 1_000_000_000):
            tracker = SequenceTracker()
            numbers = [*range(500), damaged, *range(501, 700)]
            times = [k * PERIOD_US for k in range(700)] if is_timed else None
            assert used(follow(tracker, numbers, times), 700) >= 699
            lost, duplicated, late, restarts, unknown = counts(tracker)
            assert (lost, late, restarts, unknown) == (0, 0, 0, 0), (is_timed, damaged)
            assert duplicated <= 1


def test_a_reconnect_says_nothing_about_losses() -> None:
    for first, expected in ((700, (0, 0, 0, 0, 1)), (0, (0, 0, 0, 1, 0))):
        tracker = SequenceTracker()
        follow(tracker, range(600), [k * PERIOD_US for k in range(600)])
        tracker.cut(UNKNOWN)
        rows = range(first, first + 20)
        assert follow(tracker, rows, [k * PERIOD_US for k in rows]).missing == [UNKNOWN, *[0] * 19]
        assert counts(tracker) == expected


def test_a_board_that_says_that_it_begins_is_restarted() -> None:
    tracker = SequenceTracker()
    follow(tracker, range(600), [k * PERIOD_US for k in range(600)])
    rows = range(605, 610)
    assert follow(tracker, rows, [k * PERIOD_US for k in rows], announced=True).missing == [UNKNOWN, 0, 0, 0, 0]
    assert counts(tracker) == (0, 0, 0, 1, 0)


def test_after_a_pause_in_which_a_known_counter_may_wrap_the_loss_is_unknown() -> None:
    tracker = SequenceTracker(modulus=65536)
    follow(tracker, [500, 501])
    found = follow(tracker, [900, 901], pause_ns=40_000_000_000, rate_hz=1000.0)
    assert found.missing == [UNKNOWN, 0]
    assert counts(tracker) == (0, 0, 0, 0, 1)
    tracker = SequenceTracker(65536, 1 << 32)
    follow(tracker, [500, 501], [0, 1000])
    found = follow(tracker, [502], [2000], pause_ns=3_600_000_000_000, rate_hz=1000.0)
    assert counts(tracker) == (0, 0, 0, 0, 1)


def test_a_packet_counter_restarts_after_hours() -> None:
    """Half the range of the clock has passed, so its step alone looks like time that goes on."""
    tracker = SequenceTracker(65536, 1 << 32)
    times = [(3_000_000_000 + k * PERIOD_US) % (1 << 32) for k in range(600)]
    follow(tracker, range(40_000, 40_600), times)
    found = follow(tracker, range(3, 200), [60_000 + k * PERIOD_US for k in range(197)], pause_ns=1_000_000_000)
    assert used(found, 197) == 197
    assert counts(tracker) == (0, 0, 0, 1, 0)


@given(st.sets(st.integers(1, 400), max_size=60), st.integers(0, 2**17), st.integers(1, 399), st.booleans())
def test_losses_are_counted_exactly_in_any_split(lost: set[int], first: int, place: int, is_timed: bool) -> None:
    sent = [first + number for number in range(402) if number not in lost]
    tracker = SequenceTracker()
    for part in (sent[:place], sent[place:]):
        if part:
            follow(tracker, part, [number * PERIOD_US for number in part] if is_timed else None)
    assert counts(tracker) == (len(lost), 0, 0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 1 << 33)), max_size=80), st.booleans(), st.booleans())
def test_no_count_is_ever_negative(rows: list[tuple[int, int]], is_timed: bool, is_packet: bool) -> None:
    tracker = SequenceTracker(65536, 1 << 32) if is_packet else SequenceTracker()
    for number, time_us in rows:
        sent = (number % 65536, time_us % (1 << 32)) if is_packet else (number, time_us)
        follow(tracker, [sent[0]], [sent[1]] if is_timed else None)
        assert min(counts(tracker)) >= 0


def test_a_restart_at_the_same_narrow_number_and_time_is_no_doubled_sample() -> None:
    """Few samples came in between, so the first one is still remembered, but its time is long ago."""
    tracker = SequenceTracker()
    sent = [*range(208, 212), *range(332, 336), *range(660, 664), *range(1000, 1004)]
    for k in sent:
        follow(tracker, [k % 256], [(k - 208) * PERIOD_US], pause_ns=1000 * PERIOD_US * 400)
    assert used(follow(tracker, [208, 209], [0, PERIOD_US]), 2) == 2
    assert counts(tracker)[1:4] == (0, 0, 1)
