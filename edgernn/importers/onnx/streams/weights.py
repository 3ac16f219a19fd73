"""Weights of a program that is being made; equal ones are stored once."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.importers.onnx.streams.names import Names


class WeightStore:
    """Arrays by name.

    Attributes
    ----------
    arrays : dict of str to ndarray

    Examples
    --------
    >>> store = WeightStore()
    >>> store.add("W", [1.0, 2.0]), store.add("bias", [1.0, 2.0])
    ('W', 'W')
    """

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._names = Names()
        self._stored: dict[bytes, str] = {}

    def add(self, name: str, array: ArrayLike, dtype: str = "float32") -> str:
        """Store a weight, unless an equal one is stored, and return the name that it has."""
        stored = np.ascontiguousarray(np.asarray(array), dtype)
        key = hashlib.sha256(f"{stored.dtype}{stored.shape}".encode() + stored.tobytes()).digest()
        if key not in self._stored:
            self._stored[key] = self._names.unique(name)
            self.arrays[self._stored[key]] = stored
        return self._stored[key]
