"""Where CPython and NumPy keep what the entry from Python reads: byte offsets inside objects, checked before use."""

from __future__ import annotations

import ctypes
import struct
import sys
import sysconfig
from functools import cache
from typing import Any

import numpy as np

# of every object
TYPE = 8
# of numpy.ndarray: number of axes is a C int, the others are pointers
ARRAY_DATA, ARRAY_AXES, ARRAY_SHAPE, ARRAY_STRIDES, ARRAY_DTYPE = 16, 24, 32, 40, 56
# of list, tuple and float
SIZE, LIST_ITEMS, TUPLE_ITEMS, FLOAT_VALUE = 16, 24, 24, 16


def _pointer(address: int) -> int:
    return ctypes.c_ssize_t.from_address(address).value


@cache
def layout_is_known() -> bool:
    """Whether this Python and NumPy lay out their objects as the offsets above say.

    They do on CPython with the interpreter lock, on 64 bits. Elsewhere nothing is read at the offsets.
    """
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8 or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    array = np.zeros((3, 5), np.float32)[:, ::2]
    sequence, number = [1.5, 2.5], 3.25
    pair = (sequence, number)
    return (
        all(_pointer(id(thing) + TYPE) == id(type(thing)) for thing in (array, sequence, pair, number))
        and _pointer(id(array) + ARRAY_DATA) == array.ctypes.data
        and ctypes.c_int.from_address(id(array) + ARRAY_AXES).value == 2
        and [_pointer(_pointer(id(array) + ARRAY_SHAPE) + 8 * axis) for axis in (0, 1)] == [3, 3]
        and [_pointer(_pointer(id(array) + ARRAY_STRIDES) + 8 * axis) for axis in (0, 1)] == [20, 8]
        and _pointer(id(array) + ARRAY_DTYPE) == id(np.dtype(np.float32))
        and _pointer(id(sequence) + SIZE) == 2
        and _pointer(_pointer(id(sequence) + LIST_ITEMS) + 8) == id(sequence[1])
        and _pointer(id(pair) + SIZE) == 2
        and [_pointer(id(pair) + TUPLE_ITEMS + 8 * index) for index in (0, 1)] == [id(sequence), id(number)]
        and ctypes.c_double.from_address(id(number) + FLOAT_VALUE).value == number
    )


def data_address(array: np.ndarray[Any, Any]) -> int:
    """Address of an array's first element: ``array.ctypes.data``, in a fifth of the time."""
    return _pointer(id(array) + ARRAY_DATA) if layout_is_known() else array.ctypes.data
