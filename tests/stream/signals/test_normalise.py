"""Choice and scaling of channels, and the measured rate."""

import numpy as np
import pytest

from edgernn.errors import ConfigError
from edgernn.stream.signals.normalise import Normalise
from edgernn.stream.signals.rate import RateMeter


def test_columns_are_chosen_scaled_and_normalised() -> None:
    values = np.random.default_rng(1).normal(size=(20, 5)) * 1000
    normalise = Normalise([4, 0, 2], scale=0.01, mean=[1, 2, 3], std=[0.5, 2, 4])
    expected = ((values[:, [4, 0, 2]] * 0.01 - [1, 2, 3]) / [0.5, 2, 4]).astype(np.float32)
    np.testing.assert_array_equal(normalise(values), expected)
    assert normalise(values).dtype == np.float32


def test_the_result_does_not_share_the_parsers_memory() -> None:
    values = np.ones((2, 2))
    X = Normalise([0, 1])(values)
    values[...] = 5
    assert X.tolist() == [[1, 1], [1, 1]]


def test_what_is_too_large_becomes_infinite_without_a_warning() -> None:
    assert np.isinf(Normalise([0], std=[1e-30], mean=[0])(np.array([[3e38]]))).all()


def test_lengths_must_fit() -> None:
    with pytest.raises(ConfigError, match="mean has 2 numbers, the model takes 3 channels"):
        Normalise([0, 1, 2], mean=[0, 0], std=[1, 1, 1])


def test_the_rate_is_measured_over_long_spans_and_begins_anew_after_an_outage() -> None:
    meter = RateMeter()
    for read in range(101):
        meter.add(4, read * 50_000_000)
    assert (meter.rate_hz, meter.spans) == (80.0, 2)
    meter.restart()
    meter.add(1000, 60_000_000_000)
    meter.add(120, 63_000_000_000)
    assert (meter.rate_hz, meter.spans) == (40.0, 3)
