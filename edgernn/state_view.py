"""StateView: a named state of a runner, read and written in the model's own units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.errors import InputError, NonFiniteInputError


class StateView:
    """A named state of a runner, in the model's own units. It stays valid as the runner steps.

    In windowed mode the first axis counts the copies of the state that run side by side.

    Parameters
    ----------
    name : str
    content : ndarray
        The runner's memory.
    scale : float or None
        What an integer state is multiplied with to give the model's units.

    Examples
    --------
    >>> view = StateView("h", np.zeros(3, np.float32))
    >>> view[1:] = [2, 1e60]
    >>> np.asarray(view)
    array([0.0000000e+00, 2.0000000e+00, 3.4028235e+38], dtype=float32)
    """

    def __init__(self, name: str, content: NDArray[Any], scale: float | None = None) -> None:
        self.name = name
        self._content = content
        self._scale = scale

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the state."""
        return self._content.shape

    @property
    def size(self) -> int:
        """Numbers in the state."""
        return self._content.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"state {self.name} can only be read as a copy")
        return np.array(self[...], dtype)

    def __getitem__(self, index: Any) -> Any:
        """A copy of a part."""
        part = self._content[index]
        return part.copy() if self._scale is None else np.float32(part * self._scale)

    def __setitem__(self, index: Any, numbers: ArrayLike) -> None:
        """Write a part. Numbers are converted; those out of range become the nearest that the state can hold.

        A whole state (``[...]``) also takes the model's shape with a batch of one.

        Raises
        ------
        InputError
            Something other than numbers is written, or NaN, or as many numbers as do not fit.
        """
        given = np.asarray(numbers)
        if given.dtype.kind not in "biuf":
            raise InputError(f"state {self.name} takes numbers, not {given.dtype}")
        if np.isnan(given).any():
            raise NonFiniteInputError(f"state {self.name} cannot hold NaN")
        if self._scale is not None:
            with np.errstate(over="ignore"):  # infinity is out of range like other numbers
                given = np.floor(given / self._scale + 0.5)
        dtype = self._content.dtype
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        most = limits.max
        if given.dtype.kind == "f" and dtype == np.int64:
            most = np.nextafter(2.0**63, 0.0)  # as float64 the largest int64 would be one too large
        part = self._content[index]
        if given.size == part.size:
            given = given.reshape(part.shape)
        try:
            self._content[index] = np.clip(given, limits.min, most)
        except ValueError as error:
            raise InputError(f"state {self.name}[{index}] has shape {part.shape}, not {given.shape}") from error

    def __repr__(self) -> str:
        return f"<state {self.name}: {self[...]!r}>"
