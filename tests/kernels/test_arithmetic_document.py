"""The integer arithmetic once more, written from firmware_export/ARITHMETIC.md alone: scalar, in 32 bits.

The NumPy reference must give the same integers, at extreme inputs too.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_arithmetic import i32, operand, rescale, sat16, signed_rescale, u32

from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.reference import int8


def product(rows: int8.Rows, x: list[int], bits: int) -> list[int]:
    """Section 3."""
    results = []
    for weights, m, s in zip(rows.weights.tolist(), rows.multiplier.tolist(), rows.shift.tolist(), strict=True):
        accumulator = 0
        for weight, value in zip(weights, x, strict=True):
            accumulator = i32(accumulator + weight * operand(value, bits))
        k = max(0, 17 - s)
        results.append(rescale(min(max(accumulator, -(2 ** (31 - k))), 2 ** (31 - k) - 1), m, s))
    return results


def interpolate(entries: tuple[int, ...], x: int) -> int:
    a = min(abs(x), 32767)
    i, f = a >> 7, a & 127
    return entries[i] + (i32((entries[i + 1] - entries[i]) * f + 64) >> 7)


def sigmoid(x: int) -> int:
    y = interpolate(int8_tables.SIGMOID, x)
    return 32768 - y if x < 0 else y


def tanh(x: int) -> int:
    y = interpolate(int8_tables.TANH, x)
    return -y if x < 0 else y


def fine(x: int) -> int:
    """Section 5.3."""
    a = min(abs(x), 65535)
    i, f = a >> 8, ((a & 255) + 1) >> 1
    F = int8_tables.FINE_SIGMOID
    y = F[i] + (i32((F[i + 1] - F[i]) * f + 64) >> 7)
    return y if x < 0 else 2**30 - y


def split(x: int, u: int) -> int:
    """``(x * u) >> 15`` in 32 bits."""
    return i32(i32(x * (u >> 15)) + (i32(x * (u & 32767)) >> 15))


def limit(p: int, largest: int = 32767) -> int:
    return min(max(i32(p), -largest - 1), largest)


def gru(
    x: list[int], h: list[int], W: int8.Rows, R: int8.Rows, B: list[int], reset_after: bool, bits: int, wide: bool
) -> list[int]:
    """Section 7.2."""
    H = len(h)
    high = [value >> 16 if wide else value for value in h]
    a, u = product(W, x, bits), product(R, high, bits)
    r = [sigmoid(limit(i32(a[H + k] + u[H + k] + B[H + k]))) for k in range(H)]
    if reset_after:
        v = [sat16(u[2 * H + k] + B[3 * H + k]) for k in range(H)]
        p = [i32(a[2 * H + k] + B[2 * H + k] + (i32(r[k] * v[k] + 2**14) >> 15)) for k in range(H)]
    else:
        q = [i32(r[k] * high[k] + 2**14) >> 15 for k in range(H)]
        u_n = product(R, q, bits)
        p = [i32(a[2 * H + k] + u_n[2 * H + k] + B[2 * H + k]) for k in range(H)]
    new = []
    for k in range(H):
        n, p_z = tanh(limit(p[k])), i32(a[k] + u[k] + B[k])
        if wide:
            t = split(n - high[k], fine(-limit(p_z, 65535)))
            new.append(i32(i32(h[k] + t) + t))
        else:
            z = sigmoid(limit(p_z))
            new.append(n + (i32((h[k] - n) * z + 2**14) >> 15))
    return new


class Lstm(NamedTuple):
    """What the equations of section 7.3 take beside input and state."""

    W: int8.Rows
    R: int8.Rows
    B: list[int]
    P: tuple[list[int], list[int]]
    input_forget: bool
    bits: int
    k: int
    j: int
    wide: bool


def lstm(x: list[int], h: list[int], c: list[int], cell: Lstm) -> tuple[list[int], list[int]]:
    """Section 7.3."""
    W, R, B, P, input_forget, bits, k, j, wide = cell
    H = len(h)
    p = [i32(a + u + b) for a, u, b in zip(product(W, x, bits), product(R, h, bits), B, strict=True)]
    new_h, new_c = [], []
    for n in range(H):
        high = c[n] >> 16 if wide else c[n]
        p_i = i32(p[n] + signed_rescale(high, P[0][n], P[1][n]))
        p_f = i32(p[2 * H + n] + signed_rescale(high, P[0][2 * H + n], P[1][2 * H + n]))
        g = tanh(limit(p[3 * H + n]))
        if wide:
            gate = fine(limit(p_i, 65535))
            t = split(high, gate if input_forget else fine(-limit(p_f, 65535)))
            half = split(g, gate)
            gain = i32(2 * half) if k == 0 else half if k == 1 else i32(half + 2 ** (k - 2)) >> (k - 1)
            new = min(max(i32(i32(c[n] - t) - t) + gain, -(2**31)), 2**31 - 1)
            high = new >> 16
        else:
            i = sigmoid(limit(p_i))
            f = min(32768 - i, 32767) if input_forget else sigmoid(limit(p_f))
            new = high = sat16((i32(f * c[n] + 2**14) >> 15) + (i32(i * g + 2 ** (14 + k)) >> (15 + k)))
        o = sigmoid(limit(i32(p[H + n] + signed_rescale(high, P[0][H + n], P[1][H + n]))))
        w = sat16(i32(high + 2 ** (j - 1)) >> j if j > 0 else i32(high * 2**-j))
        new_c.append(new)
        new_h.append(i32(o * tanh(w) + 2**14) >> 15)
    return new_h, new_c


def softmax(x: list[int], m: int, s: int) -> list[int]:
    """Section 6."""
    e = []
    for value in x:
        g = min(rescale(max(x) - value, m, s), 69631)
        w, i, f = g >> 12, (g >> 6) & 63, g & 63
        T = int8_tables.EXP2
        mantissa = T[i] - (i32((T[i] - T[i + 1]) * f + 32) >> 6)
        e.append(u32(2 * mantissa + 2**w) >> (w + 1))
    S = u32(sum(e))
    return [min(u32(value * 32768 + (S >> 1)) // S, 32767) for value in e]


def log_softmax(x: list[int], m: int, s: int, m_out: int, s_out: int) -> list[int]:
    """Section 6."""
    h = [rescale(max(x) - value, m, s) for value in x]
    S, b = 0, 0
    for value in h:
        g, T = min(value, 69631), int8_tables.EXP2
        w, i, f = g >> 12, (g >> 6) & 63, g & 63
        S = u32(S + (u32(2 * (T[i] - ((T[i] - T[i + 1]) * f + 32 >> 6)) + 2**w) >> (w + 1)))
    while 2 ** (b + 1) <= S:
        b += 1
    t = S >> (b - 15)
    i, f, T = (t >> 9) & 63, t & 511, int8_tables.LOG2
    L = (b - 15) * 4096 + ((T[i] + (i32((T[i + 1] - T[i]) * f + 256) >> 9) + 4) >> 3)
    return [sat16(-rescale(min(i32(value + L), 2**24 - 1), m_out, s_out)) for value in h]


def divide(a: int, b: int, m: int, s: int) -> int:
    """Section 6."""
    u, k = max(abs(b), 1), 0
    while 2 ** (k + 1) <= u:
        k += 1
    d = u * 2 ** (15 - k)
    v = min(i32(2**30 + (d >> 1)) // d, 32767)
    T = min(max(s - 15 + k, 13), 46)
    p = i32(-a * v if b < 0 else a * v)
    if T < 17:
        p = min(max(p, -(2 ** (T + 3))), 2 ** (T + 3))
    return sat16(rescale(p, m, T))


def octaves(x: int, E: list[int]) -> int:
    """Section 5.6."""
    if x <= 0:
        return E[0]
    k = 0
    while 2 ** (k + 1) <= x:
        k += 1
    a = x * 2 ** (14 - k)
    i, f = 1 + 32 * k + ((a >> 9) & 31), a & 511
    return E[i] + (i32((E[i + 1] - E[i]) * f + 256) >> 9)


EXTREMES = (-32768, -32767, -1, 0, 1, 32766, 32767)


class Draw:
    """Weights, inputs and states, all extreme in one case out of three."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.extreme = int(self.rng.integers(3)) == 0

    def rows(self, rows: int, columns: int, bits: int) -> int8.Rows:
        rng = self.rng
        weights = rng.integers(-128, 128, (rows, columns))
        if self.extreme:
            weights = np.full((rows, columns), rng.choice([-128, 127]))
        shift = rng.integers(10, 34, rows)
        return int8.Rows(weights, rng.integers(1 << 14, 1 << 15, rows), shift)

    def int16(self, size: int) -> np.ndarray:
        return self.rng.choice(EXTREMES, size) if self.extreme else self.rng.integers(-32768, 32768, size)

    def state(self, size: int, wide: bool) -> np.ndarray:
        return self.int16(size) * 65536 + self.rng.integers(0, 65536, size) if wide else self.int16(size)

    def bias(self, size: int) -> np.ndarray:
        limit = 1 << 28 if self.extreme else 1 << 15
        return self.rng.integers(-limit, limit + 1, size)


