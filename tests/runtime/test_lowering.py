"""Every other operation in compiled code, in all its forms, against the float64 reference."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_operations import largest_difference, program_of

from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    BINARY_FUNCTIONS,
    AnyOperation,
    Binary,
    Dense,
    ReadState,
    Rearrange,
    Softmax,
    StateRegion,
    Unary,
    WriteState,
)
from edgernn.runtime.plan import Plan
from edgernn.runtime.runner import Runner

SHAPES = st.sampled_from([(1,), (3,), (8,), (17,), (64,), (2, 5), (3, 1, 4), (130,)])


@settings(max_examples=25)
@given(shape=SHAPES, outputs=st.integers(1, 70), bias=st.booleans())
def test_dense(shape: tuple[int, ...], outputs: int, bias: bool) -> None:
    random = np.random.default_rng(outputs)
    weights = {"W": random.uniform(-1, 1, (outputs, shape[-1])).astype(np.float32)}
    if bias:
        weights["B"] = random.uniform(-1, 1, outputs).astype(np.float32)
    dense = Dense(name="dense", inputs=("x0",), outputs=("y",), W="W", B="B" if bias else None)
    assert largest_difference(program_of([shape], [dense], "y", **weights)) < 1e-5


@settings(max_examples=25)
@given(shape=SHAPES, logarithm=st.booleans())
def test_softmax(shape: tuple[int, ...], logarithm: bool) -> None:
    softmax = Softmax(name="softmax", inputs=("x0",), outputs=("y",), logarithm=logarithm)
    assert largest_difference(program_of([shape], [softmax], "y")) < 1e-6


def test_softmax_of_large_numbers_and_ties() -> None:
    runner = Runner(program_of([(11,)], [Softmax(name="softmax", inputs=("x0",), outputs=("y",))], "y"))
    assert np.abs(runner.step(np.full(11, 3e38)) - 1 / 11).max() < 1e-7
    assert runner.step([1e4, -1e4, *[-3e38] * 9]).tolist() == [1.0] + [0.0] * 10


@pytest.mark.parametrize("function", BINARY_FUNCTIONS)
@pytest.mark.parametrize(
    ("left", "right"), [((9,), (9,)), ((4, 5), (5,)), ((1,), (20,)), ((3, 1), (1, 7)), ((2, 3), (1,)), ((5,), (4, 5))]
)
def test_binary_functions_broadcast(function: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    positive = function in ("Pow", "Div")
    between = Binary(name="f", inputs=("x0", "x1"), outputs=("y",), function=function)
    assert largest_difference(program_of([left, right], [between], "y"), positive=positive) < 2e-6
    constant = np.random.default_rng(4).uniform(0.5, 2, right).astype(np.float32)
    for side in ("left", "right"):
        operation = Binary(
            name="f", inputs=("x0",), outputs=("y",), function=function, constant="c", constant_side=side
        )
        assert largest_difference(program_of([left], [operation], "y", c=constant), positive=positive) < 2e-6


@pytest.mark.parametrize("function", ["Min", "Max"])
def test_minimum_and_maximum_pass_nan_on(function: str) -> None:
    nan = Binary(name="divide", inputs=("x0", "x0"), outputs=("nan",), function="Div")
    for inputs in (("nan", "x0"), ("x0", "nan")):
        pick = Binary(name="pick", inputs=inputs, outputs=("y",), function=function)
        assert np.isnan(Runner(program_of([(5,)], [nan, pick], "y")).step(np.zeros(5))).all()


@settings(max_examples=25)
@given(shapes=st.lists(SHAPES, min_size=1, max_size=3), seed=st.integers(0, 100), pick=st.booleans())
def test_rearrange(shapes: list[tuple[int, ...]], seed: int, pick: bool) -> None:
    available = sum(map(prod, shapes))
    names = tuple(f"x{index}" for index in range(len(shapes)))
    weights = {}
    if pick:
        indices = np.random.default_rng(seed).integers(0, available, 2 * available // 2 + 1)
        weights["indices"] = indices.astype(np.int32)
    shape = (weights["indices"].size,) if pick else (available, 1)
    operation = Rearrange(name="move", inputs=names, outputs=("y",), shape=shape, indices="indices" if pick else None)
    assert largest_difference(program_of(shapes, [operation], "y", **weights)) == 0


def test_explicit_state_is_read_and_written_in_parts() -> None:
    """A delay line of two samples in one slot: y = x[t] + x[t-2]."""
    slots = (StateSlot("line", (2, 3)),)
    operations: list[AnyOperation] = [
        ReadState(name="old", inputs=(), outputs=("old",), region=StateRegion("line", 3), shape=(3,)),
        ReadState(name="last", inputs=(), outputs=("last",), region=StateRegion("line"), shape=(3,)),
        Binary(name="add", inputs=("x0", "old"), outputs=("y",), function="Add"),
        WriteState(name="shift", inputs=("last",), outputs=(), region=StateRegion("line", 3), size=3),
        WriteState(name="keep", inputs=("x0",), outputs=(), region=StateRegion("line"), size=3),
    ]
    program = program_of([(3,)], operations, "y", slots)
    X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    delayed = np.concatenate([np.zeros((2, 3), np.float32), X[:-2]])
    assert Runner(program).run(X).tobytes() == (X + delayed).tobytes()
    assert largest_difference(program, steps=20) < 1e-6


def test_tiny_numbers_written_to_a_state_become_zero() -> None:
    write = WriteState(name="write", inputs=("x0",), outputs=(), region=StateRegion("s"), size=4)
    runner = Runner(program_of([(4,)], [write], "x0", (StateSlot("s", (4,)),)))
    runner.step([1e-31, -1e-40, 1e-30, -1.0])
    assert np.asarray(runner.state["s"]).tolist() == [0, 0, np.float32(1e-30), -1]


def test_an_output_may_be_an_input() -> None:
    runner = Runner(program_of([(2, 2)], [], "x0"))
    assert runner.step([1.0, 2.0, 3.0, 4.0]).tolist() == [[1, 2], [3, 4]]
    assert runner.step(np.ones((2, 2))).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("function", ["Relu", "Tanh", "Sigmoid", "Elu"])
@pytest.mark.parametrize("shape", [(9,), (3, 20)])
def test_a_function_of_a_matrix_product_is_fused_where_nothing_else_reads_the_product(
    function: str, shape: tuple[int, ...]
) -> None:
    weights = {"W": np.random.default_rng(1).uniform(-1, 1, (37, shape[-1])).astype(np.float32)}
    dense = Dense(name="dense", inputs=("x0",), outputs=("sums",), W="W")
    unary = Unary(name="unary", inputs=("sums",), outputs=("y",), function=function)
    both = Binary(name="both", inputs=("y", "sums"), outputs=("z",), function="Mul")
    fused, apart = (
        program_of([shape], [dense, unary], "y", **weights),
        program_of([shape], [dense, unary, both], "z", **weights),
    )
    assert largest_difference(fused) < 1e-5
    assert largest_difference(apart) < 1e-5
    assert len(Plan(fused).kernels) == (2 if function == "Elu" else 1)
    assert len(Plan(apart).kernels) == 3
