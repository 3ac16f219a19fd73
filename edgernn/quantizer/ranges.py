"""Where to clip a value: its largest magnitude worth representing, from what was seen of it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Method: TypeAlias = Literal["max", "percentile", "mse", "entropy"]

PERCENTILE = 99.99
CANDIDATES = np.linspace(0.25, 1.0, 61)  # clipping limits, as parts of the largest magnitude
BINS = 512  # of a histogram: few enough for the noise of 10,000 samples to stay below what clipping costs


def clipping_limit(samples: NDArray[Any], bits: int, method: Method) -> float:
    """The magnitude at which `samples`, of any shape, are best clipped for `bits` bits; 0 if all are 0.

    ``max`` clips nothing, ``percentile`` the largest 0.01 %, ``mse`` gives the smallest squared error, ``entropy`` the
    histogram that tells most of the original one (8 bits only; 16 bits have more levels than the histogram).

    Examples
    --------
    >>> clipping_limit(np.array([-1.0, 0.5, 2.0]), 8, "max")
    2.0
    """
    magnitudes = np.abs(samples).ravel()
    largest = float(magnitudes.max(initial=0.0))
    if largest == 0.0 or method == "max" or (method == "entropy" and 1 << (bits - 1) > BINS):
        return largest
    if method == "percentile":
        return float(np.percentile(magnitudes, PERCENTILE))
    losses = _squared_errors(magnitudes, bits) if method == "mse" else _divergences(magnitudes, bits)
    return float(CANDIDATES[int(np.argmin(losses))] * largest)


def _squared_errors(magnitudes: NDArray[Any], bits: int) -> list[float]:
    """Mean squared error of rounding and clipping, for each candidate."""
    levels = (1 << (bits - 1)) - 1
    losses = []
    for limit in CANDIDATES * magnitudes.max():
        rounded = np.minimum(np.rint(magnitudes * (levels / limit)), levels) * (limit / levels)
        losses.append(float(np.mean((rounded - magnitudes) ** 2)))
    return losses


def _divergences(magnitudes: NDArray[Any], bits: int) -> list[float]:
    """Kullback-Leibler divergence of the quantized from the true histogram, for each candidate."""
    counts, _ = np.histogram(magnitudes, bins=BINS, range=(0.0, float(magnitudes.max())))  # (BINS,)
    levels = 1 << (bits - 1)
    losses = []
    for part in CANDIDATES:
        kept = int(part * BINS)
        clipped = counts[:kept].astype(np.float64)
        clipped[-1] += counts[kept:].sum()
        level = np.arange(kept) * levels // kept  # (kept,): the level of each bin
        occupied = counts[:kept] > 0
        mass = np.bincount(level, weights=counts[:kept], minlength=levels)
        bins = np.bincount(level, weights=occupied, minlength=levels)
        spread = np.where(occupied, mass[level] / np.maximum(bins[level], 1), 0.0)
        p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
        there = p > 0
        losses.append(float(np.sum(p[there] * np.log(p[there] / np.maximum(q[there], 1e-12)))))
    return losses
