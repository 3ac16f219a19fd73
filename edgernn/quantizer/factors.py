"""What matrix products lose by rounding, and the factors between their channels with which they lose least.

Sources: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, for factors
between layers; Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
Models", 2023, for powers of the ranges of activations and weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.quantizer.settings import Settings

Array: TypeAlias = NDArray[Any]

RANGE_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
WEIGHT_EXPONENTS = (0.0, 0.5, 1.0)
MAX_FACTOR = 2.0**12
CLEARLY = 0.8  # of the error without factors, below which factors are worth while
NO_ROOM = 1.5  # what equal ranges must gain above others: no channel may then go further than was seen of it
BEYOND = 16.0  # times the format's end, how far what a ReLU or the like cuts off may go
MAX_STEPS = 2048  # that are looked at for the error
STRETCHES = (1.0, 1.03, 1.07, 1.12)  # of scales, over which the luck of rounding is averaged
BLOCKS = 8  # of the calibration, which show how much a channel's range varies
USUAL_VARIATION = 3.0  # of the largest number of all blocks over that of the middle one
TINY = 1e-30


class Product(NamedTuple):
    """A product of weights with samples that are read in `bits` bits, or several of them side by side.

    Attributes
    ----------
    W : ndarray
        (groups, rows, columns)
    x : ndarray
        Samples (groups, steps, columns).
    channel : ndarray
        The channel of each column, (groups, columns), -1 where it has none.
    bits : int
    """

    W: Array
    x: Array
    channel: Array
    bits: int

    def ranges(self, channels: int) -> tuple[Array, Array]:
        """The range that each channel needs, and its largest weight as a part of the row's, (channels,) each."""
        reached, part = np.zeros(channels + 1), np.zeros(channels + 1)
        largest = np.abs(self.x).max(axis=1)
        np.maximum.at(reached, self.channel, np.minimum(largest * _doubt(self.x), largest.max()))
        rows = np.maximum(np.abs(self.W).max(axis=2, keepdims=True), TINY)
        np.maximum.at(part, self.channel, (np.abs(self.W) / rows).max(axis=1))
        return reached[:-1], part[:-1]

    def thinned(self) -> Product:
        """The same with at most `MAX_STEPS` steps, evenly taken."""
        return self._replace(x=np.ascontiguousarray(self.x[:, :: -(-self.x.shape[1] // MAX_STEPS)]))

    def error(self, s: Array, settings: Settings) -> float:
        """Power of what is lost by rounding, channels divided by `s` (channels,), as a part of the product's."""
        factors = np.append(s, 1.0)[self.channel][:, None, :]  # (groups, 1, columns)
        W, x = self.W * factors, self.x / factors
        largest = np.abs(W).max(axis=2, keepdims=True) / 127
        narrow = np.abs(W).sum(axis=2, keepdims=True) / 2 ** (32 - self.bits)  # where 32 bits would overflow
        row_scale = np.maximum(np.maximum(largest, narrow), TINY)
        levels = (1 << (self.bits - 1)) - 1
        step = (settings.limit_of(x, self.bits) or 1.0) / levels
        exact, mean = self.x @ self.W.swapaxes(1, 2), x.mean(axis=1, keepdims=True)
        lost = 0.0
        for stretch in STRETCHES:
            rounded_W = np.rint(W / (row_scale * stretch)) * (row_scale * stretch)
            rounded_x = np.clip(np.rint(x / (step * stretch)), -levels, levels) * (step * stretch)
            difference = rounded_x @ rounded_W.swapaxes(1, 2) - exact
            if settings.correct_bias:
                difference -= mean @ (rounded_W - W).swapaxes(1, 2)
            lost += float(np.mean(difference**2)) / len(STRETCHES)
        return lost / max(float(np.mean(exact**2)), TINY)


class Factors(NamedTuple):
    """What channels are divided by: the powers of their ranges, and the error of all products without and with it.

    A channel is divided by ``range ** exponents[0] / weight ** exponents[1]``, up to a common factor.
    """

    s: Array  # (channels,)
    exponents: tuple[float, float]
    before: float
    after: float


def best_factors(products: Sequence[Product], seen: Array, settings: Settings) -> Factors | None:
    """The factors with which the products lose least; None where none are clearly better than no factors.

    `seen` (channels,) is the largest magnitude of each channel in any value, also where no product reads it.
    """
    channels = len(seen)
    reached, part = np.max([each.ranges(channels) for each in products], axis=0)  # (channels,) each
    smallest = seen / (BEYOND * max(reached.max(), TINY))
    thinned = [each.thinned() for each in products]

    def error(s: Array) -> float:
        return sum(each.error(s, settings) for each in thinned)

    before = error(np.ones(channels))
    tried = []
    for exponents in product(RANGE_EXPONENTS, WEIGHT_EXPONENTS):
        s = _powers(reached, part, smallest, *exponents)
        if (s != 1.0).any():
            tried.append(Factors(s, exponents, before, error(s)))
    best = min(tried, key=_cost, default=None)
    return best if best is not None and best.after < CLEARLY * before else None


def _cost(factors: Factors) -> float:
    """The error, and what it costs that no channel has more room than others."""
    return factors.after * (NO_ROOM if factors.exponents[0] == 1.0 else 1.0)


def _powers(reached: Array, part: Array, smallest: Array, of_range: float, of_weight: float) -> Array:
    """Factors with which the largest number stays what it is; 1 for channels that are always 0."""
    live = reached > 0
    s: Array = np.where(live, reached, 1.0) ** of_range / np.maximum(part, 1 / MAX_FACTOR) ** of_weight
    s = s * (reached / s).max() / max(reached.max(), TINY)
    return np.where(live, np.clip(s, np.clip(smallest, 1 / MAX_FACTOR, 1.0), MAX_FACTOR), 1.0)


def _doubt(x: Array) -> Array:
    """How far beyond what was seen of it each column of samples (groups, steps, columns) may go, (groups, columns).

    Parts of a calibration differ. A channel that is all but asleep in most of them will go beyond what was seen of it,
    and must not be enlarged until it saturates.
    """
    largest = np.array([np.abs(part).max(axis=1, initial=0.0) for part in np.array_split(x, BLOCKS, axis=1)])
    variation: Array = largest.max(axis=0) / np.maximum(np.median(largest, axis=0), TINY)
    return np.maximum(variation / USUAL_VARIATION, 1.0)
