"""Operations over features in compiled code, in all their forms, against the float64 reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_operations import largest_difference, program_of

from edgernn.errors import InputError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import (
    AnyOperation,
    ArgMax,
    Binary,
    ConstantValue,
    Convert,
    GroupedDense,
    LayerNorm,
    Lookup,
    MatMul,
    Rearrange,
    Reduce,
    TopK,
    Unary,
    Where,
)
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

sizes = st.integers(1, 40)
seeds = st.integers(0, 1000)


def uniform(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@settings(max_examples=40)
@given(rows=st.integers(1, 3), inputs=st.integers(1, 9), outputs=st.integers(1, 4), groups=sizes, bias=st.booleans())
def test_grouped_dense(rows: int, inputs: int, outputs: int, groups: int, bias: bool) -> None:
    weights = {"W": uniform(groups, outputs, inputs, groups)}
    if bias:
        weights["B"] = uniform(inputs, outputs, groups)
    operation = GroupedDense(name="g", inputs=("x0",), outputs=("y",), W="W", B="B" if bias else None)
    shape = (inputs, groups) if rows == 1 else (rows, inputs, groups)
    assert largest_difference(program_of([shape], [operation], "y", **weights)) < 1e-5


@settings(max_examples=40)
@given(matrices=st.integers(1, 3), n=st.integers(1, 5), k=sizes, m=sizes, transposed=st.booleans())
def test_matmul(matrices: int, n: int, k: int, m: int, transposed: bool) -> None:
    front = () if matrices == 1 else (matrices,)
    shapes = [(*front, n, k), (*front, m, k) if transposed else (*front, k, m)]
    operation = MatMul(name="m", inputs=("x0", "x1"), outputs=("y",), transposed=transposed)
    program = program_of(shapes, [operation], "y")
    assert largest_difference(program) < 2e-5


@pytest.mark.parametrize("kind", ["grouped", "matmul"])
def test_what_lies_behind_a_value_is_no_overflow(kind: str) -> None:
    divide = Binary(name="d", inputs=("x0", "x1"), outputs=("q",), function="Div")  # 0 / 0 behind its last number
    operation: AnyOperation = GroupedDense(name="o", inputs=("q",), outputs=("y",), W="W")
    if kind == "matmul":
        operation = MatMul(name="o", inputs=("x0", "q"), outputs=("y",), transposed=False)
    shape = (4, 3) if kind == "grouped" else (3, 3)
    weights = {"W": uniform(0, 2, 4, 3)} if kind == "grouped" else {}
    program = program_of([shape, shape], [divide, operation], "y", **weights)
    sample = {"x0": uniform(1, *shape), "x1": 1 + uniform(2, *shape) ** 2}
    y, expected = Runner(program).step(sample), ReferenceRunner(program).step(sample)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@settings(max_examples=60)
@given(
    function=st.sampled_from(["Sum", "Mean", "Max", "Min", "Prod"]),
    shape=st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple),
    axis=st.integers(0, 2),
)
def test_reduce(function: str, shape: tuple[int, ...], axis: int) -> None:
    operation = Reduce(name="r", inputs=("x0",), outputs=("y",), function=function, axis=axis % len(shape))
    assert largest_difference(program_of([shape], [operation], "y")) < 1e-5


@pytest.mark.parametrize("function", ["Max", "Min"])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (40,)])
def test_a_largest_number_passes_nan_on(function: str, shape: tuple[int, ...]) -> None:
    divide = Binary(name="divide", inputs=("x0", "x0"), outputs=("nan",), function="Div")
    reduce = Reduce(name="r", inputs=("nan",), outputs=("y",), function=function)
    runner = Runner(program_of([shape], [divide, reduce], "y"))
    for index in range(shape[0]):
        x = np.ones(shape)
        x[index] = 0
        assert np.isnan(runner.step(x)).all()


@settings(max_examples=40)
@given(rows=st.integers(1, 3), size=sizes, scale=st.booleans(), bias=st.booleans(), centred=st.booleans())
def test_layer_norm(rows: int, size: int, scale: bool, bias: bool, centred: bool) -> None:
    weights = ({"s": uniform(1, size)} if scale else {}) | ({"b": uniform(2, size)} if bias else {})
    names = {"scale": "s" if scale else None, "bias": "b" if bias else None}
    operation = LayerNorm(name="n", inputs=("x0",), outputs=("y",), centred=centred, **names)
    assert largest_difference(program_of([(rows, size)], [operation], "y", **weights)) < 2e-5


def test_layer_norm_around_a_large_mean() -> None:
    runner = Runner(program_of([(50,)], [LayerNorm(name="n", inputs=("x0",), outputs=("y",))], "y"))
    x = 1000 + np.random.default_rng(0).integers(-8, 8, 50)
    assert np.abs(runner.step(x) - (x - x.mean()) / np.sqrt(x.var() + 1e-5)).max() < 1e-4


@settings(max_examples=40)
@given(rows=st.integers(1, 3), size=sizes, last=st.booleans(), smallest=st.booleans(), seed=seeds)
def test_arg_max_of_equal_numbers(rows: int, size: int, last: bool, smallest: bool, seed: int) -> None:
    operation = ArgMax(name="a", inputs=("x0",), outputs=("y",), last=last, smallest=smallest)
    program = program_of([(rows, size)], [operation], "y")
    X = np.random.default_rng(seed).integers(-2, 3, (4, rows, size))
    found = Runner(program).run(X)
    assert found.dtype == np.int32
    assert found.tolist() == ReferenceRunner(program).run(X).tolist()


@settings(max_examples=40)
@given(rows=st.integers(1, 3), size=sizes, k=sizes, largest=st.booleans(), seed=seeds)
def test_top_k(rows: int, size: int, k: int, largest: bool, seed: int) -> None:
    operation = TopK(name="t", inputs=("x0",), outputs=("numbers", "where"), k=min(k, size), largest=largest)
    description = ProgramDescription(
        inputs=(InputDescription("x0", (rows, size)),),
        outputs=tuple(OutputDescription(name, name, per_frame=True) for name in operation.outputs),
        operations=(operation,),
    )
    program = Program(description, {})
    X = np.random.default_rng(seed).integers(-9, 9, (3, rows, size))
    found, expected = Runner(program).run(X), ReferenceRunner(program).run(X)
    for name in operation.outputs:
        assert found[name].tolist() == expected[name].tolist()


@settings(max_examples=25)
@given(size=sizes)
def test_where(size: int) -> None:
    sign = Unary(name="s", inputs=("x0",), outputs=("positive",), function="Sign")
    relu = Unary(name="r", inputs=("positive",), outputs=("condition",), function="Relu")
    where = Where(name="w", inputs=("condition", "x1", "x2"), outputs=("y",))
    assert largest_difference(program_of([(size,)] * 3, [sign, relu, where], "y")) < 1e-6


@pytest.mark.parametrize("function", ["Sin", "Cos"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0, 1e6, 1e9])
def test_sine_and_cosine(function: str, scale: float) -> None:
    runner = Runner(program_of([(1000,)], [Unary(name="f", inputs=("x0",), outputs=("y",), function=function)], "y"))
    x = (uniform(5, 1000) * scale).astype(np.float32)
    expected = getattr(np, function.lower())(x.astype(np.float64))
    assert np.abs(runner.step(x) - expected).max() < 1e-7
    assert np.abs(runner.step(np.full(1000, 3e38))).max() <= 1


@pytest.mark.parametrize("function", ["Floor", "Ceil", "Round", "Sign", "Not"])
def test_functions_that_give_whole_numbers(function: str) -> None:
    program = program_of([(12,)], [Unary(name="f", inputs=("x0",), outputs=("y",), function=function)], "y")
    x = np.array([0, -0.0, 0.5, 1.5, -0.5, -2.5, 2.0**23 - 0.5, 2.0**23, -(2.0**23) - 1, 3e38, -1e-30, 0.99999994])
    assert Runner(program).step(x).tolist() == ReferenceRunner(program, np.float32).step(x).tolist()


@settings(max_examples=60)
@given(
    a=st.floats(-(2.0**127), 2.0**127, width=32),
    b=st.floats(-(2.0**127), 2.0**127, width=32).filter(lambda b: abs(b) > 1e-37),
)
def test_mod_is_exact(a: float, b: float) -> None:
    mod = Binary(name="m", inputs=("x0", "x1"), outputs=("y",), function="Mod")
    runner = Runner(program_of([(1,), (1,)], [mod], "y"))
    assert runner.step({"x0": [a], "x1": [b]})[0] == np.fmod(np.float32(a), np.float32(b))


def test_convert_cuts_fractions_off_and_stays_in_range() -> None:
    convert = Convert(name="c", inputs=("x0",), outputs=("y",), dtype="int32")
    back = Convert(name="b", inputs=("y",), outputs=("z",), dtype="float32")
    same = Convert(name="s", inputs=("z",), outputs=("w",), dtype="float32")
    runner = Runner(program_of([(6,)], [convert], "y"))
    assert runner.step([1.9, -1.9, 0.5, 3e38, -3e38, -0.0]).tolist() == [1, -1, 0, 2**31 - 1, -(2**31), 0]
    runner = Runner(program_of([(3,)], [convert, back, same], "w"))
    assert runner.step([1.9, -1.9, 7.0]).tolist() == [1, -1, 7]


def test_a_constant_needs_no_row() -> None:
    constant = ConstantValue(name="c", inputs=(), outputs=("c",), weight_name="k")
    add = Binary(name="a", inputs=("x0", "c"), outputs=("y",), function="Add")
    runner = Runner(program_of([(3,)], [constant, add], "y", k=np.array([1, 2, 3], np.float32)))
    assert runner.step([1.0, 1.0, 1.0]).tolist() == [2, 3, 4]
    assert len(runner._memory.plan.kernels) == 1


def word_program(dtype: str = "int32", rows: int = 5, words: int = 3) -> Program:
    """Rows of a table by id, after the ids were turned round."""
    description = ProgramDescription(
        inputs=(InputDescription("ids", (words,), dtype),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Rearrange(name="turn", inputs=("ids",), outputs=("turned",), shape=(words,), indices="order"),
            Lookup(name="look", inputs=("turned",), outputs=("y",), table="table"),
        ),
    )
    table = np.arange(rows * 7, dtype=np.float32).reshape(rows, 7)
    return Program(description, {"table": table, "order": np.arange(words, dtype=np.int32)[::-1].copy()})


def test_lookup_takes_rows_of_its_table() -> None:
    program = word_program()
    runner = Runner(program)
    X = np.random.default_rng(0).integers(-5, 5, (20, 3))
    assert runner.run(X).tolist() == ReferenceRunner(program).run(X).tolist()
    for ids in ([0, 1, 4], (0, 1, 4), np.array([0, 1, 4], np.uint8), [0.0, 1.0, 4.0], np.array([0, 1, 4], ">i8")):
        assert runner.step(ids)[:, 0].tolist() == [28, 7, 0]
    assert runner.step({"ids": [-1, -5, 0]})[:, 0].tolist() == [0, 0, 28]


@pytest.mark.parametrize("ids", [[0, 5, 0], [0, 0, -6], [2**40, 0, 0], [0.5, 0, 0], [float("nan"), 0, 0]])
def test_ids_outside_of_the_table_are_refused(ids: list[float]) -> None:
    runner = Runner(word_program())
    for call in (runner.step, lambda x: runner.run([x, x])):
        with pytest.raises(InputError, match="input ids holds"):
            call(ids)
    assert runner._memory.steps == 0


HUGE = [
    GroupedDense(name="f", inputs=("x0",), outputs=("y",), W="W"),
    *(MatMul(name="f", inputs=("x0", "x1"), outputs=("y",), transposed=transposed) for transposed in (False, True)),
    *(
        Reduce(name="f", inputs=("x0",), outputs=("y",), function=function, axis=axis)
        for function in ("Sum", "Mean", "Prod")
        for axis in (0, 1)
    ),
    LayerNorm(name="f", inputs=("x0",), outputs=("y",)),
]


@pytest.mark.parametrize("operation", HUGE, ids=[f"{type(one).__name__}{k}" for k, one in enumerate(HUGE)])
def test_finite_input_never_makes_a_nan(operation: AnyOperation) -> None:
    """Sums that are too large saturate; a later infinity minus infinity cannot be."""
    weights = {"W": np.random.default_rng(0).choice([-3e38, 0, 3e38], (2, 20, 20)).astype(np.float32)}
    runner = Runner(program_of([(20, 20)] * len(operation.inputs), [operation], "y", **weights))
    for seed in range(5):
        signs = np.random.default_rng(seed).choice([-1, 0, 1], (2, 20, 20))
        y = runner.step({name: 3e38 * sign for name, sign in zip(operation.inputs, signs, strict=False)})
        assert np.isfinite(y).all()


def test_a_mean_of_huge_numbers_is_exact() -> None:
    for axis in (0, 1):
        mean = Reduce(name="f", inputs=("x0",), outputs=("y",), function="Mean", axis=axis)
        y = Runner(program_of([(20, 20)], [mean], "y")).step(np.full((20, 20), 3e38))
        assert np.abs(y / 3e38 - 1).max() < 1e-6
