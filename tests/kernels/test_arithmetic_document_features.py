"""Sections 3, 6 and 7.4 of firmware_export/ARITHMETIC.md once more, scalar, in integers of the widths that it names."""

from __future__ import annotations

from typing import Any

import int8_feature_programs as programs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_arithmetic import i32, operand, rescale, rescale_sum, sat16, signed_rescale, u32

from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.reference.int8 import products, recurrent, reductions

int16s = st.one_of(st.sampled_from([-32768, -1, 0, 1, 32767]), st.integers(-32768, 32767))
int32s = st.one_of(st.sampled_from([-(1 << 31), -1, 0, (1 << 31) - 1]), st.integers(-(1 << 31), (1 << 31) - 1))
multipliers = st.integers(1 << 14, (1 << 15) - 1)


def i64(value: int) -> int:
    """A number that an int64 holds."""
    assert -(1 << 63) <= value < 1 << 63
    return value


def sat32(value: int) -> int:
    return min(max(value, -(1 << 31)), (1 << 31) - 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_grouped_products(bits: int) -> None:
    program = programs.grouped(2, 30, 5, bits, seed=4)
    W, m, s, B = (program.weights[name].tolist() for name in ("W", "m", "s", "B"))
    for x in programs.counts_for(program, 6)[:, : 30 * 5].reshape(6, 30, 5):
        X = x.tolist()
        expected = [
            [sat16(i32(rescale_sum(i32(_sum(W[o], X, g, bits)), m[o][g], s[o][g]) + B[o][g])) for g in range(5)]
            for o in range(2)
        ]
        assert products.grouped_dense(x, *(np.array(array) for array in (W, m, s, B)), bits).tolist() == expected


def _sum(W: Any, x: Any, g: int, bits: int) -> int:
    total = 0
    for i in range(len(x)):
        total = i32(total + W[i][g] * operand(x[i][g], bits))
    return total


@settings(max_examples=100)
@given(
    st.lists(int16s, min_size=6, max_size=6), st.lists(int16s, min_size=6, max_size=6), multipliers, st.integers(17, 46)
)
def test_products_of_two_values(a: list[int], b: list[int], m: int, s: int) -> None:
    total = 0
    for left, right in zip(a, b, strict=True):
        total = i32(total + left * min((right + 128) >> 8, 127))
    expected = sat16(rescale(total, m, s))
    A, B = np.array([a]), np.array(b).reshape(6, 1)
    assert products.matmul(A, B, False, m, s, 16).tolist() == [[expected]]
    assert products.matmul(A, B.T, True, m, s, 16).tolist() == [[expected]]


@settings(max_examples=200)
@given(st.lists(int16s, min_size=1, max_size=40), multipliers, st.integers(17, 46))
def test_sums(x: list[int], m: int, s: int) -> None:
    assert int(reductions.reduce(np.array(x), "Sum", 0, m, s)) == sat16(rescale(i32(sum(x)), m, s))


@settings(max_examples=200)
@given(
    st.lists(int16s, min_size=1, max_size=6),
    st.sampled_from([-5, 0, 1, 40_000, (1 << 40) - 1, 1 << 40, (1 << 63) - 1]),
    st.sampled_from([-32768, -1, 0, 5, 32767]),
    st.integers(0, 7),
)
def test_running_means(x: list[int], count: int, level: int, k: int) -> None:
    total = min(max(level * count, -(1 << 63)), (1 << 63) - 1)
    kept, frames = np.array([total], np.int64), np.array([count], np.int64)
    for number in x:
        count = min(max(count, 0), 1 << 40)
        if count == 1 << 40:
            total, count = total >> 1, count >> 1
        total = min(max(total, -(1 << 55)), 1 << 55)
        total, count = min(max(i64(total + number), -(1 << 55)), 1 << 55), count + 1
        numerator = i64(total * 2**k + (count >> 1))
        quotient = numerator // count if numerator >= 0 else -((count - 1 - numerator) // count)
        expected = sat16(quotient)
        assert int(reductions.running_mean(np.array([number]), kept, frames, k)[0]) == expected
        assert (int(kept[0]), int(frames[0])) == (total, count)


@settings(max_examples=200)
@given(
    st.lists(int16s, min_size=1, max_size=5),
    st.sampled_from([0, 12345, -(1 << 62), (1 << 62) - 3, (1 << 63) - 1]),
    st.integers(0, 32),
    multipliers,
    st.integers(17, 46),
)
def test_running_sums(x: list[int], total: int, q: int, m: int, s: int) -> None:
    kept, frames = np.array([total]), np.array([0])
    for number in x:
        total = min(max(total, -(1 << 62)), 1 << 62)
        total = min(max(i64(total + number), -(1 << 62)), 1 << 62)
        expected = sat16(rescale(min(max(total >> q, -(1 << 30)), (1 << 30) - 1), m, s))
        assert int(reductions.running_sum(np.array([number]), kept, frames, q, m, s)[0]) == expected


def power(g: int) -> int:
    """Section 5.5."""
    i, f = g >> 6, g & 63
    E = int8_tables.EXP2
    return E[i] - (i32((E[i] - E[i + 1]) * f + 32) >> 6)


def down(a: int, n: int) -> int:
    n = min(n, 62)
    return a if n == 0 else i64(a + 2 ** (n - 1)) >> n


def share(a: int, T: int, k: int) -> int:
    """Section 6.3: a quotient of 16 bits, with one division of 32 bits and digit by digit."""
    if a < 0 or a >= 2**16 * T:
        return -32768 if a < 0 else 32767
    q = u32(a >> (13 - k)) // u32((T >> (13 - k)) + 1)
    rest = u32(a - q * T)
    assert rest // T <= 5
    rest, quotient = i32(a >> 16), 0
    for digit in reversed(range(16)):
        rest, quotient = i32(2 * rest + (a >> digit & 1)), 2 * quotient
        if rest >= T:
            rest, quotient = rest - T, quotient + 1
    assert q + (a - q * T) // T == quotient
    return quotient - 32768


State = tuple[int, int, list[int]]


def softmax_over_time(x: int, v: list[int], state: State, m: int, s: int, k: int) -> tuple[list[int], State]:
    """Section 6.3, of one group."""
    reference, total, weighted = state
    u = rescale(x, m, s)
    if total <= 0:
        reference, total, weighted = u, 0, [0] * len(v)
    else:
        total = min(max(total, 1 << 43), 1 << 45)
        reference = min(max(reference, -(1 << 29)), 1 << 29)
        weighted = [min(max(number, -(1 << 60)), 1 << 60) for number in weighted]
    n = max(i32(i32(u - reference) + 4095) >> 12, 0)
    if n == 0 and total >= 1 << 44:
        n = 1
    reference, total, weighted = i32(reference + 4096 * n), down(total, n), [down(number, n) for number in weighted]
    d = i32(reference - u)
    j = 29 - (d >> 12)
    w = down(power(d & 4095), max(-j, 0))
    if j < -16:
        assert w == 0
    factor = i32(2 ** max(j, 0))
    total = i64(total + w * factor)
    weighted = [i64(a + i32(w * b) * factor) for a, b in zip(weighted, v, strict=True)]
    assert 1 << 43 <= total <= 1 << 45
    T = i32(total >> (16 + k))
    return [share(i64((a >> 16) + (T >> 1) + (T << 15)), T, k) for a in weighted], (reference, total, weighted)


far = [-(1 << 63), -1, 0, 1, (1 << 43) - 1, (1 << 44) - 1, 1 << 44, 1 << 45, (1 << 63) - 1]


@settings(max_examples=300)
@given(
    st.lists(st.tuples(int16s, int16s, int16s), min_size=1, max_size=30),
    st.sampled_from([2, 3, 9, 12, 14, 17, 22, 46]),
    multipliers | st.just(0),
    st.integers(0, 7),
    int32s,
    st.sampled_from(far) | st.integers(1 << 43, 1 << 45),
    st.sampled_from(far) | st.integers(-(1 << 62), 1 << 62),
)
def test_softmax_over_time(
    frames: list[tuple[int, int, int]], s: int, m: int, k: int, reference: int, total: int, weighted: int
) -> None:
    state: State = (reference, total, [weighted, -weighted - 1])
    kept = [np.array([reference]), np.array([total]), np.array([state[2]])]
    for x, *v in frames:
        expected, state = softmax_over_time(x, v, state, m, s, k)
        y = reductions.running_softmax(np.array([x]), np.array([v]), *kept, m, s, k)
        assert y.tolist() == [expected]
        assert [each.tolist() for each in kept] == [[state[0]], [state[1]], [state[2]]]


def root(U: int) -> int:
    """Digit by digit, as the document says."""
    bit, r = 1 << 62, 0
    while bit > U:
        bit >>= 2
    while bit > 0:
        if r + bit <= U:
            U -= r + bit
            r = (r >> 1) + bit
        else:
            r >>= 1
        bit >>= 2
    return r


def layer_norm(x: list[int], E: int, f: int, centred: bool, m: list[int], s: list[int], B: list[int]) -> list[int]:
    n, S, P = len(x), 0, 0
    for number in x:
        S, P = i32(S + number) if centred else 0, i64(P + number * number)
    R = max(root(i64(i64(n * P) - S * S + E)), 1)
    b = R.bit_length()
    d = R >> (b - 16) if b >= 16 else R * 2 ** (16 - b)
    v = min((i32((1 << 30) + (d >> 1))) // d, 32767)
    z = [sat16(rescale(i32(i32(n * number) - S), v, 14 + b - f)) for number in x]
    return [sat16(i32(signed_rescale(z[k], m[k], s[k]) + B[k])) for k in range(n)]


@settings(max_examples=200)
@given(
    st.one_of(
        st.lists(int16s, min_size=1, max_size=12),
        st.tuples(int16s, int16s).map(lambda ends: [ends[0]] * 2047 + [ends[1]]),
        st.tuples(int16s, int16s).map(lambda ends: [ends[0], ends[1]] * 1024),
    ),
    st.sampled_from([0, 1, 1 << 20, 1 << 60]),
    st.integers(6, 12),
    st.booleans(),
    st.integers(0, 1000),
)
def test_layer_norm(x: list[int], E: int, f: int, centred: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(x)
    m, s = rng.choice([-1, 1], n) * rng.integers(1 << 14, 1 << 15, n), rng.integers(2, 31, n)
    B = rng.integers(-(1 << 28), 1 << 28, n)
    expected = layer_norm(x, E, f, centred, m.tolist(), s.tolist(), B.tolist())
    assert reductions.layer_norm(np.array(x), E, f, centred, m, s, B).tolist() == expected


@settings(max_examples=300)
@given(st.one_of(st.sampled_from([0, 1, (1 << 62) - 1]), st.integers(0, (1 << 62) - 1)))
def test_square_roots(U: int) -> None:
    found = int(reductions.square_root(np.array([U]))[0])
    assert found == root(U)
    assert found * found <= U < (found + 1) ** 2


@settings(max_examples=300)
@given(int32s, int16s, st.integers(-(1 << 30), 1 << 30), st.booleans())
def test_wide_products(h: int, x: int, u: int, negative: bool) -> None:
    t = i32(i32(x * (u >> 15)) + (i32(x * (u & 32767)) >> 15))
    t = i32(-t) if negative else t
    expected = sat32(sat32(h + t) + t)
    assert int(recurrent.add_product(np.array(h), np.array(x), np.array(u), negative)) == expected


@settings(max_examples=300)
@given(int32s, int16s, int16s, int16s, st.booleans())
def test_wide_steps_toward_a_value(h: int, n: int, p: int, old: int, complement: bool) -> None:
    u = fine(-2 * p if complement else 2 * p)
    assert int(recurrent.fine_gate(np.array(p), complement)) == u
    x = n - old
    t = i32(i32(x * (u >> 15)) + (i32(x * (u & 32767)) >> 15))
    expected = sat32(sat32(h + t) + t)
    assert int(recurrent.add_product(np.array(h), np.array(x), np.array(u), False)) == expected


def fine(x: int) -> int:
    """Section 5.3."""
    a = min(abs(x), 65535)
    i, f = a >> 8, ((a & 255) + 1) >> 1
    F = int8_tables.FINE_SIGMOID
    y = F[i] + (i32(i32((F[i + 1] - F[i]) * f) + 64) >> 7)
    return y if x < 0 else 2**30 - y


@settings(max_examples=200)
@given(int32s, int16s, st.integers(0, 16), st.booleans())
def test_wide_shifted_terms(h: int, x: int, j: int, negative: bool) -> None:
    shifted = i32(x * 2**j)
    expected = sat32(h - shifted if negative else h + shifted)
    assert int(recurrent.add_shifted(np.array(h), np.array(x), j, negative)) == expected
