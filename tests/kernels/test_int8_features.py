"""Integer products, reductions, normalisation and choices: compiled kernels equal the NumPy reference, to the bit."""

from __future__ import annotations

import itertools
from typing import Any

import int8_feature_programs as programs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

sizes = st.integers(1, 40)
seeds = st.integers(0, 10_000)


def check(program: Program, steps: int = 12, seed: int = 0) -> None:
    X = programs.counts_for(program, steps, seed)
    reference, runner = ReferenceRunner(program), Runner(program)
    for x in X:
        expected, actual = reference.step_raw(x), runner.step_raw(x)
        pairs: Any = expected.items() if isinstance(expected, dict) else [(None, expected)]
        for name, array in pairs:
            found = actual[name] if name is not None else actual
            assert np.array_equal(array, found), name
    for slot in program.state:
        stored = np.asarray(runner.state[slot.name], np.float64)  # float32 where it has a scale
        assert np.allclose(reference.state[slot.name] * (slot.scale or 1), stored, rtol=1e-7, atol=0)


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(1, 9), sizes, st.sampled_from([8, 16]), seeds)
def test_grouped_dense(outputs: int, inputs: int, groups: int, bits: int, seed: int) -> None:
    check(programs.grouped(outputs, inputs, groups, bits, seed), seed=seed)


@pytest.mark.parametrize("fill", [-128, 127])
@pytest.mark.parametrize("bits", [8, 16])
def test_grouped_dense_at_the_bound(bits: int, fill: int) -> None:
    check(programs.grouped(2, 100, 17, bits, fill=fill))


@settings(max_examples=15)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 70), sizes, st.booleans(), st.sampled_from([8, 16]), seeds)
def test_matmul(batch: int, n: int, k: int, m: int, transposed: bool, bits: int, seed: int) -> None:
    check(programs.matmul(batch, n, k, m, transposed, bits, seed), seed=seed)


@settings(max_examples=15)
@given(
    st.sampled_from(["Sum", "Mean", "Max", "Min"]),
    st.tuples(sizes, st.integers(1, 20), sizes),
    st.integers(0, 2),
    seeds,
)
def test_reduce(function: str, shape: tuple[int, int, int], axis: int, seed: int) -> None:
    check(programs.reduce(function, shape, axis, seed), 5, seed)


@settings(max_examples=15)
@given(
    st.sampled_from(["Sum", "Mean", "Max", "Min"]),
    sizes,
    seeds,
    st.sampled_from([-(1 << 47), -1, 0, 1, 65_535, (1 << 31) - 3, (1 << 40) - 2, 1 << 40, 1 << 47]),
    st.integers(0, 7),
)
def test_running_reduce(function: str, size: int, seed: int, count: int, bits: int) -> None:
    check(programs.running(function, size, seed, count, bits), seed=seed)


ENDS = {bits: (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (32, 64)}


@settings(max_examples=40)
@given(
    st.integers(1, 3),
    sizes,
    st.sampled_from([0.0, 0.1, 1.0, 8.0, 20.0, 60.0, 500.0, 60_000.0]),
    st.integers(0, 7),
    seeds,
    st.none()
    | st.tuples(
        st.sampled_from([*ENDS[32], -(1 << 29), 1 << 29, -5000, 0, 4095, 250_000]),
        st.sampled_from([*ENDS[64], -1, 0, 1, (1 << 43) - 1, (1 << 44) - 1, 1 << 44, (1 << 45) - 1, 1 << 45, 1 << 50]),
        st.sampled_from([*ENDS[64], -(1 << 60) - 1, -(1 << 58), -1, 0, 1 << 58, 1 << 60]),
    ),
)
def test_running_softmax(
    groups: int, size: int, octaves: float, bits: int, seed: int, begin: tuple[int, ...] | None
) -> None:
    check(programs.running_softmax(groups, size, octaves, bits, seed, begin), 20, seed)


def test_running_softmax_whose_states_are_set_between_steps() -> None:
    program = programs.running_softmax(2, 5, bits=3)
    reference, runner = ReferenceRunner(program), Runner(program)
    choices = itertools.product((-1e300, 0.0, 1e300), repeat=3)
    for x, numbers in zip(programs.counts_for(program, 27), choices, strict=True):
        for slot, number in zip(program.state, numbers, strict=True):
            runner.state[slot.name][...] = number
            limits = np.iinfo(slot.dtype)
            reference.state[slot.name][...] = limits.min if number < 0 else limits.max if number > 0 else 0
        for _ in range(3):
            assert np.array_equal(reference.step_raw(x), runner.step_raw(x))


@settings(max_examples=15)
@given(
    st.integers(1, 3),
    st.one_of(sizes, st.just(2048)),
    st.sampled_from([0, 1, 1000, 1 << 33, 1 << 60]),
    st.integers(6, 12),
    seeds,
    st.booleans(),
)
def test_layer_norm(rows: int, size: int, epsilon: int, norm_bits: int, seed: int, centred: bool) -> None:
    check(programs.layer_norm(rows, size, epsilon, norm_bits, seed, centred), 6, seed)


@settings(max_examples=15)
@given(sizes, seeds)
def test_choices(size: int, seed: int) -> None:
    program = programs.choices(size, seed)
    check(program, seed=seed)
