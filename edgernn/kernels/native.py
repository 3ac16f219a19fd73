"""Kernels that are called from Python with addresses and sizes, once for each read of a stream."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from edgernn.kernels.codegen.library import Kernel, address_of


def native_function(module: str, arguments: int) -> Callable[..., int]:
    """The compiled function of a module of this package, which takes `arguments` int64 and gives one.

    Calling it releases the interpreter lock.
    """
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * arguments)(address_of(Kernel(module)))
