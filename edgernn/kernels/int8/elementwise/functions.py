"""The functions of one value, ARITHMETIC.md section 5, on registers. int8_packing.py lays out their tables.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from typing import Any

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    clamp,
    larger,
    leading_zeros,
    look_up,
    smaller,
    where_negative,
)
from edgernn.kernels.int8.elementwise.words import blend_words, look_up_256, sigmoid_words, tanh_words, times_words
from edgernn.kernels.int8.instructions import FUNCTION_CONSTANTS


@inline
def _between(table, x):
    """The shared table `table` at x, from 0 to 32767."""
    entry = look_up(table, x >> 7)
    return (entry & 65535) + (((entry >> 16) * (x & 127) + 64) >> 7)


@inline
def _magnitude(x, largest):
    return smaller(larger(x, 0 - x), largest)


@inline
def _sigmoid(x, low, high, table):
    y = _between(table, _magnitude(x, 32767))
    return where_negative(x, 32768 - y, y)


@inline
def _tanh(x, low, high, table):
    y = _between(table, _magnitude(x, 32767))
    return where_negative(x, 0 - y, y)


@inline
def _clip(x, low, high, table):
    return clamp(x, low, high)


@inline
def _table(x, low, high, table):
    u = x + 32768
    entry, following = look_up(table, u >> 7), look_up(table + 4, u >> 7)
    return entry + (((following - entry) * (u & 127) + 64) >> 7)


@inline
def _octaves(x, low, high, table):
    a = clamp(x, 0, 32767)
    zeros = leading_zeros(a)  # 17 to 31, or 32
    aligned = a << (zeros - 17)  # 2^14 to 2^15 - 1
    i = larger(((31 - zeros) << 5) + (aligned >> 9) - 31, 0)
    entry, following = look_up(table, i), look_up(table + 4, i)
    return entry + (((following - entry) * (aligned & 511) + 256) >> 9)


@inline
def _odd_octaves(x, low, high, table):
    y = _octaves(larger(x, 0 - x), low, high, table)
    return where_negative(x, 0 - y, y)


@inline
def _sigmoid_words(x, low, high, table):
    return sigmoid_words(x, table)


@inline
def _tanh_words(x, low, high, table):
    return tanh_words(x, table)


FUNCTIONS = {
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "Clip": _clip,
    "Table": _table,
    "Octaves": _octaves,
    "OddOctaves": _odd_octaves,
}
IN_WORDS = {"Sigmoid": _sigmoid_words, "Tanh": _tanh_words}  # where the shared tables are laid out so


@inline
def _times(a, b):
    """A product with a gate, Q0.15: ``(a * b + 2^14) >> 15``."""
    return (a * b + (1 << 14)) >> 15


@inline
def _blend(h, n, z):
    """n where z is 0, h where it is 1, Q0.15."""
    return n + (((h - n) * z + (1 << 14)) >> 15)


# of 16-bit numbers, by the form of tables beside which they stand
TIMES: dict[str, Any] = {"plain": _times, "words": times_words}
BLEND: dict[str, Any] = {"plain": _blend, "words": blend_words}


def make_fine_sigmoid(tables):
    """A function ``fine_sigmoid(x, table)``: 17-bit Q4.12 to Q0.30."""
    pick = look_up_256 if tables == "words" else look_up

    @inline
    def fine_sigmoid(x, table):
        a = _magnitude(x, 65535)
        entry, following = pick(table, a >> 8), pick(table + 4, a >> 8)
        y = entry + (((following - entry) * (((a & 255) + 1) >> 1) + 64) >> 7)
        return where_negative(x, y, (1 << 30) - y)

    return fine_sigmoid


@inline
def multiply_fine(x, fine):
    """``floor(x * fine / 2^15)`` in 32 bits."""
    return x * (fine >> 15) + ((x * (fine & 32767)) >> 15)


def make_function(name, first, tables):
    """The function `name`: of a register, the address of the constants and the base of the weights.

    `first` is the place of its constants: low, high and where its table lies among the weights. `tables` says how the
    shared ones are laid out (int8_forms.py).
    """
    function = IN_WORDS[name] if tables == "words" and name in IN_WORDS else FUNCTIONS[name]
    low, high, table = range(first, first + FUNCTION_CONSTANTS)

    @inline
    def of(x, constants, weights):
        return function(x, slot(constants, low), slot(constants, high), weights + slot(constants, table))

    return of
