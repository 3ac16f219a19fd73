"""Chooses the model's channels from what a source sends, and brings them to the scale the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError


class Normalise:
    """``(x[columns] * scale - mean) / std`` in float64, rounded once to float32.

    Parameters
    ----------
    columns : sequence of int
        Which of the numbers in a sample the model takes, counted from 0, in the model's order.
    scale : float
        Unit of the numbers as they are sent, for boards that send counts.
    mean, std : sequence of float
        One for each column, or empty where the model normalises by itself.

    Examples
    --------
    >>> normalise = Normalise([2, 0], mean=[1.0, 0.0], std=[2.0, 1.0])
    >>> normalise(np.array([[5.0, 6.0, 7.0]])).tolist()
    [[3.0, 5.0]]
    """

    def __init__(
        self, columns: Sequence[int], *, scale: float = 1.0, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        for what, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in {0, len(columns)}:
                raise ConfigError(f"{what} has {len(numbers)} numbers, the model takes {len(columns)} channels")
        self._columns = None if list(columns) == list(range(len(columns))) else np.array(columns, np.intp)  # (C,)
        self._width = len(columns)
        self._scale = scale
        self._mean = np.array(mean, np.float64) if len(mean) else None  # (C,)
        self._std = np.array(std, np.float64) if len(std) else None  # (C,)

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values (n, width) to the model's input (n, C). Numbers too large for float32 become infinite."""
        x = values[:, : self._width] if self._columns is None else values[:, self._columns]
        if self._scale != 1.0:
            x = x * self._scale
        if self._mean is not None:
            x = x - self._mean
        if self._std is not None:
            x = x / self._std
        with np.errstate(over="ignore", invalid="ignore"):
            return x.astype(np.float32)
