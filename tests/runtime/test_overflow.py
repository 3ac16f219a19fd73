"""Finite input never makes a NaN: huge inputs, states and weights, in every cell, in a cell of single operations."""

from functools import partial
from importlib import resources

import numpy as np
import pytest
from firmware_float_programs import PROGRAMS
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Programs
from small_programs import CELLS, cell_parts, cell_program, make, uniform

import edgernn
from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    Binary,
    ConstantValue,
    Dense,
    GateFunction,
    GroupedDense,
    Gru,
    MatMul,
    ReadState,
    Rearrange,
    Softmax,
    StateRegion,
    Unary,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner
from edgernn.stream.config import StreamSettings
from edgernn.stream.pipeline import Pipeline
from edgernn.stream.sources.base import Chunk
from edgernn.stream.sources.virtual_port import csv_frames

MAX_FLOAT32 = float(np.finfo(np.float32).max)
HUGE = np.array([MAX_FLOAT32, -MAX_FLOAT32, 3e38, -3e38, 1e30, -1e20, 1.0, 0.0], np.float32)


def unbounded_gru(before: bool) -> Program:
    """A GRU whose gates do not end at 1."""
    rng = np.random.default_rng(3)
    operation, weights, slots = cell_parts("gru_reset_first" if before else "gru", "cell", "x", 3, 5, rng)
    assert isinstance(operation, Gru)
    gates = (GateFunction("Affine", 2.0, 0.1), GateFunction("LeakyRelu", 3.0))
    fields = {field: getattr(operation, field) for field in operation.__struct_fields__} | {"activations": gates}
    return make((Gru(**fields),), weights, "cell.y", 3, slots)


def single_operations() -> Program:
    """A minimal gated unit of single operations: f = sigmoid(W [x, h]), n = tanh(U x), h' = h + f * (n - h)."""
    rng = np.random.default_rng(4)
    weights = {"W": uniform(rng, (4, 3), 1.0), "R": uniform(rng, (4, 4), 1.0), "U": uniform(rng, (4, 3), 1.0)}
    operations = (
        ReadState(name="read", inputs=(), outputs=("h",), region=StateRegion("h"), shape=(4,)),
        Dense(name="Wx", inputs=("x",), outputs=("a",), W="W"),
        Dense(name="Rh", inputs=("h",), outputs=("b",), W="R"),
        Binary(name="sum", inputs=("a", "b"), outputs=("p",), function="Add"),
        Unary(name="f", inputs=("p",), outputs=("f",), function="Sigmoid"),
        Dense(name="Ux", inputs=("x",), outputs=("u",), W="U"),
        Unary(name="n", inputs=("u",), outputs=("n",), function="Relu"),
        Binary(name="difference", inputs=("n", "h"), outputs=("d",), function="Sub"),
        Binary(name="part", inputs=("f", "d"), outputs=("e",), function="Mul"),
        Binary(name="new", inputs=("h", "e"), outputs=("y",), function="Add"),
        WriteState(name="write", inputs=("y",), outputs=(), region=StateRegion("h"), size=4),
        Softmax(name="scores", inputs=("y",), outputs=("z",), logarithm=True),
    )
    return make(operations, weights, "z", 3, [StateSlot("h", (4,))])


PROGRAMS_WITH_STATE = Programs(
    {
        **{kind: partial(cell_program, kind) for kind in CELLS},
        "wide gru": partial(cell_program, "gru", K=5, H=37),
        "wide lstm": partial(cell_program, "lstm", K=5, H=70),
        "gru after, unbounded": partial(unbounded_gru, before=False),
        "gru before, unbounded": partial(unbounded_gru, before=True),
        "clipped": PROGRAMS.maker("clipped"),
        "single operations": single_operations,
    }
)


def enlarged(program: Program, factor: float) -> Program:
    """The program with larger weights, none infinite."""
    weights = {
        name: np.clip(array.astype(np.float64) * factor, -MAX_FLOAT32, MAX_FLOAT32).astype(np.float32)
        for name, array in program.weights.items()
        if array.dtype == np.float32
    }
    return Program(program.description, {**program.weights, **weights})


