"""One-second votes and window votes, counted by hand."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def votes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import votes

    return votes


def scores_from_first_channel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A net whose probability of label 1 is the first channel."""
    return np.stack([1.0 - samples[:, 0], samples[:, 0]], axis=1)


def recording(votes: ModuleType, first_channel: list[float], label: int, person: int = 1) -> object:
    samples = np.zeros((len(first_channel), 6), np.float32)
    samples[:, 0] = first_channel
    return votes.Recording(samples, label, person, 0)


def test_a_second_votes_with_its_average_and_a_rest_shorter_than_a_second_does_not_count(votes: ModuleType) -> None:
    weak_against, strong_for = [0.4] * 30 + [0.9] * 20, [1.0] * 50
    rest = [0.0] * 49
    confusion = votes.stream_confusion(
        scores_from_first_channel,
        [recording(votes, weak_against + strong_for + rest, 1), recording(votes, [0.6] * 50 + [0.1] * 150, 0)],
        2,
    )
    # Averages of label 1: (30 * 0.4 + 20 * 0.9) / 50 = 0.6 and 1.0; then 0.6 and three times 0.1.
    np.testing.assert_array_equal(confusion, [[3, 1], [0, 2]])
    assert votes.macro_accuracy(confusion) == pytest.approx((3 / 4 + 1) / 2)


def test_a_stream_is_not_reset_between_recordings_of_a_person_but_is_between_people(votes: ModuleType) -> None:
    lengths = []

    def scores(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        lengths.append(len(samples))
        return scores_from_first_channel(samples)

    session = [recording(votes, [0.0] * 60, 0), recording(votes, [1.0] * 70, 1), recording(votes, [1.0] * 50, 1, 2)]
    np.testing.assert_array_equal(votes.stream_confusion(scores, session, 2), [[1, 0], [0, 2]])
    assert lengths == [130, 50]


def test_a_window_votes_with_its_last_sample(votes: ModuleType) -> None:
    ramp = [step / 100 for step in range(100)]  # label 1 wins from step 51 on
    confusion = votes.window_confusion(scores_from_first_channel, [recording(votes, ramp, 1)], 2, steps=40)
    # Windows end at steps 39, 49, 59, ..., 99.
    np.testing.assert_array_equal(confusion, [[0, 0], [2, 5]])
