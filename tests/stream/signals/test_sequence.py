"""Sequence numbers: constructed faults are told apart and counted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.signals.gaps import UNKNOWN
from edgernn.stream.signals.sequence import Followed, SequenceTracker


def follow(tracker: SequenceTracker, numbers: list[int], period_us: int = 1000, *, outage: bool = False) -> Followed:
    times_us = [number * period_us % 2**32 for number in numbers]
    return tracker.follow(np.array(numbers) % 2**16, np.array(times_us), outage=outage)


def counts(tracker: SequenceTracker) -> tuple[int, ...]:
    return tracker.lost, tracker.duplicated, tracker.late, tracker.restarts, tracker.unknown_losses


def test_numbers_and_times_wrap() -> None:
    tracker = SequenceTracker()
    for start in range(0, 200_000, 1000):
        followed = follow(tracker, list(range(start, start + 1000)), period_us=100_000)
        assert followed.missing is None or not any(followed.missing)
    assert counts(tracker) == (0, 0, 0, 0, 0)


def test_times_wrap_without_a_sequence() -> None:
    tracker = SequenceTracker()
    times_us = np.arange(2**32 - 5000, 2**32 + 5000, 1000) % 2**32
    assert tracker.follow(None, times_us, outage=False) == Followed(None, None)
    assert tracker.follow(None, np.array([3900]), outage=False).missing == [UNKNOWN]  # 0.1 ms back
    assert counts(tracker) == (0, 0, 0, 1, 0)


def test_lost_doubled_and_late_samples() -> None:
    tracker = SequenceTracker()
    assert follow(tracker, [10, 11, 14, 14, 12, 15]) == Followed([0, 1, 2, 5], [0, 0, 2, 0])
    assert counts(tracker) == (1, 1, 1, 0, 0)


def test_a_restart_is_not_a_loss_of_65000_samples() -> None:
    tracker = SequenceTracker()
    follow(tracker, [500, 501])
    assert follow(tracker, [0, 1, 2]) == Followed([0, 1, 2], [UNKNOWN, 0, 0])
    assert counts(tracker) == (0, 0, 0, 1, 0)


def test_after_an_outage_the_loss_is_unknown() -> None:
    tracker = SequenceTracker()
    follow(tracker, [500, 501])
    assert follow(tracker, [900, 901], outage=True).missing == [UNKNOWN, 0]
    assert counts(tracker) == (0, 0, 0, 0, 1)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(1, 400), max_size=60), st.integers(0, 2**17), st.integers(1, 399))
def test_losses_are_counted_exactly_in_any_split(lost: set[int], first: int, place: int) -> None:
    sent = [first + number for number in range(402) if number not in lost]
    tracker = SequenceTracker()
    for part in (sent[:place], sent[place:]):
        if part:
            follow(tracker, part)
    assert counts(tracker) == (len(lost), 0, 0, 0, 0)
