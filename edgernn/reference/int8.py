"""The integer arithmetic in plain NumPy: firmware_export/ARITHMETIC.md, formula by formula. Every back end equals it.

Everything is computed in int64, so that nothing here can overflow; the ranges that the document proves are what lets
the other back ends use int32. Values are int64 arrays that hold int16 numbers, (..., n): any leading axes are
independent streams or rows. ``>>`` rounds down, also for negative numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.int8.elementwise import tables as int8_tables

Array = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

SIGMOID = np.array(int8_tables.SIGMOID, np.int64)  # (257,)
TANH = np.array(int8_tables.TANH, np.int64)  # (257,)
FINE_SIGMOID = np.array(int8_tables.FINE_SIGMOID, np.int64)  # (257,)
EXP2 = np.array(int8_tables.EXP2, np.int64)  # (65,)
LOG2 = np.array(int8_tables.LOG2, np.int64)  # (65,)

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
MIN_QUOTIENT_SHIFT = 13  # below, every quotient but 0 saturates
MAX_SHIFT = 46


class Rows(NamedTuple):
    """Rows of a matrix product: int8 weights (rows, columns), multiplier m and shift s of each row (rows,)."""

    weights: Array
    multiplier: Array
    shift: Array

    def part(self, rows: slice) -> Rows:
        """Some of the rows."""
        return Rows(self.weights[rows], self.multiplier[rows], self.shift[rows])


class Function(NamedTuple):
    """``Sigmoid``, ``Tanh``, ``Clip`` between low and high, a ``Table`` of 513 entries, or by ``Octaves`` of 482."""

    name: str
    low: int = INT16_MIN
    high: int = INT16_MAX
    table: Array | None = None


# saturation, rounding, rescaling


def saturate16(x: Array) -> Array:
    """The nearest int16."""
    return np.minimum(np.maximum(x, INT16_MIN), INT16_MAX)


def saturate32(x: Array) -> Array:
    """The nearest int32."""
    return np.minimum(np.maximum(x, INT32_MIN), INT32_MAX)


def rescale(accumulator: Array, multiplier: Array | np.int64, shift: Array | np.int64) -> Array:
    """``accumulator * multiplier / 2^shift``, rounded to nearest, halves up."""
    one = np.int64(1)
    return (accumulator * multiplier + (one << (shift - one))) >> shift


def operand(x: Array, bits: int) -> Array:
    """What a matrix product reads of an int16 value: all of it, or its rounding to int8."""
    return x if bits == 16 else np.minimum((x + 128) >> 8, 127)


def product(rows: Rows, x: Array, bits: int) -> Array:
    """Accumulate and rescale each row; x (..., columns) -> (..., rows), an int32 in the rows' output format."""
    return rescale_sum(operand(x, bits) @ rows.weights.T, rows.multiplier, rows.shift)


def rescale_sum(total: Array, multiplier: Array, shift: Array) -> Array:
    """`rescale` of a sum of weights, limited to what is an int32 times ``2^(17 - shift)``."""
    before = np.maximum(0, 17 - shift)
    return rescale(np.clip(total, INT32_MIN >> before, INT32_MAX >> before), multiplier, shift)


# functions of one value


def sigmoid(x: Array) -> Array:
    """Q3.12 int16 -> Q0.15, 0 to 32767."""
    y = _interpolate(SIGMOID, np.minimum(np.abs(x), INT16_MAX), 7)
    return np.minimum(np.where(x < 0, 32768 - y, y), INT16_MAX)


def tanh(x: Array) -> Array:
    """Q3.12 int16 -> Q0.15, -32767 to 32767."""
    y = _interpolate(TANH, np.minimum(np.abs(x), INT16_MAX), 7)
    return np.where(x < 0, -y, y)


def fine_sigmoid(x: Array) -> Array:
    """Q3.12 int32, limited to 17 bits -> Q0.30, above 0 and below 1: small values keep their digits."""
    magnitude = np.minimum(np.abs(x), 65535)
    i, fraction = magnitude >> 8, ((magnitude & 255) + 1) >> 1  # a fraction of 8 bits would overflow int32
    y = FINE_SIGMOID[i] + (((FINE_SIGMOID[i + 1] - FINE_SIGMOID[i]) * fraction + 64) >> 7)
    return np.where(x < 0, y, (1 << 30) - y)


