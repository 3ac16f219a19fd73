"""Resampling lies on the lines between samples, in any split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.signals.resample import Resample

X = np.random.default_rng(4).normal(size=(200, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(50.0, 100.0), (52.0, 50.0), (119.0, 50.0), (50.0, 50.0), (50.0, 333.0)]
)
def test_outputs_are_those_of_interp(from_hz: float, to_hz: float) -> None:
    found = Resample(from_hz, to_hz)(X)
    times = np.arange(len(found)) / to_hz
    assert times[-1] <= 199 / from_hz + 1e-9 < times[-1] + 1 / to_hz
    for channel in range(2):
        expected = np.interp(times, np.arange(200) / from_hz, X[:, channel])
        np.testing.assert_allclose(found[:, channel], expected, atol=1e-5)


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 200), max_size=8), ratio=st.floats(0.1, 10.0))
def test_any_split_gives_the_same(cuts: list[int], ratio: float) -> None:
    one, other = Resample(ratio, 1.0), Resample(ratio, 1.0)
    parts = [other(part) for part in np.split(X, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(parts), one(X))


def test_a_reset_begins_with_the_next_sample() -> None:
    resample = Resample(100.0, 40.0)
    first = resample(X[:33])
    resample.reset()
    np.testing.assert_array_equal(resample(X[:33]), first)
    np.testing.assert_array_equal(first[0], X[0])