@settings(max_examples=60)
@given(
    name=st.sampled_from(list(PROGRAMS_WITH_STATE)),
    factor=st.sampled_from([1.0, 1.0, 1e20, 3e38]),
    window=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_huge_numbers_make_no_nan(name: str, factor: float, window: bool, seed: int) -> None:
    program = PROGRAMS_WITH_STATE[name] if factor == 1.0 else enlarged(PROGRAMS_WITH_STATE[name], factor)
    if window:
        program = program.with_window(6, 2)
    rng = np.random.default_rng(seed)
    X = rng.choice(HUGE, (20, program.inputs[0].size))
    runner, stepped = Runner(program), Runner(program)
    for view, other in zip(runner.state.values(), stepped.state.values(), strict=True):
        view[...] = other[...] = rng.choice(HUGE, view.shape)
    Y = runner.run(X)
    assert np.isfinite(Y).all()
    assert all(np.isfinite(view[...]).all() for view in runner.state.values())
    frames = [y.copy() for y in map(stepped.step, X) if y is not None]
    assert np.array_equal(frames, Y)


@pytest.mark.parametrize("name", [name for name in PROGRAMS_WITH_STATE if "unbounded" not in name])
def test_what_overflows_is_what_the_reference_has(name: str) -> None:
    program = PROGRAMS_WITH_STATE[name]
    X = np.random.default_rng(5).choice(HUGE[:4], (12, program.inputs[0].size))
    expected = ReferenceRunner(program).run(X)
    Y = Runner(program).run(X)
    np.testing.assert_allclose(Y, expected, rtol=2e-5, atol=1e-5)


def test_a_sum_that_overflows_on_its_way_ends_where_it_must() -> None:
    """3e38 + 3e38 - 5e38 is 1e38, and its half -1e38 - 1e38 must not come out as infinity less infinity."""
    weights = {"W": np.array([[1, 1, -1, -1], [1, 1, 1, 1], [-1, -1, -1, 0.5]], np.float32)}
    program = make((Dense(name="sum", inputs=("x",), outputs=("y",), W="W"),), weights, "y", 4, [])
    for runner in (Runner(program), ReferenceRunner(program)):
        y = runner.step(np.array([3e38, 3e38, 2.5e38, 2.5e38], np.float32))
        np.testing.assert_allclose(y, [1e38, MAX_FLOAT32, -MAX_FLOAT32], rtol=1e-6)


BESIDE_A_LARGE_ONE = {
    "narrow": (Dense(name="sum", inputs=("x",), outputs=("y",), W="W"), 2),
    "panels": (Dense(name="sum", inputs=("x",), outputs=("y",), W="W"), 40),
    "grouped": (GroupedDense(name="sum", inputs=("z",), outputs=("y",), W="V"), 3),
    "plain": (MatMul(name="sum", inputs=("a", "b"), outputs=("y",)), 3),
    "transposed": (MatMul(name="sum", inputs=("a", "b"), outputs=("y",), transposed=True), 3),
}


@pytest.mark.parametrize("form", BESIDE_A_LARGE_ONE)
def test_a_small_sum_beside_one_that_overflows_keeps_its_number(form: str) -> None:
    operation, rows = BESIDE_A_LARGE_ONE[form]
    W = np.zeros((rows, 4), np.float32)
    W[0, :2], W[1, 2:] = 1, 1
    weights = {"W": W, "V": W.T[None]}
    flat = Rearrange(name="split", inputs=("x",), outputs=("z",), shape=(4, rows), indices="each")
    weights["each"] = np.repeat(np.arange(4), rows).astype(np.int32)
    row = Rearrange(name="row", inputs=("x",), outputs=("a",), shape=(1, 4))
    matrix = ConstantValue(name="matrix", inputs=(), outputs=("b",), weight_name="B")
    weights["B"] = W if form == "transposed" else np.ascontiguousarray(W.T)
    before = {"grouped": (flat,), "plain": (row, matrix), "transposed": (row, matrix)}.get(form, ())
    used = {"grouped": ("V", "each"), "plain": ("B",), "transposed": ("B",)}.get(form, ("W",))
    program = make((*before, operation), {name: weights[name] for name in used}, "y", 4, [])
    x = np.array([3e38, 3e38, 1e-20, 2e-20], np.float32)
    for runner in (Runner(program), ReferenceRunner(program)):
        y = np.ravel(runner.step(x))
        np.testing.assert_allclose(np.minimum(y[:2], MAX_FLOAT32), [MAX_FLOAT32, 3e-20], rtol=1e-6)
        assert not y[2:].any()


@pytest.mark.parametrize("name", [name for name in PROGRAMS_WITH_STATE if "unbounded" not in name])
def test_a_small_state_beside_one_that_overflows_is_what_the_reference_has(name: str) -> None:
    """One unit's sums overflow, those of the others are small."""
    program = PROGRAMS_WITH_STATE[name]
    weights = {
        key: np.where(np.arange(len(array)).reshape(-1, *(1,) * (array.ndim - 1)) % 4 == 1, array * 1e6, array * 1e-30)
        if array.dtype == np.float32
        else array
        for key, array in program.weights.items()
    }
    program = Program(program.description, {k: np.asarray(v, program.weights[k].dtype) for k, v in weights.items()})
    X = np.full((3, program.inputs[0].size), 3e37, np.float32)
    expected = ReferenceRunner(program).run(X)
    np.testing.assert_allclose(Runner(program).run(X), expected, rtol=2e-5, atol=1e-12)


def test_a_nan_that_a_function_makes_is_passed_on() -> None:
    operations = (
        Unary(name="log", inputs=("x",), outputs=("a",), function="Log"),
        Dense(name="sum", inputs=("a",), outputs=("y",), W="W"),
    )
    runner = Runner(make(operations, {"W": np.ones((2, 2), np.float32)}, "y", 2, []))
    assert np.isnan(runner.step([1.0, -1.0])).all()
    assert runner.step([1.0, 1.0]).tolist() == [0.0, 0.0]


def test_the_infinity_of_a_pole_stays_infinite() -> None:
    operations = (
        Unary(name="log", inputs=("x",), outputs=("a",), function="Log"),
        Binary(name="sum", inputs=("a", "x"), outputs=("y",), function="Add"),
    )
    program = make(operations, {}, "y", 2, [])
    for runner in (Runner(program), ReferenceRunner(program)):
        with np.errstate(divide="ignore"):
            assert np.asarray(runner.step([1.0, 0.0])).tolist() == [1.0, -np.inf]


def test_the_demo_survives_a_stream_of_the_largest_numbers() -> None:
    program = edgernn.load(resources.files("edgernn") / "data" / "demo_model.onnx")
    channels = program.inputs[0].size
    pipeline = Pipeline(program, StreamSettings(format="csv", continuous=True), whole_start=True)
    rng = np.random.default_rng(0)
    samples = rng.choice([3e38, -3e38, 1.0], (200, channels))
    samples[:50] = 3e38
    for place, frame in enumerate(csv_frames(samples)):
        pipeline.feed(Chunk(frame, place * 20_000_000, 0, 0))
    counts = pipeline.counts()
    assert np.isfinite(pipeline.scores).all()
    assert (counts["samples"], counts["diverged"]) == (200, 0)