SIGMOID, TANH = int8.Function("Sigmoid"), int8.Function("Tanh")
NO_CLIP = 1 << 17
cases = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 7)


def ints(array: np.ndarray) -> list[int]:
    return [int(value) for value in array]


@cases
@given(seeds, sizes, sizes, st.sampled_from([8, 16]), st.booleans(), st.booleans())
def test_gru_equals_the_document(seed: int, K: int, H: int, bits: int, reset_after: bool, wide: bool) -> None:
    draw = Draw(seed)
    W, R = draw.rows(3 * H, K, bits), draw.rows(3 * H, H, bits)
    B, x, h = draw.bias((4 if reset_after else 3) * H), draw.int16(K), draw.state(H, wide)
    for _ in range(3):
        expected = gru(ints(x), ints(h), W, R, ints(B), reset_after, bits, wide)
        h = int8.gru(x, h, W, R, B, [SIGMOID, TANH], reset_after, NO_CLIP, bits, wide)
        assert ints(h) == expected


@cases
@given(seeds, sizes, sizes, st.sampled_from([8, 16]), st.booleans(), st.booleans(), st.integers(0, 15))
def test_lstm_equals_the_document(seed: int, K: int, H: int, bits: int, coupled: bool, wide: bool, k: int) -> None:
    draw = Draw(seed)
    W, R, B = draw.rows(4 * H, K, bits), draw.rows(4 * H, H, bits), draw.bias(4 * H)
    P = (draw.rng.integers(-32767, 32768, 3 * H), draw.rng.integers(2, 31, 3 * H))
    P[0][np.abs(P[0]) < 1 << 14] = 0
    x, h, c = draw.int16(K), draw.int16(H), draw.state(H, wide)
    j = 3 - k  # of a cell with k integer bits
    for _ in range(3):
        cell = Lstm(W, R, ints(B), (ints(P[0]), ints(P[1])), coupled, bits, k, j, wide)
        expected = lstm(ints(x), ints(h), ints(c), cell)
        h, c = int8.lstm(x, h, c, W, R, B, P, [SIGMOID, TANH, TANH], coupled, NO_CLIP, bits, k, j, wide)
        assert (ints(h), ints(c)) == expected