def table(x: Array, entries: Array) -> Array:
    """Any function of an int16, given by its values at -32768, -32640, ..., 32768 (513,) and straight lines between."""
    return _interpolate(entries, x + 32768, 7)


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
    y = _interpolate(entries[1:], np.where(a > 0, (k << 14) + aligned - (1 << 14), 0), 9)
    y = np.where(a > 0, y, entries[0])
    return np.where(x < 0, -y, y) if odd else y


def bit_length(x: Array) -> Array:
    """How many bits a number from 0 to 2^53 has."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def reciprocal(d: Array) -> Array:
    """``2^30 / d`` for d from 2^15 to 2^16 - 1: 2^14 to 2^15 - 1."""
    return np.minimum(((1 << 30) + (d >> 1)) // d, INT16_MAX)


def _interpolate(entries: Array, x: Array, bits: int) -> Array:
    i, fraction = x >> bits, x & ((1 << bits) - 1)
    return entries[i] + (((entries[i + 1] - entries[i]) * fraction + (1 << (bits - 1))) >> bits)


def power_of_two(fraction: Array) -> Array:
    """``2^-fraction``, of 2^-12 octaves from 0 to 4095, in Q1.15: 32768 down to 16387."""
    i, f = fraction >> 6, fraction & 63
    return EXP2[i] - (((EXP2[i] - EXP2[i + 1]) * f + 32) >> 6)


# inputs and outputs


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


# layers


def dense(x: Array, rows: Rows, B: Array, bits: int) -> Array:
    """x (..., K) -> (..., N); B (N,) int32 in the output's format."""
    return saturate16(product(rows, x, bits) + B)


def affine(x: Array, multiplier: Array, shift: Array, B: Array) -> Array:
    """``x * multiplier / 2^shift + B`` element by element, with broadcasting; the multiplier may be negative."""
    return saturate16(rescale(x, multiplier, shift) + B)


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


