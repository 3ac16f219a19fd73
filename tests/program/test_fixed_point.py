"""Multipliers, rows and clipping limits."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgernn.errors import QuantizationError
from edgernn.program.fixed_point import (
    function_table,
    grid_scale,
    multiplier,
    octave_table,
    power_of_two,
    quantize_bias,
    quantize_rows,
)
from edgernn.program.operations.int8.base import accumulator_bound
from edgernn.quantizer.ranges import clipping_limit


@given(st.floats(2.0**-31, 2.0**12.9))
def test_a_multiplier_is_the_nearest_of_15_bits(value: float) -> None:
    m, s = (int(part) for part in multiplier(value, "here"))
    assert 1 << 14 <= m < 1 << 15
    assert 2 <= s <= 46
    assert abs(m / 2**s - value) <= value * 2.0**-15


def test_multipliers_out_of_range() -> None:
    assert multiplier([1e-20, 0.0], "here")[0].tolist() == [0, 0]
    assert multiplier(-0.5, "here")[0] == -16384
    with pytest.raises(QuantizationError, match=r"here: a factor of 8\.19e\+03"):
        multiplier(8192.0, "here")


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 400), st.sampled_from([8, 16]), st.floats(-12, 4))
@example(seed=2077, columns=165, bits=8, exponent=-10.0)
@example(seed=223, columns=150, bits=8, exponent=-11.0)
def test_rows_never_overflow_and_stand_for_the_weights(seed: int, columns: int, bits: int, exponent: float) -> None:
    rng = np.random.default_rng(seed)
    W = rng.normal(0, 10.0 ** rng.uniform(-3, 0), (4, columns))
    rows = quantize_rows(W, 1.0 / 32768, np.full(4, 2.0**exponent / 4096), bits, "here")
    assert (accumulator_bound(rows.weights, bits) < 1 << 31).all()
    step = np.abs(rows.meaning).max(axis=1) / np.maximum(np.abs(rows.weights.astype(int)).max(axis=1), 1)
    assert (np.abs(rows.meaning - W) <= step[:, None] * 0.5001 + 1e-12).all()


@pytest.mark.parametrize("scale", [0.0123, 1 / 3, 2.0**-20 * 1.1, 517.3])
def test_rows_that_were_integers_keep_them(scale: float) -> None:
    """The weights of a model that was quantized before, as float32 has them."""
    integers = np.array([[127, -3, 50, 0], [-128, 5, 90, 1], [-71, 70, 69, 2], [3, -2, 1, 0]])
    found = grid_scale((integers * np.float32(scale)).astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(found, scale, rtol=1e-6)


def test_what_is_no_row_of_int8_has_no_scale_of_its_own() -> None:
    beyond, between = [128, 5, 90, 1], [127, 50.01, 3, 1]  # 128 times the scale of the others, a fraction
    assert grid_scale(np.array([beyond, between]) * 0.01).tolist() == [0, 0]
    assert grid_scale(np.array([[2.0, 1.0]])).tolist() == [0]  # any two numbers have a common factor, or nearly


def test_a_row_is_widened_as_little_as_keeps_it_from_overflow() -> None:
    many = np.linspace(0.5, 1.0, 4000)[None]
    exactly = np.append(np.full(516, 127), 4)[None]  # reaches 2^31
    for W in (many, exactly):
        rows = quantize_rows(W, 2.0**-15, np.full(1, 2.0**-12), 16, "here")
        (bound,) = accumulator_bound(rows.weights, 16)
        assert 0.75 * 2**31 < bound < 2**31


def test_rows_of_zeros_stay_zero() -> None:
    rows = quantize_rows(np.zeros((2, 3)), 1.0, np.ones(2), 16, "here")
    assert not rows.weights.any()
    assert not rows.multiplier.any()


def test_a_bias_too_large_is_refused() -> None:
    assert quantize_bias(np.array([1.0, -0.5]), 2.0**-12, "here").tolist() == [4096, -2048]
    with pytest.raises(QuantizationError, match=r"here: a bias of 1e\+06"):
        quantize_bias(np.array([1e6]), 2.0**-12, "here")


def test_function_table_holds_the_nodes() -> None:
    table = function_table(np.exp, 2.0**-12, 2.0**-10)
    assert table.shape == (513,)
    assert table[256] == 1024
    assert table[-1] == 32767  # exp(8) does not fit


def test_a_table_of_an_odd_function_can_be_negated() -> None:
    assert octave_table(np.negative, 1.0, 0.5, odd=True)[-1] == -32767
    assert octave_table(np.negative, 1.0, 0.5, odd=False)[-1] == -32768


@pytest.mark.parametrize(("limit", "power"), [(1.0, 1.0), (1.01, 2.0), (0.3, 0.5), (0.0, 2.0**-8)])
def test_power_of_two(limit: float, power: float) -> None:
    assert power_of_two(limit) == power


def test_clipping_limits_of_a_normal_distribution_with_an_outlier() -> None:
    samples = np.append(np.random.default_rng(1).normal(size=200_000), 40.0)
    assert clipping_limit(samples, 8, "max") == 40.0
    assert 3.0 < clipping_limit(samples, 8, "percentile") < 5.0
    best = clipping_limit(samples, 8, "mse")
    assert clipping_limit(samples, 8, "entropy") < 20.0

    def error(limit: float) -> float:
        rounded = np.clip(np.rint(samples * (127 / limit)), -127, 127) * (limit / 127)
        return float(np.mean((rounded - samples) ** 2))

    assert all(error(best) <= error(limit) for limit in (5.0, 10.0, 15.0, 30.0, 40.0))
    assert clipping_limit(samples, 16, "entropy") == 40.0


def test_clipping_limit_of_zeros_is_zero() -> None:
    assert clipping_limit(np.zeros(5), 8, "mse") == 0.0
