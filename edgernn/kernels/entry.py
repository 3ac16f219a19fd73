"""The entry from Python: a step called with a Python object, without any wrapper in between.

`enter` is a C function as Python's own built-in functions are, ``PyObject *enter(PyObject *self, PyObject *x)``, where
`self` is the runner's Header array. It reads the sample out of the object, runs the step and returns the preallocated
result. A sample of any other type goes to the runner's slow step, whose result or exception is passed on.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import (
    bits_of,
    inline,
    load_double,
    load_float,
    load_int,
    load_long,
    slot,
    store_float,
)
from edgernn.kernels.interpreter import ENTRY, step
from edgernn.kernels.objects import (
    ARRAY_AXES,
    ARRAY_DATA,
    ARRAY_DTYPE,
    ARRAY_SHAPE,
    ARRAY_STRIDES,
    FLOAT_VALUE,
    LIST_ITEMS,
    SIZE,
    TUPLE_ITEMS,
    TYPE,
)

FINISHED, SAMPLE, SAMPLE_SIZE = ENTRY["finished"], ENTRY["sample"], ENTRY["sample_size"]
ARRAY_TYPE, FLOAT32, FLOAT64 = ENTRY["array_type"], ENTRY["float32_dtype"], ENTRY["float64_dtype"]
LIST_TYPE, TUPLE_TYPE, FLOAT_TYPE = ENTRY["list_type"], ENTRY["tuple_type"], ENTRY["float_type"]
RESULTS, SLOW_STEP = ENTRY["results"], ENTRY["slow_step"]
INCREMENT_REFERENCE, CALL_WITH_ONE = ENTRY["increment_reference"], ENTRY["call_with_one"]

EXPONENT_BITS = 0x7F800000  # all set in infinity and NaN


def _c_function(arity):
    """An intrinsic that calls the C function at an address with `arity` pointers and gives a pointer."""

    def typed(*given):
        def lower(context, builder, signature, arguments):
            long = ir.IntType(64)
            function = builder.inttoptr(arguments[0], ir.FunctionType(long, [long] * arity).as_pointer())
            return builder.call(function, arguments[1:])

        return types.int64(*[types.int64] * (arity + 1)), lower

    forms = {1: lambda typing, function, a: typed(), 2: lambda typing, function, a, b: typed()}
    return intrinsic(forms[arity])


call_1, call_2 = _c_function(1), _c_function(2)


@inline
def read_array(array, target, size, float32, float64):
    """Copy a vector of float32 or float64 with any stride; 0 unless it is one, of `size` finite numbers."""
    if load_int(array + ARRAY_AXES) != 1 or load_long(load_long(array + ARRAY_SHAPE)) != size:
        return 0
    dtype, data = load_long(array + ARRAY_DTYPE), load_long(array + ARRAY_DATA)
    stride = load_long(load_long(array + ARRAY_STRIDES))
    infinite = 0
    if dtype == float32:
        for k in range(size):
            number = load_float(data + k * stride)
            infinite |= (bits_of(number) & EXPONENT_BITS) == EXPONENT_BITS
            store_float(target + 4 * k, number)
    elif dtype == float64:
        for k in range(size):
            number = load_double(data + k * stride)
            infinite |= (bits_of(number) & EXPONENT_BITS) == EXPONENT_BITS
            store_float(target + 4 * k, number)
    else:
        return 0
    return 0 if infinite else 1


@inline
def read_items(items, target, size, float_type):
    """Copy Python floats; 0 unless all are floats and finite."""
    for k in range(size):
        item = load_long(items + 8 * k)
        if load_long(item + TYPE) != float_type:
            return 0
        number = load_double(item + FLOAT_VALUE)
        if (bits_of(number) & EXPONENT_BITS) == EXPONENT_BITS:
            return 0
        store_float(target + 4 * k, number)
    return 1


@inline
def read_sample(context, x):
    """Copy the numbers of the object x into the arena; 0 if it is none of the types that are read here."""
    kind, target, size = load_long(x + TYPE), slot(context, SAMPLE), slot(context, SAMPLE_SIZE)
    if kind == slot(context, ARRAY_TYPE):
        return read_array(x, target, size, slot(context, FLOAT32), slot(context, FLOAT64))
    if kind == slot(context, LIST_TYPE) and load_long(x + SIZE) == size:
        return read_items(load_long(x + LIST_ITEMS), target, size, slot(context, FLOAT_TYPE))
    if kind == slot(context, TUPLE_TYPE) and load_long(x + SIZE) == size:
        return read_items(x + TUPLE_ITEMS, target, size, slot(context, FLOAT_TYPE))
    return 0


def enter(self, x):
    """One step from Python; 0 (a NULL pointer) where the slow step has raised."""
    context = load_long(self + ARRAY_DATA)
    if slot(context, FINISHED) != 0 or read_sample(context, x) == 0:
        return call_2(slot(context, CALL_WITH_ONE), slot(context, SLOW_STEP), x)
    result = slot(slot(context, RESULTS), step(context))
    call_1(slot(context, INCREMENT_REFERENCE), result)
    return result


def build():
    """The one function of this module."""
    return enter