def softmax(x: Array, multiplier: int, shift: int) -> Array:
    """Over the last axis; the multiplier turns x into 2^-12 octaves. Q0.15, 0 to 32767."""
    e = exponential(below_largest(x, multiplier, shift))
    total = e.sum(axis=-1, keepdims=True)
    return np.minimum((e * 32768 + (total >> 1)) // total, INT16_MAX)


def log_softmax(x: Array, multiplier: int, shift: int, output_multiplier: int, output_shift: int) -> Array:
    """Logarithm of the softmax over the last axis, in the format of the output's multiplier."""
    octaves = below_largest(x, multiplier, shift)
    total = exponential(octaves).sum(axis=-1, keepdims=True)  # 2^15 to 2^30
    bits = bit_length(total) - 1
    aligned = total >> (bits - 15)  # 2^15 to 2^16 - 1
    logarithm = ((bits - 15) << 12) + ((_interpolate(LOG2, aligned - (1 << 15), 9) + 4) >> 3)
    distance = np.minimum(octaves + logarithm, (1 << 24) - 1)
    return saturate16(-rescale(distance, np.int64(output_multiplier), np.int64(output_shift)))


def below_largest(x: Array, multiplier: int, shift: int) -> Array:
    """How far numbers lie below the largest of the last axis, in 2^-12 octaves."""
    return rescale(x.max(axis=-1, keepdims=True) - x, np.int64(multiplier), np.int64(shift))


def exponential(octaves: Array) -> Array:
    """``2^-octaves``, Q4.12 to Q0.15; 0 from 17 octaves on."""
    octaves = np.minimum(octaves, 69631)
    whole = octaves >> 12
    return (2 * power_of_two(octaves & 4095) + (np.int64(1) << whole)) >> (whole + 1)


# recurrent cells. W and R hold their gates in ONNX order; states are int16, or int32 with 16 more fraction bits


def multiply_fine(x: Array, fine: Array) -> Array:
    """``floor(x * fine / 2^15)`` for an x of 17 bits with sign and a Q0.30 `fine`: 15 more fraction bits than x."""
    return (x * fine) >> 15


def rnn(x: Array, h: Array, W: Rows, R: Rows, B: Array, function: Function, clip: int, bits: int) -> Array:
    """Elman cell; B (H,). Returns the new h, int16."""
    p = product(W, x, bits) + product(R, h, bits) + B
    return activate(_limit(p, clip), function)


def gru(
    x: Array,
    h: Array,
    W: Rows,
    R: Rows,
    B: Array,
    functions: Sequence[Function],
    linear_before_reset: bool,
    clip: int,
    bits: int,
    int32_state: bool,
) -> Array:
    """Gates z r h; B (4 H,) is z, r, h of W, h of R, or (3 H,) where the reset comes first. Returns the new h.

    With `int32_state`, h is int32 and the update gate is computed as its complement with 30 fraction bits.
    """
    H = R.weights.shape[1]
    high = h >> 16 if int32_state else h  # (H,) int16
    a = product(W, x, bits)  # (3 H,)
    u = product(R if linear_before_reset else R.part(slice(2 * H)), high, bits)  # (3 H,) or (2 H,)
    p = a[..., : 2 * H] + u[..., : 2 * H] + B[: 2 * H]  # (2 H,)
    r = activate(_limit(p[..., H:], clip), functions[0])
    if linear_before_reset:
        v = saturate16(u[..., 2 * H :] + B[3 * H :])
        p_n = a[..., 2 * H :] + B[2 * H : 3 * H] + ((r * v + (1 << 14)) >> 15)
    else:
        reset = (r * high + (1 << 14)) >> 15
        p_n = a[..., 2 * H :] + product(R.part(slice(2 * H, None)), reset, bits) + B[2 * H :]
    n = activate(_limit(p_n, clip), functions[1])
    if int32_state:
        step = multiply_fine(n - high, fine_sigmoid(-_limit(p[..., :H], clip, 65535)))
        return h + step + step
    z = activate(_limit(p[..., :H], clip), functions[0])
    return n + (((h - n) * z + (1 << 14)) >> 15)


def lstm(
    x: Array,
    h: Array,
    c: Array,
    W: Rows,
    R: Rows,
    B: Array,
    P: tuple[Array, Array] | None,
    functions: Sequence[Function],
    input_forget: bool,
    clip: int,
    bits: int,
    candidate_shift: int,
    cell_shift: int,
    int32_state: bool,
) -> tuple[Array, Array]:
    """Gates i o f c; B (4 H,); P is multiplier and shift of the peepholes i o f, (3 H,) each. Returns new h, new c.

    `candidate_shift` is how many more fraction bits the candidate has than c, `cell_shift` how many more c has than the
    input of the output function. With `int32_state`, c is int32 and the gates i and f have 30 fraction bits.
    """
    H = R.weights.shape[1]
    p = product(W, x, bits) + product(R, h, bits) + B  # (4 H,)
    p_i, p_o, p_f, p_g = (p[..., gate * H : (gate + 1) * H] for gate in range(4))
    high = c >> 16 if int32_state else c  # (H,) int16
    if P is not None:
        p_i = p_i + rescale(high, P[0][:H], P[1][:H])
        p_f = p_f + rescale(high, P[0][2 * H :], P[1][2 * H :])
    g = activate(_limit(p_g, clip), functions[1])
    if int32_state:
        fine_i = fine_sigmoid(_limit(p_i, clip, 65535))
        decay = fine_i if input_forget else fine_sigmoid(-_limit(p_f, clip, 65535))
        loss = multiply_fine(high, decay)
        c_new = saturate32(c - 2 * loss + _round_shift(2 * multiply_fine(g, fine_i), candidate_shift))
        high = c_new >> 16
    else:
        i = activate(_limit(p_i, clip), functions[0])
        f = np.minimum(32768 - i, INT16_MAX) if input_forget else activate(_limit(p_f, clip), functions[0])
        gain = (i * g + (1 << (14 + candidate_shift))) >> (15 + candidate_shift)
        c_new = high = saturate16(((f * c + (1 << 14)) >> 15) + gain)
    if P is not None:
        p_o = p_o + rescale(high, P[0][H : 2 * H], P[1][H : 2 * H])
    o = activate(_limit(p_o, clip), functions[0])
    cell = saturate16(_round_shift(high, cell_shift) if cell_shift >= 0 else high * (1 << -cell_shift))
    return (o * activate(cell, functions[2]) + (1 << 14)) >> 15, c_new


def _limit(p: Array, clip: int, largest: int = INT16_MAX) -> Array:
    """A gate's input: clipped to [-clip, clip] and saturated to [-largest - 1, largest]."""
    return np.minimum(np.maximum(p, max(-clip, -largest - 1)), min(clip, largest))


def _round_shift(x: Array, shift: int) -> Array:
    return x if shift == 0 else (x + (1 << (shift - 1))) >> shift
