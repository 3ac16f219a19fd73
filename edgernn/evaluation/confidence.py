"""How much a recording can say about events that are rare."""

from __future__ import annotations

from math import exp, lgamma, log, sqrt

CONFIDENCE = 0.95


def poisson_upper_bound(count: int, confidence: float = CONFIDENCE) -> float:
    """The largest mean of a Poisson distribution that `count` events do not contradict: its one-sided upper limit.

    Source: F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936.

    Parameters
    ----------
    count : int
        Events that were seen, at least 0.
    confidence : float
        In (0, 1): the share of recordings in which the true mean is below the limit.

    Returns
    -------
    float
        In events: divide it by the time in which they were counted.

    Examples
    --------
    >>> round(poisson_upper_bound(0), 3), round(poisson_upper_bound(3), 3)
    (2.996, 7.754)
    """
    low, high = float(count), count + 10.0 * sqrt(count + 3.0) + 20.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(count: int, mean: float) -> float:
    """Probability of at most `count` events: the sum of its terms, from the largest down."""
    total = 0.0
    for k in range(count, -1, -1):
        term = exp(k * log(mean) - mean - lgamma(k + 1)) if mean else float(k == 0)
        total += term
        if term < 1e-18 * total:
            break
    return total