@cases
@given(seeds, sizes, sizes, st.sampled_from([8, 16]))
def test_dense_and_rnn_equal_the_document(seed: int, K: int, H: int, bits: int) -> None:
    draw = Draw(seed)
    W, R, B, x, h = draw.rows(H, K, bits), draw.rows(H, H, bits), draw.bias(H), draw.int16(K), draw.int16(H)
    a, u = product(W, ints(x), bits), product(R, ints(h), bits)
    assert ints(int8.dense(x, W, B, bits)) == [sat16(a[k] + int(B[k])) for k in range(H)]
    p = [i32(a[k] + u[k] + int(B[k])) for k in range(H)]
    assert ints(int8.rnn(x, h, W, R, B, TANH, NO_CLIP, bits)) == [tanh(limit(value)) for value in p]
    assert ints(int8.rnn(x, h, W, R, B, TANH, 4096, bits)) == [tanh(min(max(value, -4096), 4096)) for value in p]
    relu = int8.Function("Clip", low=0)
    assert ints(int8.rnn(x, h, W, R, B, relu, NO_CLIP, bits)) == [max(limit(value), 0) for value in p]


@cases
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=9), st.integers(1 << 14, 32767), st.integers(2, 46))
def test_softmax_equals_the_document(x: list[int], m: int, s: int) -> None:
    assert ints(int8.softmax(np.array(x), m, s)) == softmax(x, m, s)


