"""How integer weights are laid out in flash; runtime/product.h says why."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations.int8.base import accumulator_bound

Array: TypeAlias = NDArray[Any]

LIMITED = 2  # of `small_shifts`
NOT_ON_AVR = """#if defined(__AVR__)
#error "a row of this layer may exceed its output so far that its sum is limited, which AVR's assembly does not do"
#endif"""
BLOCK = 4  # columns of a block
ORDER = (0, 2, 1, 3)  # of the columns in a block


def scale_words(multiplier: Array, shift: Array) -> NDArray[np.int32]:
    """One word for each scale: the multiplier in the high half, the shift less 17 in the low byte.

    Examples
    --------
    >>> [hex(word) for word in scale_words(np.array([16384]), np.array([20]))]
    ['0x40000003']
    """
    words = multiplier.astype(np.int64) * 65536 + ((shift.astype(np.int64) - 17) & 0xFF)
    return words.astype(np.int32)


def small_shifts(W: Array, shift: Array, bits: int) -> int:
    """1 where some row of W (rows, columns) shifts by less than 17 bits, 2 where a sum may then have to be limited."""
    before = np.maximum(0, 17 - shift.astype(np.int64)).ravel()
    limited = (accumulator_bound(W, bits) << before) >= 1 << 31
    return 2 if limited.any() else int(before.any())


def blocks(columns: int) -> int:
    """Blocks of four columns."""
    return -(-columns // BLOCK)


def panels(W: Array, sizes: list[int]) -> NDArray[np.int8]:
    """Rows in panels: for each block of four columns, the four bytes of each row of the panel.

    Parameters
    ----------
    W : ndarray of int8 (rows, columns)
    sizes : list of int
        Rows of each panel; their sum is the number of rows.

    Examples
    --------
    >>> panels(np.arange(10, dtype=np.int8).reshape(2, 5), [2]).reshape(2, 2, 4).tolist()
    [[[0, 2, 1, 3], [5, 7, 6, 8]], [[4, 0, 0, 0], [9, 0, 0, 0]]]
    """
    rows, columns = W.shape
    padded = np.zeros((rows, blocks(columns), BLOCK), np.int8)
    padded.reshape(rows, -1)[:, :columns] = W
    ordered = padded[:, :, ORDER]
    begins = np.cumsum([0, *sizes])
    return np.concatenate(
        [ordered[begin : begin + size].transpose(1, 0, 2).ravel() for begin, size in zip(begins, sizes, strict=False)]
    )


def fours(rows: int) -> list[int]:
    """Panels of four rows, then single ones.

    Examples
    --------
    >>> fours(6)
    [4, 1, 1]
    """
    return [4] * (rows // 4) + [1] * (rows % 4)


def by_unit(array: Array, gates: int) -> Array:
    """Rows of gates one after the other (gates * units, ...) to gates of units (units * gates, ...)."""
    return np.ascontiguousarray(array.reshape(gates, -1, *array.shape[1:]).swapaxes(0, 1)).reshape(array.shape)
