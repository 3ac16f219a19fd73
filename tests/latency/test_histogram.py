"""The histogram beside NumPy on the raw values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.latency.histogram import Histogram, bucket_of, last_of_bucket

PRECISION = 1 / 1000


def long_tail(seed: int, count: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(9, 2.5, count)).astype(np.int64)


@pytest.mark.parametrize("percent", [0.01, 1, 25, 50, 90, 99, 99.9, 99.99, 100])
@pytest.mark.parametrize("count", [1, 7, 1003, 100_003])
def test_percentiles_are_numpys_within_the_precision(percent: float, count: int) -> None:
    values, histogram = long_tail(count, count), Histogram()
    for part in np.array_split(values, 5):
        histogram.add(part)
    exact = int(np.percentile(values, percent, method="inverted_cdf"))
    assert exact <= histogram.percentile(percent) <= exact * (1 + PRECISION) + 1
    assert histogram.total == count


def test_mean_deviation_and_ends_are_those_of_the_values() -> None:
    values, histogram = long_tail(3, 5000), Histogram()
    histogram.add(values)
    assert histogram.mean == pytest.approx(values.mean())
    assert histogram.deviation == pytest.approx(values.std())
    assert (histogram.smallest, histogram.largest) == (values.min(), values.max())


@given(st.integers(0, 2**42 - 1))
@settings(max_examples=200)
def test_a_value_is_in_its_bucket_and_buckets_are_narrow(value: int) -> None:
    bucket = int(bucket_of(np.array([value]))[0])
    last = last_of_bucket(bucket)
    first = last_of_bucket(bucket - 1) + 1 if bucket else 0
    assert first <= value <= last
    assert last - first <= first * PRECISION


def test_what_is_too_large_or_negative_counts_at_the_end() -> None:
    histogram = Histogram()
    histogram.add(np.array([-5, 2**60]))
    assert (histogram.percentile(50), histogram.percentile(100)) == (0, 2**42 - 1)


def test_an_empty_histogram_has_a_percentile_of_nothing() -> None:
    assert Histogram().percentile(99) == 0
    assert Histogram().mean == Histogram().deviation == 0


def test_percentile_file() -> None:
    """The columns that HdrHistogram writes; each further half of the samples gets five lines."""
    histogram = Histogram()
    histogram.add(np.array([1000, 2000, 3000, 4000]))
    lines = list(histogram.percentile_lines())
    assert lines == [
        "       Value     Percentile TotalCount 1/(1-Percentile)",
        "",
        "       1.000 0.000000000000          1           1.00",
        "       1.000 0.100000000000          1           1.11",
        "       1.000 0.200000000000          1           1.25",
        "       2.000 0.300000000000          2           1.43",
        "       2.000 0.400000000000          2           1.67",
        "       2.000 0.500000000000          2           2.00",
        "       3.001 0.550000000000          3           2.22",
        "       3.001 0.600000000000          3           2.50",
        "       3.001 0.650000000000          3           2.86",
        "       3.001 0.700000000000          3           3.33",
        "       3.001 0.750000000000          3           4.00",
        "       4.000 0.775000000000          4           4.44",
        "       4.000 1.000000000000          4",
        "#[Mean    =        2.500, StdDeviation   =        1.118]",
        "#[Max     =        4.000, Total count    =            4]",
        "#[Buckets =           32, SubBuckets     =         2048]",
    ]
