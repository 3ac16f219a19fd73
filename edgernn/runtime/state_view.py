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
    scale : float, ndarray or None
        What the content is multiplied with to give the model's units; an array has the shape of the content, or of a
        copy.

    Examples
    --------
    >>> view = StateView("h", np.zeros(3, np.float32))
    >>> view[1:] = [2, 1e60]
    >>> np.asarray(view)
    array([0.0000000e+00, 2.0000000e+00, 3.4028235e+38], dtype=float32)
    """

    def __init__(self, name: str, content: NDArray[Any], scale: float | NDArray[Any] | None = None) -> None:
        self.name = name
        self._content = content
        self._scale = None if scale is None else np.broadcast_to(scale, content.shape)

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
        return part.copy() if self._scale is None else np.float32(part * self._scale[index])

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
        part = self._content[index]
        if given.size == part.size:
            given = given.reshape(part.shape)
        try:
            self._content[index] = self._converted(given, index)
        except ValueError as error:
            raise InputError(f"state {self.name}[{index}] has shape {part.shape}, not {given.shape}") from error

    def _converted(self, given: NDArray[Any], index: Any) -> NDArray[Any]:
        """Numbers in the unit and the range of the content; infinity is out of range like other numbers."""
        dtype = self._content.dtype
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        if self._scale is not None:
            with np.errstate(over="ignore"):
                given = given / self._scale[index]
                given = np.floor(given + 0.5) if dtype.kind == "i" else given
        most = limits.max
        if given.dtype.kind == "f" and dtype == np.int64:
            most = np.nextafter(2.0**63, 0.0)  # as float64 the largest int64 would be one too large
        clipped: NDArray[Any] = np.clip(given, limits.min, most)
        return clipped

    def __repr__(self) -> str:
        return f"<state {self.name}: {self[...]!r}>"