@cases
@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=9),
    *(st.integers(1 << 14, 32767), st.integers(2, 46), st.integers(1 << 14, 32767), st.integers(11, 46)),
)
def test_log_softmax_equals_the_document(x: list[int], m: int, s: int, m_out: int, s_out: int) -> None:
    assert ints(int8.log_softmax(np.array(x), m, s, m_out, s_out)) == log_softmax(x, m, s, m_out, s_out)


@cases
@given(seeds, st.integers(2, 46))
def test_quotients_equal_the_document(seed: int, s: int) -> None:
    draw = Draw(seed)
    m = int(draw.rng.integers(1 << 14, 1 << 15))
    a = np.concatenate([draw.int16(20), np.repeat(EXTREMES, len(EXTREMES))])
    b = np.concatenate([draw.int16(20) >> draw.rng.integers(0, 15, 20), np.tile(EXTREMES, len(EXTREMES))])
    expected = [divide(p, q, m, s) for p, q in zip(ints(a), ints(b), strict=True)]
    assert ints(int8.binary("Div", a, b, [m], [s])) == expected


def test_functions_by_octaves_equal_the_document() -> None:
    E = np.random.default_rng(0).integers(-32767, 32768, 482)
    x = np.array([*EXTREMES, *range(-70, 70), *range(-32768, 32768, 97)])
    entries = ints(E)
    assert ints(int8.octaves(x, E, odd=False)) == [octaves(value, entries) for value in ints(x)]
    odd = [-octaves(min(-value, 32767), entries) if value < 0 else octaves(value, entries) for value in ints(x)]
    assert ints(int8.octaves(x, E, odd=True)) == odd


@cases
@given(seeds, st.sampled_from(["Add", "Sub", "Min", "Max", "Mul"]))
def test_arithmetic_of_two_values_equals_the_document(seed: int, function: str) -> None:
    draw = Draw(seed)
    a, b = draw.int16(20), draw.int16(20)
    m = draw.rng.integers(1 << 14, 1 << 15, 2).tolist()
    s = draw.rng.integers(17 if function == "Mul" else 2, 47, 2).tolist()
    combine: dict[str, Any] = {"Add": lambda p, q: p + q, "Sub": lambda p, q: p - q, "Min": min, "Max": max}
    if function == "Mul":
        expected = [sat16(rescale(i32(p * q), m[0], s[0])) for p, q in zip(ints(a), ints(b), strict=True)]
        assert ints(int8.binary("Mul", a, b, m[:1], s[:1])) == expected
    else:
        pairs = [(rescale(p, m[0], s[0]), rescale(q, m[1], s[1])) for p, q in zip(ints(a), ints(b), strict=True)]
        assert ints(int8.binary(function, a, b, m, s)) == [sat16(combine[function](p, q)) for p, q in pairs]


@pytest.mark.parametrize("x", [*EXTREMES, 5 * 4096, -5 * 4096, 127, 128, 129])
def test_functions_equal_the_document(x: int) -> None:
    values = np.array([x])
    assert ints(int8.sigmoid(values)) == [sigmoid(x)]
    assert ints(int8.tanh(values)) == [tanh(x)]
    assert ints(int8.fine_sigmoid(2 * values)) == [fine(2 * x)]
