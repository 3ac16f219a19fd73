"""The integer arithmetic against exact and float64 computations of the same formulas."""

import itertools
import struct
import zlib
from decimal import ROUND_HALF_UP, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.program.operations.int8.base import accumulator_bound
from edgernn.reference import int8

ALL_INT16 = np.arange(-32768, 32768)  # (65536,)


def nearest(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_UP))


def test_tables_are_the_rounded_functions() -> None:
    with localcontext() as context:
        context.prec = 40
        tails = [(-Decimal(i) / 16).exp() for i in range(513)]  # exp(-i / 16)
        halves = [(-Decimal(i) / 32).exp() for i in range(257)]  # exp(-i / 32)
        assert tuple(min(32767, nearest(32768 / (1 + e))) for e in halves) == int8_tables.SIGMOID
        assert tuple(min(32767, nearest(32768 * (1 - e) / (1 + e))) for e in tails[:257]) == int8_tables.TANH
        assert tuple(nearest(2**30 * e / (1 + e)) for e in tails[:257]) == int8_tables.FINE_SIGMOID
        assert tuple(nearest(32768 * Decimal(2) ** (-Decimal(i) / 64)) for i in range(65)) == int8_tables.EXP2
        octaves = [(1 + Decimal(i) / 64).ln() / Decimal(2).ln() for i in range(65)]
        assert tuple(nearest(32768 * octave) for octave in octaves) == int8_tables.LOG2


@pytest.mark.parametrize(
    ("entries", "form", "checksum"),
    [
        (int8_tables.SIGMOID, "<257H", 0x557EA39D),
        (int8_tables.TANH, "<257H", 0x820F14C6),
        (int8_tables.FINE_SIGMOID, "<257I", 0x20250EDF),
        (int8_tables.EXP2, "<65H", 0x48D8697E),
        (int8_tables.LOG2, "<65H", 0x21561A90),
    ],
)
def test_tables_have_the_checksums_of_the_document(entries: tuple[int, ...], form: str, checksum: int) -> None:
    assert zlib.crc32(struct.pack(form, *entries)) == checksum


def test_sigmoid_of_every_input() -> None:
    y = int8.sigmoid(ALL_INT16)
    assert np.abs(y - 32768 / (1 + np.exp(-ALL_INT16 / 4096))).max() <= 4
    assert y.min() >= 0
    assert y.max() == 32757
    assert (np.diff(y) >= 0).all()


def test_tanh_of_every_input() -> None:
    y = int8.tanh(ALL_INT16)
    assert np.abs(y - 32768 * np.tanh(ALL_INT16 / 4096)).max() <= 4
    assert (y[1:] == -y[:0:-1]).all()
    assert (np.diff(y) >= 0).all()


def test_fine_sigmoid_of_every_input() -> None:
    x = np.arange(-65536, 65536)
    exact = 2.0**30 / (1 + np.exp(-x / 4096))
    y = int8.fine_sigmoid(x)
    assert np.abs(y / exact - 1).max() < 1e-2  # relative: small values keep their digits
    assert np.abs(y / exact - 1)[x >= -10 * 4096].max() < 6e-4
    assert y.min() > 0
    assert y.max() < 1 << 30
    assert (np.diff(y) >= 0).all()


def test_table_function_hits_its_nodes_and_stays_between_them() -> None:
    entries = np.random.default_rng(1).integers(-32768, 32768, 513)
    y = int8.table(ALL_INT16, entries)
    assert (y[::128] == entries[:512]).all()
    low, high = np.minimum(entries[:-1], entries[1:]), np.maximum(entries[:-1], entries[1:])  # (512,)
    assert (y >= np.repeat(low, 128)).all()
    assert (y <= np.repeat(high, 128)).all()


