"""Tests compute the same in every run and in any order; a failure that a search finds becomes one of the examples."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from explicit_examples import explicit_examples
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st


def test_examples_are_the_same_in_every_run(pytestconfig: pytest.Config) -> None:
    drawn: list[int] = []

    @settings(max_examples=20)
    @given(st.integers())
    def draw(number: int) -> None:
        drawn.append(number)

    draw()
    first = drawn.copy()
    drawn.clear()
    draw()
    assert (drawn == first) is not pytestconfig.getoption("--soak")


def property_test(*strategies: st.SearchStrategy[Any], **named: st.SearchStrategy[Any]) -> Callable[[], None]:
    """A property of a number and a text that numbers from 1000 on do not have."""

    @given(*strategies, **named)
    def test(number: int, text: str) -> None:
        assert number < 1000 or "\n" in text

    return test


PLACES = {"strategies": (st.integers(), st.text()), "named": {}}
NAMES = {"strategies": (), "named": {"number": st.integers(), "text": st.text()}}


@pytest.mark.parametrize("arguments", [PLACES, NAMES], ids=["by place", "by name"])
def test_a_failure_is_printed_as_an_example_that_fails(arguments: dict[str, Any]) -> None:
    with pytest.raises(AssertionError) as caught:
        property_test(*arguments["strategies"], **arguments["named"])()
    (text,) = explicit_examples(caught.value)
    assert re.match(r"@example\(\n    number=1000,\n    text=''.*\n\)$", text)
    (without,) = explicit_examples(caught.value, fixtures={"text"})
    assert without == "@example(\n    number=1000,\n)"
    decorator = eval(text.removeprefix("@"), {"example": example})
    test = decorator(property_test(*arguments["strategies"], **arguments["named"]))
    with pytest.raises(AssertionError):
        settings(phases=[Phase.explicit])(test)()


def test_other_errors_give_no_example() -> None:
    error = ValueError("what failed")
    error.add_note("Failing on purpose")
    assert explicit_examples(error) == []
    assert explicit_examples(ExceptionGroup("two", [error, KeyError()])) == []


RNG = np.random.default_rng(1)
FIRST = float(np.random.default_rng(1).random())


@pytest.mark.parametrize("drawn", [1, 2, 3])
def test_each_test_draws_the_first_numbers_of_its_module(drawn: int) -> None:
    assert RNG.random(drawn)[0] == FIRST
