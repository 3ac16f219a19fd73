"""Integer operations on each element by itself, and the ways in and out: ARITHMETIC.md, formula by formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.program.operations import (
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Unary,
    IntegerFunction,
    Quantize,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.int8.base import (
    INT16_MAX,
    INT16_MIN,
    Array,
    bit_length,
    interpolate,
    reciprocal,
    rescale,
    saturate16,
)

FloatArray = NDArray[np.floating[Any]]

SIGMOID = np.array(int8_tables.SIGMOID, np.int64)  # (257,)

TANH = np.array(int8_tables.TANH, np.int64)  # (257,)

FINE_SIGMOID = np.array(int8_tables.FINE_SIGMOID, np.int64)  # (257,)

MIN_QUOTIENT_SHIFT = 13  # below, every quotient but 0 saturates

MAX_SHIFT = 46


class Function(NamedTuple):
    """``Sigmoid``, ``Tanh``, ``Clip`` between low and high, a ``Table`` of 513 entries, or by ``Octaves`` of 482."""

    name: str
    low: int = INT16_MIN
    high: int = INT16_MAX
    table: Array | None = None


def sigmoid(x: Array) -> Array:
    """Q3.12 int16 -> Q0.15, 0 to 32767."""
    y = interpolate(SIGMOID, np.minimum(np.abs(x), INT16_MAX), 7)
    return np.minimum(np.where(x < 0, 32768 - y, y), INT16_MAX)


def tanh(x: Array) -> Array:
    """Q3.12 int16 -> Q0.15, -32767 to 32767."""
    y = interpolate(TANH, np.minimum(np.abs(x), INT16_MAX), 7)
    return np.where(x < 0, -y, y)


def fine_sigmoid(x: Array) -> Array:
    """Q3.12 int32, limited to 17 bits -> Q0.30, above 0 and below 1: small values keep their digits."""
    magnitude = np.minimum(np.abs(x), 65535)
    i, fraction = magnitude >> 8, ((magnitude & 255) + 1) >> 1  # a fraction of 8 bits would overflow int32
    y = FINE_SIGMOID[i] + (((FINE_SIGMOID[i + 1] - FINE_SIGMOID[i]) * fraction + 64) >> 7)
    return np.where(x < 0, y, (1 << 30) - y)


def table(x: Array, entries: Array) -> Array:
    """Any function of an int16, given by its values at -32768, -32640, ..., 32768 (513,) and straight lines between."""
    return interpolate(entries, x + 32768, 7)


def activate(x: Array, function: Function) -> Array:
    """One activation of int16 values."""
    match function.name:
        case "Sigmoid":
            return sigmoid(x)
        case "Tanh":
            return tanh(x)
        case "Clip":
            return np.minimum(np.maximum(x, function.low), function.high)
        case "Octaves" | "OddOctaves":
            assert function.table is not None
            return octaves(x, function.table, function.name == "OddOctaves")
        case _:
            assert function.table is not None
            return table(x, function.table)


def octaves(x: Array, entries: Array, odd: bool) -> Array:
    """A function of x > 0 by its values at 0, at ``(32 + j) * 2^(k - 5)``, j < 32 and k < 15, and at 2^15 (482,).

    Of x < 0 it gives its value at 0 or, if it is `odd`, minus its value at -x.
    """
    a = np.minimum(np.abs(x) if odd else np.maximum(x, 0), INT16_MAX)
    k = bit_length(a) - 1
    aligned = np.where(a > 0, a << np.where(a > 0, 14 - k, 0), 1 << 14)  # 2^14 to 2^15 - 1
    y = interpolate(entries[1:], np.where(a > 0, (k << 14) + aligned - (1 << 14), 0), 9)
    y = np.where(a > 0, y, entries[0])
    return np.where(x < 0, -y, y) if odd else y


def quantize(x: FloatArray, mean: FloatArray, inverse: FloatArray) -> Array:
    """``floor((x - mean) * inverse + 0.5)`` saturated to int16, every operation rounded to float32."""
    x, mean, inverse = (np.asarray(array, np.float32) for array in (x, mean, inverse))
    with np.errstate(over="ignore"):  # what becomes infinite is clamped, too
        scaled = (x - mean) * inverse + np.float32(0.5)  # (..., channels) float32
    return np.floor(np.clip(scaled, np.float32(INT16_MIN), np.float32(INT16_MAX))).astype(np.int64)


def quantize_counts(counts: Array, settings: Array) -> Array:
    """Sensor counts to int16; `settings` (5, channels) holds origin, narrowing, multiplier, offset and shift."""
    origin, narrowing, multiplier, offset, shift = settings
    limited = np.minimum(np.maximum(counts, -(1 << 30)), (1 << 30) - 1)
    centred = saturate16((limited - origin) >> narrowing)
    return saturate16((centred * multiplier + offset) >> shift)


def dequantize(q: Array, scale: float) -> FloatArray:
    """``q * scale`` in float32."""
    return q.astype(np.float32) * np.float32(scale)


def affine(a: Array, multiplier: Array, shift: Array, B: Array) -> Array:
    """``a * multiplier / 2^shift + B`` element by element, with broadcasting; the multiplier may be negative."""
    return saturate16(rescale(a, multiplier, shift) + B)


def binary(function: str, a: Array, b: Array, multipliers: Sequence[int], shifts: Sequence[int]) -> Array:
    """Two values, each rescaled to the output's format; the product of two is rescaled once."""
    m, s = np.array(multipliers, np.int64), np.array(shifts, np.int64)
    if function == "Mul":
        return saturate16(rescale(a * b, m[0], s[0]))
    if function == "Div":
        return divide(a, b, m[0], s[0])
    a, b = rescale(a, m[0], s[0]), rescale(b, m[1], s[1])
    match function:
        case "Add":
            return saturate16(a + b)
        case "Sub":
            return saturate16(a - b)
        case "Min":
            return saturate16(np.minimum(a, b))
        case _:
            return saturate16(np.maximum(a, b))


def divide(a: Array, b: Array, multiplier: Array, shift: Array) -> Array:
    """``a / b``; 0 divides as 1 does. The shift counts 30 more bits, which the reciprocal has."""
    divisor = np.maximum(np.abs(b), 1)
    bits = bit_length(divisor) - 1
    v = reciprocal(divisor << (15 - bits))
    right = np.minimum(np.maximum(shift - 15 + bits, MIN_QUOTIENT_SHIFT), MAX_SHIFT)
    return saturate16(rescale(np.where(b < 0, -a, a) * v, multiplier, right))


def function_of(function: IntegerFunction, weights: Mapping[str, Array]) -> Function:
    """An activation with its table."""
    table = None if function.table is None else weights[function.table]
    return Function(function.function, function.low, function.high, table)


def _quantize(a: Any, mean: FloatArray, inverse: FloatArray, counts: Array | None, raw: bool) -> Array:
    return quantize_counts(a, counts) if raw and counts is not None else quantize(a, mean, inverse)


def _dequantize(a: Array, scale: float, raw: bool) -> NDArray[Any]:
    return a if raw else dequantize(a, scale)


def _unary(a: Array, function: IntegerFunction, weights: Mapping[str, Array]) -> Array:
    return activate(a, function_of(function, weights))


OPERATIONS: dict[type, Reference] = {
    Quantize: _quantize,
    Dequantize: _dequantize,
    Int8Unary: _unary,
    Int8Affine: affine,
    Int8Binary: binary,
}
