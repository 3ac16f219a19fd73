"""Calling compiled functions from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

from edgernn.kernels.codegen.library import Kernel, address_of
from edgernn.kernels.objects import layout_is_known

METH_O = 0x0008  # a C function that takes one argument


class MethodDefinition(ctypes.Structure):
    """PyMethodDef of Python's C interface."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


STEP_DOC = b"""step($self, x, /)
--

One time step, compiled. See edgernn.Runner."""


@cache
def _step_definition() -> MethodDefinition:
    """Python refers to it as long as any step function lives: it is kept for good."""
    return MethodDefinition(b"step", address_of(Kernel("entry")), METH_O, STEP_DOC)


def entry() -> Callable[[Any], Callable[[Any], Any]] | None:
    """``entry()(context)`` makes the compiled step of the runner with this header array.

    The step is a built-in function that keeps the header alive. None where the layout of Python's objects is not known:
    a runner then uses its slow step.
    """
    if not layout_is_known():
        return None
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.POINTER(MethodDefinition), ctypes.py_object, ctypes.c_void_p)
    make = prototype(("PyCFunction_NewEx", ctypes.pythonapi))
    definition = ctypes.pointer(_step_definition())
    return lambda context: make(definition, context, None)


def python_functions() -> tuple[int, int]:
    """Addresses of ``Py_IncRef`` and ``PyObject_CallOneArg``."""
    increment, call = ctypes.pythonapi.Py_IncRef, ctypes.pythonapi.PyObject_CallOneArg
    return ctypes.cast(increment, ctypes.c_void_p).value or 0, ctypes.cast(call, ctypes.c_void_p).value or 0


def _function(kernel: Kernel, arguments: int, *, releases_lock: bool) -> Callable[..., int]:
    make = ctypes.CFUNCTYPE if releases_lock else ctypes.PYFUNCTYPE
    return make(ctypes.c_int64, *[ctypes.c_int64] * arguments)(address_of(kernel))


@cache
def step() -> Callable[[int], int]:
    """``step(context)``: one time step; which beats of the outputs have come, one bit each."""
    return _function(Kernel("interpreter", ("step",)), 1, releases_lock=False)


@cache
def run() -> Callable[[int, int, int], int]:
    """``run(context, places, steps)``: many time steps, without the interpreter lock."""
    return _function(Kernel("interpreter", ("run",)), 3, releases_lock=True)


@cache
def drain() -> Callable[[int, int], int]:
    """``drain(context, places)``: the tail of the stream, without the interpreter lock."""
    return _function(Kernel("interpreter", ("drain",)), 2, releases_lock=True)


@cache
def is_finite() -> Callable[[int, int, int, int], int]:
    """``is_finite(address, rows, row_bytes, size)``: 1 if `size` float32 of each row are finite."""
    return _function(Kernel("interpreter", ("is_finite",)), 4, releases_lock=False)


@cache
def is_in_range() -> Callable[[int, int, int, int], int]:
    """The same for numbers below the largest float32, at which a diverging state is kept."""
    return _function(Kernel("interpreter", ("is_in_range",)), 4, releases_lock=False)
