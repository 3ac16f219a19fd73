"""A histogram of times with a bounded relative error and a fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor, inf, log2, log10, sqrt

import numpy as np
from numpy.typing import NDArray

SUB_BUCKET_BITS = 11  # 2048 sub-buckets: neighbouring values differ by less than 1/1000
SUB_BUCKETS = 1 << SUB_BUCKET_BITS
HALF = SUB_BUCKETS // 2
MAX_BITS = 42  # values up to 73 minutes in ns; a larger one counts as the largest
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


class Histogram:
    """Counts of whole numbers from 0 to 2**42 - 1, linear within each power of two and 1024 steps fine.

    The buckets are those of HdrHistogram with three significant digits (http://hdrhistogram.org).

    Attributes
    ----------
    counts : ndarray of int64
    total : int
    smallest, largest : int
        Exact. 0 while nothing was added.

    Examples
    --------
    >>> histogram = Histogram()
    >>> histogram.add(np.arange(1, 1001))
    >>> histogram.percentile(99.0), histogram.largest
    (990, 1000)
    """

    def __init__(self) -> None:
        self.counts = np.zeros((MAX_BITS - SUB_BUCKET_BITS + 2) * HALF, np.int64)
        self.total = self.smallest = self.largest = 0
        self._sum = self._sum_of_squares = 0.0

    def add(self, values: NDArray[np.int64]) -> None:
        """Count values (n,); negative ones count as 0."""
        if not len(values):
            return
        values = np.clip(values, 0, (1 << MAX_BITS) - 1)
        self.counts += np.bincount(bucket_of(values), minlength=len(self.counts))
        smallest, largest = int(values.min()), int(values.max())
        self.smallest = min(self.smallest, smallest) if self.total else smallest
        self.largest = max(self.largest, largest)
        self.total += len(values)
        as_float = values.astype(np.float64)
        self._sum += float(as_float.sum())
        self._sum_of_squares += float(as_float @ as_float)

    @property
    def mean(self) -> float:
        """Mean of the values themselves."""
        return self._sum / max(self.total, 1)

    @property
    def deviation(self) -> float:
        """Standard deviation of the values themselves."""
        return sqrt(max(0.0, self._sum_of_squares / max(self.total, 1) - self.mean**2))

    def percentile(self, percent: float) -> int:
        """The least value that `percent` of all values do not exceed, at most 0.1 % too large; 0 if there are none."""
        if not self.total:
            return 0
        rank = max(1, ceil(percent / 100 * self.total - 1e-9))
        bucket = int(np.searchsorted(np.cumsum(self.counts), rank))
        return min(last_of_bucket(bucket), self.largest)

    def percentile_lines(self, ticks_per_half: int = 5, unit: float = 1000.0) -> Iterator[str]:
        """The text format that HdrHistogram's plotters read, with values divided by `unit` (ns to µs).

        Each further half of the remaining samples gets `ticks_per_half` lines.
        """
        yield f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}"
        yield ""
        cumulative = np.cumsum(self.counts)
        for value, level, count in self._levels(cumulative, ticks_per_half):
            head = f"{value / unit:12.3f} {level / 100:2.12f} {count:10d}"
            yield f"{head} {100 / (100 - level):14.2f}" if level < 100 else head
        yield f"#[Mean    = {self.mean / unit:12.3f}, StdDeviation   = {self.deviation / unit:12.3f}]"
        yield f"#[Max     = {self.largest / unit:12.3f}, Total count    = {self.total:12d}]"
        yield f"#[Buckets = {MAX_BITS - SUB_BUCKET_BITS + 1:12d}, SubBuckets     = {SUB_BUCKETS:12d}]"

    def _levels(self, cumulative: NDArray[np.int64], ticks_per_half: int) -> Iterator[tuple[int, float, int]]:
        """Value, percentile and count up to it, closer and closer to 100."""
        level = 0.0
        while self.total:
            bucket = int(np.searchsorted(cumulative, max(1.0, level / 100 * self.total - 1e-9)))
            value, count = min(last_of_bucket(bucket), self.largest), int(cumulative[bucket])
            yield value, level, count
            if count == self.total:
                yield value, 100.0, count
                return
            halvings = floor(log2(100 / (100 - level))) + 1
            level += 100 / (ticks_per_half * 2**halvings)


def bucket_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the bucket of each value (n,)."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)  # of 0: 0; exact below 2**53
    shift: NDArray[np.int64] = np.maximum(bits - SUB_BUCKET_BITS, 0)
    return shift * HALF + (values >> shift)


def last_of_bucket(bucket: int) -> int:
    """The largest value that falls into a bucket."""
    shift = max(bucket // HALF - 1, 0)
    return ((bucket - shift * HALF + 1) << shift) - 1


def tail_position(percent: float) -> float:
    """Nines of a percentile: 0 at 0 %, 1 at 90 %, 2 at 99 %; the axis of plots on which tails can be seen."""
    return -log10(1 - percent / 100) if percent < 100 else inf