def rescale_32(accumulator: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The document's way without a 64-bit product, every intermediate in int32."""
    with np.errstate(over="raise"):
        widened = accumulator * (np.int32(1) << np.maximum(0, 17 - shift).astype(np.int32))
        s = np.maximum(shift, 17).astype(np.int32)
        t = (widened >> 16) * multiplier + (((widened & 0xFFFF) * multiplier) >> 16)
        assert t.dtype == np.int32
        return (t + (np.int32(1) << (s - 17))) >> (s - 16)


def test_rescaling_in_32_bits_equals_the_64_bit_formula() -> None:
    rng = np.random.default_rng(2)
    for shift in range(2, 47):
        n = 50_000
        limit = (1 << 31) >> max(0, 17 - shift)
        accumulator = np.concatenate(
            [rng.integers(-limit + 1, limit, n), rng.integers(-300, 300, n), [limit - 1, 1 - limit, 0, 1, -1]]
        )
        multiplier = rng.integers(1 << 14, 1 << 15, accumulator.size)
        multiplier[:3] = (1 << 14, (1 << 15) - 1, 0)
        s = np.full(accumulator.size, shift)
        in_32 = rescale_32(accumulator.astype(np.int32), multiplier.astype(np.int32), s)
        assert (in_32 == int8.rescale(accumulator, multiplier, s)).all()


def test_rescaled_accumulators_stay_below_2_to_the_29() -> None:
    for shift in range(2, 47):
        limit = ((1 << 31) >> max(0, 17 - shift)) - 1
        largest = int8.rescale(np.array([limit, -limit]), np.array([32767, 32767]), np.array([shift, shift]))
        assert np.abs(largest).max() <= 1 << 29


@pytest.mark.parametrize("bits", [8, 16])
def test_accumulator_bound_is_reached_and_never_passed(bits: int) -> None:
    rng = np.random.default_rng(3)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    W = rng.integers(-128, 128, (20, 5)).astype(np.int8)
    corners = np.array(list(itertools.product([low, high], repeat=5)))  # (32, 5)
    largest = np.abs(corners @ W.T.astype(np.int64)).max(axis=0)  # (20,)
    bound = accumulator_bound(W, bits)
    assert (largest <= bound).all()
    assert (bound - largest <= np.abs(W.astype(np.int64)).sum(axis=1)).all()


def test_operand_rounding() -> None:
    assert int8.operand(np.array([-32768, -129, -128, 127, 128, 32639, 32640, 32767]), 8).tolist() == [
        -128,
        -1,
        0,
        0,
        1,
        127,
        127,
        127,
    ]


def test_gru_update_fits_int32_and_stays_between_its_arguments() -> None:
    edges = np.array([-32768, -32767, -1, 0, 1, 32766, 32767])
    h, n, z = (axis.ravel() for axis in np.meshgrid(edges, edges, [0, 1, 16384, 32766, 32767]))
    product = (h - n) * z + (1 << 14)
    assert np.abs(product).max() < 1 << 31
    updated = n + (product >> 15)
    assert (updated >= np.minimum(h, n)).all()
    assert (updated <= np.maximum(h, n)).all()


def test_wide_update_never_leaves_int32() -> None:
    edges = np.array([-32768, -32767, -1, 0, 1, 32766, 32767])
    h, n, low, p = (
        axis.ravel() for axis in np.meshgrid(edges, edges, [0, 1, 65535], [-65536, -32768, -1, 0, 1, 40000, 65535])
    )
    step = int8.multiply_fine(n - h, int8.fine_sigmoid(p))
    wide = h * 65536 + low
    for value in (wide + step, wide + step + step):
        assert value.min() >= int8.INT32_MIN
        assert value.max() <= int8.INT32_MAX


def test_wide_product_in_32_bits_equals_the_64_bit_formula() -> None:
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.integers(-65535, 65536, 100_000), [65535, -65535]])
    fine = np.concatenate([rng.integers(0, 1 << 30, 100_000), [(1 << 30) - 1, (1 << 30) - 1]])
    high, low = (fine >> 15) * x, ((fine & 32767) * x) >> 15
    for part in (high, (fine & 32767) * x, high + low):
        assert np.abs(part).max() < 1 << 31
    assert (high + low == int8.multiply_fine(x, fine)).all()


@settings(max_examples=50)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=20), st.floats(1e-5, 1e-2))
def test_softmax_is_close_to_the_float_softmax(x: list[int], scale: float) -> None:
    m, e = np.frexp(scale * np.log2(np.e) * 4096)
    multiplier, shift = round(m * 32768), 15 - e
    y = int8.softmax(np.array(x), min(multiplier, 32767), int(shift))
    exact = np.exp((np.array(x) - max(x)) * scale)
    assert np.abs(y / 32768 - exact / exact.sum()).max() < 3e-4
    assert y.min() >= 0
    assert y.max() <= 32767


def test_powers_of_two() -> None:
    g = np.arange(4096)
    y = int8.power_of_two(g)
    assert (y.max(), y.min()) == (32768, 16387)
    assert np.abs(y / 2.0 ** (15 - g / 4096) - 1).max() < 5e-5


def test_softmax_of_the_largest_vector_fits_uint32() -> None:
    n = 32767
    total = n * 32768
    assert 32768 * 32768 + total // 2 < 1 << 32
    assert int8.softmax(np.zeros(n, np.int64), 1 << 14, 17).tolist() == [1] * n


def test_quantize_rounds_halves_up_and_saturates() -> None:
    x = np.array([0.5, -0.5, 1.4999999, 1e30, -1e30, 32767.4], np.float32)
    assert int8.quantize(x, np.zeros(6), np.ones(6)).tolist() == [1, 0, 1, 32767, -32768, 32767]


def test_counts_of_every_size_saturate() -> None:
    settings_of_counts = np.array([[1000], [4], [32767], [1 << 13], [14]])
    counts = np.array([[-(1 << 40)], [-(1 << 31)], [1000], [1016], [1 << 40]])
    assert int8.quantize_counts(counts, settings_of_counts)[:, 0].tolist() == [-32768, -32768, 0, 2, 32767]
