"""States written by the user: conversion, saturation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import InputError, NonFiniteInputError
from edgernn.runtime.state_view import StateView


def test_a_batch_of_one_is_taken() -> None:
    view = StateView("h", np.zeros((2, 3), np.float32))
    view[...] = np.arange(6).reshape(2, 1, 3)
    np.testing.assert_array_equal(view, [[0, 1, 2], [3, 4, 5]])
    view[0] = [[7, 8, 9]]
    np.testing.assert_array_equal(view[0], [7, 8, 9])


def test_one_number_fills_a_state() -> None:
    view = StateView("h", np.zeros((2, 3), np.float32))
    view[...] = 2
    np.testing.assert_array_equal(view, np.full((2, 3), 2))


def test_integers_round_and_saturate_in_the_models_units() -> None:
    view = StateView("h", np.zeros(4, np.int16), scale=2.0**-15)
    view[...] = [0.5, -1.0, 3.0, -3.0]
    np.testing.assert_array_equal(view, np.array([16384, -32768, 32767, -32768]) * 2.0**-15)


def test_numbers_far_out_of_range_become_the_ends_of_64_bits() -> None:
    content = np.zeros(2, np.int64)
    for scale in (None, 2.0**-44):
        StateView("total", content, scale)[...] = [1e300, -1e300]
        assert content[0] > 2**63 - 2048
        assert content[1] == -(2**63)


def test_each_element_has_a_unit_of_its_own_where_channels_were_equalised() -> None:
    view = StateView("ring", np.zeros((2, 2, 3), np.int16), scale=np.array([[0.5, 1.0, 2.0]] * 2))  # two copies
    view[1] = [[1, 2, 4], [0.3, 1e9, -1e9]]
    np.testing.assert_array_equal(view[1], [[1, 2, 4], [0.5, 32767, -65536]])
    np.testing.assert_array_equal(view[..., 1], [[0, 0], [2, 32767]])
    view[0, 0, 2] = 3
    assert view[0, 0, 2] == 4
    floats = StateView("total", np.zeros(3), scale=np.array([0.5, 1.0, 2.0]))
    floats[...] = 3
    np.testing.assert_array_equal(floats, [3, 3, 3])


@pytest.mark.parametrize(
    ("numbers", "error", "words"),
    [
        (np.ones(5), InputError, r"shape \(2, 3\), not \(5,\)"),
        (["a", "b", "c"], InputError, "takes numbers"),
        (np.nan, NonFiniteInputError, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(numbers: object, error: type[Exception], words: str) -> None:
    view = StateView("h", np.zeros((2, 3), np.float32))
    with pytest.raises(error, match=words):
        view[...] = numbers
    np.testing.assert_array_equal(view, np.zeros((2, 3)))
