"""Chooses the model's channels from what a source sends, and brings them to the scale the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError
from edgernn.kernels.native import native_function
from edgernn.kernels.objects import data_address


class Normalise:
    """``(x[columns] * scale - mean) / std`` in float64, rounded once to float32.

    Parameters
    ----------
    columns : sequence of int
        Which of the numbers in a sample the model takes, counted from 0, in the model's order.
    scale : float, or sequence of float
        Unit of the numbers as they are sent, for boards that send counts; one for all columns or one for each.
    mean, std : sequence of float
        One for each column, or empty where the model normalises by itself.

    Attributes
    ----------
    finite : bool
        Whether all numbers of the last block are finite.

    Examples
    --------
    >>> normalise = Normalise([2, 0], mean=[1.0, 0.0], std=[2.0, 1.0])
    >>> normalise(np.array([[5.0, 6.0, 7.0]])).tolist()
    [[3.0, 5.0]]
    """

    def __init__(
        self,
        columns: Sequence[int],
        *,
        scale: float | Sequence[float] = 1.0,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        for what, numbers in (("mean", mean), ("std", std)):
            if len(numbers) not in {0, len(columns)}:
                raise ConfigError(f"{what} has {len(numbers)} numbers, the model takes {len(columns)} channels")
        self.finite = True
        self._C = C = len(columns)
        self._normalise = native_function("stream.normalise", 7)
        self._columns = np.array(columns, np.int64)  # (C,)
        self._constants = np.array([np.broadcast_to(scale, C), mean or [0.0] * C, std or [1.0] * C])  # (3, C)
        self._addresses = (self._columns.ctypes.data, C, self._constants.ctypes.data)

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values (n, width), row after row in memory, to the model's input (n, C).

        Numbers too large for float32 become infinite.
        """
        X = np.empty((len(values), self._C), np.float32)
        self.finite = bool(self._normalise(data_address(values), *values.shape, *self._addresses, data_address(X)))
        return X
