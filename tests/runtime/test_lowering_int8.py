"""Every integer operation but the cells in compiled code, bit for bit against the NumPy reference."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.products.forms import FORMS
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import (
    AnyOperation,
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Dense,
    Int8GroupedDense,
    Int8LogSoftmax,
    Int8Softmax,
    Int8Unary,
    IntegerFunction,
    Quantize,
    ReadState,
    Rearrange,
    StateRegion,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.lowering.int8 import elementwise, products
from edgernn.runtime.plan import Plan
from edgernn.runtime.runner import Runner

GATE_SCALE, UNIT = 2.0**-12, 2.0**-15
SHAPES = [((9,), (9,)), ((4, 5), (5,)), ((1,), (20,)), ((3, 1), (1, 7)), ((5,), (4, 5))]


def program_of(
    shapes: list[tuple[int, ...]], operations: list[AnyOperation], output: str, scale: float = UNIT, **more: Any
) -> Program:
    """Inputs x0, x1, ... become the int16 values q0, q1, ... of this scale; the one output is an int16 value."""
    weights = dict(more.pop("weights", {}))
    into: list[AnyOperation] = []
    for index, shape in enumerate(shapes):
        weights |= {f"m{index}": np.zeros(shape[-1], np.float32), f"i{index}": np.ones(shape[-1], np.float32)}
        names = {"mean": f"m{index}", "inverse": f"i{index}"}
        into.append(Quantize(name=f"in{index}", inputs=(f"x{index}",), outputs=(f"q{index}",), scale=scale, **names))
    out = Dequantize(name="out", inputs=(output,), outputs=("y",))
    description = ProgramDescription(
        inputs=tuple(InputDescription(f"x{index}", shape) for index, shape in enumerate(shapes)),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(*into, *operations, out),
        arithmetic="int8",
        **more,
    )
    return Program(description, weights)


def samples(shapes: list[tuple[int, ...]], steps: int, seed: int = 0) -> Any:
    """Integers anywhere in int16, many at its ends, as float32."""
    random = np.random.default_rng(seed)
    columns = {}
    for index, shape in enumerate(shapes):
        column = random.integers(-32768, 32768, (steps, *shape)).astype(np.float32)
        column[random.random(column.shape) < 0.2] = -32768
        column[random.random(column.shape) < 0.2] = 32767
        columns[f"x{index}"] = column
    return columns if len(shapes) > 1 else columns["x0"]


def assert_equal(program: Program, X: Any) -> None:
    found, expected = Runner(program).run(X), ReferenceRunner(program).run(X)
    assert found.tobytes() == expected.astype(np.float32).tobytes()


@pytest.mark.parametrize("tables", ["of this processor", "plain"])
@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "Clip", "Table", "Octaves", "OddOctaves"])
def test_functions_of_all_65536_inputs(name: str, tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tables == "plain":
        monkeypatch.setattr(elementwise, "table_form", lambda form="": "plain")
    random = np.random.default_rng(7)
    entries = {"Table": 513, "Octaves": 482, "OddOctaves": 482}.get(name, 0)
    function = IntegerFunction(name, -300, 20_000, "table" if entries else None)  # type: ignore[arg-type]
    unary = Int8Unary(name="f", inputs=("q0",), outputs=("v",), function=function, scale=GATE_SCALE)
    table = random.integers(-32767, 32768, entries).astype(np.int16)
    program = program_of([(256,)], [unary], "v", GATE_SCALE, weights={"table": table} if entries else {})
    assert_equal(program, np.arange(-32768, 32768, dtype=np.float32).reshape(256, 256))


@pytest.mark.parametrize("function", ["Add", "Sub", "Min", "Max", "Mul", "Div"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_binary_functions_broadcast(function: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    @settings(max_examples=4)
    @given(shifts=st.tuples(st.integers(2, 46), st.integers(2, 46)), seed=st.integers(0, 1000))
    def check(shifts: tuple[int, int], seed: int) -> None:
        m = tuple(np.random.default_rng(seed).integers(1 << 14, 1 << 15, 2).tolist())
        fields: dict[str, Any] = {"multipliers": m, "shifts": shifts}
        if function in ("Mul", "Div"):
            fields = {"multipliers": m[:1], "shifts": (max(shifts[0], 17 if function == "Mul" else 2),)}
        binary = Int8Binary(
            name="f",
            inputs=("q0", "q1"),
            outputs=("v",),
            function=function,
            scale=1.0,
            **fields,  # type: ignore[arg-type]
        )
        assert_equal(program_of(list(shapes), [binary], "v"), samples(list(shapes), 5, seed))

    check()


@pytest.mark.parametrize(("shape", "constants"), SHAPES)
def test_affine(shape: tuple[int, ...], constants: tuple[int, ...]) -> None:
    random = np.random.default_rng(3)
    weights = {
        "m": (random.choice([-1, 0, 1], constants) * random.integers(1 << 14, 1 << 15, constants)).astype(np.int16),
        "s": random.integers(2, 31, constants).astype(np.int8),
        "B": random.integers(-(1 << 28), 1 << 28, constants).astype(np.int32) >> random.integers(0, 20, constants),
    }
    weights["B"] = weights["B"].astype(np.int32)
    affine = Int8Affine(name="f", inputs=("q0",), outputs=("v",), multiplier="m", shift="s", B="B", scale=1.0)
    assert_equal(program_of([shape], [affine], "v", weights=weights), samples([shape], 20))


@pytest.mark.parametrize("tables", ["of this processor", "plain"])
def test_softmax(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tables == "plain":
        monkeypatch.setattr(elementwise, "table_form", lambda form="": "plain")

    @settings(max_examples=20)
    @given(
        shape=st.sampled_from([(1,), (2,), (7,), (16,), (40,), (3, 5)]),
        multiplier=st.integers(1 << 14, (1 << 15) - 1),
        shift=st.integers(2, 46),
        seed=st.integers(0, 1000),
    )
    def check(shape: tuple[int, ...], multiplier: int, shift: int, seed: int) -> None:
        softmax = Int8Softmax(name="f", inputs=("q0",), outputs=("v",), multiplier=multiplier, shift=shift)
        assert_equal(program_of([shape], [softmax], "v"), samples([shape], 6, seed))

    check()


def test_softmax_from_0_to_16_octaves_below_the_largest() -> None:
    """All 65,536 distances."""
    softmax = Int8Softmax(name="f", inputs=("q0",), outputs=("v",), multiplier=17_000, shift=14)
    others = np.arange(-32768, 32768).reshape(-1, 2)
    X = np.concatenate([np.full((len(others), 1), 32767), others], axis=1).astype(np.float32)
    assert_equal(program_of([(3,)], [softmax], "v"), X)


def rows_of(random: np.random.Generator, W: Any, bits: int, lowest_shift: int) -> dict[str, Any]:
    """Weights of a product, W (..., columns), with multipliers, shifts and biases that prove right."""
    rows = W.reshape(-1, W.shape[-1])
    shift = random.integers(lowest_shift, 40, len(rows)).astype(np.int8)
    shape = W.shape[:-1]
    return {
        "m": random.integers(1 << 14, 1 << 15, shape).astype(np.int16),
        "s": shift.reshape(shape),
        "B": random.integers(-(1 << 28), 1 << 28, shape).astype(np.int32) >> random.integers(0, 28, shape, np.int32),
    }


NAMES = {"W": "W", "W_multiplier": "m", "W_shift": "s", "B": "B"}


def dense(outputs: int, columns: int, bits: int, seed: int) -> tuple[Int8Dense, dict[str, Any]]:
    """A product, in every other seed of rows none of which shifts before it multiplies, as most models are."""
    random = np.random.default_rng(seed)
    W = random.choice(np.array([-128, 0, 127] if seed % 3 == 0 else range(-128, 128), np.int8), (outputs, columns))
    weights = {"W": W, **rows_of(random, W, bits, 17 if seed % 2 else 2)}
    return Int8Dense(name="d", inputs=("q0",), outputs=("v",), operand_bits=bits, scale=1.0, **NAMES), weights


@pytest.mark.parametrize(("form", "bits"), [(name, bits) for name, form in FORMS.items() for bits in form.operand_bits])
@pytest.mark.parametrize("outputs", [1, 3, 20])
def test_dense(form: str, bits: int, outputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all forms: narrow panels and such of more rows than a register has, of few columns and of many."""
    monkeypatch.setattr(products, "product_form", lambda operand_bits: form)
    for seed, columns in enumerate((1, 2, 6, 24, 33, 64, 65, 130, 200)):
        operation, weights = dense(outputs, columns, bits, seed)
        shape = (3, columns) if seed % 3 == 1 else (columns,)
        assert_equal(program_of([shape], [operation], "v", 1.0, weights=weights), samples([shape], 5, seed))


def limits(inputs: str) -> Int8Unary:
    function = IntegerFunction("Clip", -100, 20_000)
    return Int8Unary(name="f", inputs=(inputs,), outputs=("limited",), function=function, scale=1.0)


@pytest.mark.parametrize("outputs", [5, 20])
def test_limits_of_a_dense_layer_are_its_own(outputs: int) -> None:
    operation, weights = dense(outputs, 9, 16, 4)
    program = program_of([(9,)], [operation, limits("v")], "limited", 1.0, weights=weights)
    assert [kernel.module for kernel in Plan(program).kernels] == [
        "int8.elementwise.ports",
        "int8.products.dense",
        "int8.elementwise.ports",
    ]
    assert_equal(program, samples([(9,)], 20))


def test_limits_of_a_grouped_product_are_its_own() -> None:
    random = np.random.default_rng(6)
    W = random.integers(-128, 128, (2, 19, 3)).astype(np.int8)  # (outputs, groups, inputs)
    weights = {**rows_of(random, W, 16, 2), "W": np.ascontiguousarray(W.transpose(0, 2, 1))}
    operation = Int8GroupedDense(name="g", inputs=("q0",), outputs=("v",), operand_bits=16, scale=1.0, **NAMES)
    program = program_of([(3, 19)], [operation, limits("v")], "limited", 1.0, weights=weights)
    assert [kernel.module for kernel in Plan(program).kernels] == [
        "int8.elementwise.ports",
        "int8.products.grouped",
        "int8.elementwise.ports",
    ]
    assert_equal(program, samples([(3, 19)], 20))


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh", "Clip", "Table"])
def test_affine_arithmetic_and_its_function_are_one(name: str) -> None:
    random = np.random.default_rng(8)
    function = IntegerFunction(name, -300, 20_000, "table" if name == "Table" else None)  # type: ignore[arg-type]
    operations: list[AnyOperation] = [
        Int8Affine(name="a", inputs=("q0",), outputs=("v",), multiplier="m", shift="s", B="B", scale=GATE_SCALE),
        Int8Unary(name="f", inputs=("v",), outputs=("w",), function=function, scale=GATE_SCALE),
    ]
    weights = {
        "m": (random.choice([-1, 0, 1], 37) * random.integers(1 << 14, 1 << 15, 37)).astype(np.int16),
        "s": random.integers(12, 17, 37).astype(np.int8),
        "B": random.integers(-(1 << 15), 1 << 15, 37).astype(np.int32),
    }
    if name == "Table":
        weights["table"] = random.integers(-32768, 32768, 513).astype(np.int16)
    program = program_of([(37,)], operations, "w", GATE_SCALE, weights=weights)
    assert [kernel.module for kernel in Plan(program).kernels] == [
        "int8.elementwise.ports",
        "int8.elementwise.arithmetic",
        "int8.elementwise.ports",
    ]
    assert_equal(program, samples([(37,)], 30))


@pytest.mark.parametrize("shape", [(4,), (40,), (3, 5)])
def test_a_softmax_leaves_the_integers_by_itself(shape: tuple[int, ...]) -> None:
    softmax = Int8Softmax(name="f", inputs=("q0",), outputs=("v",), multiplier=20_000, shift=15)
    program = program_of([shape], [softmax], "v")
    counts = np.repeat(np.array([[0], [0], [16384], [1 << 13], [14]], np.int32), shape[-1], axis=1)
    quantize = msgspec.structs.replace(program.operations[0], counts="counts")
    description = msgspec.structs.replace(program.description, operations=(quantize, *program.operations[1:]))
    program = Program(description, dict(program.weights) | {"counts": counts})
    assert [kernel.module for kernel in Plan(program).kernels] == ["int8.elementwise.ports", "int8.reductions.softmax"]
    runner, reference = Runner(program), ReferenceRunner(program)
    for x in samples([shape], 10):
        np.testing.assert_array_equal(runner.step_raw(x.astype(int)), reference.step_raw(x.astype(int)))
        np.testing.assert_array_equal(runner.step(x), reference.step(x).astype(np.float32))


def test_a_softmax_that_something_else_reads_stays_in_integers() -> None:
    operations: list[AnyOperation] = [
        Int8Softmax(name="s", inputs=("q0",), outputs=("v",), multiplier=20_000, shift=15),
        Int8Binary(
            name="b",
            inputs=("v", "q0"),
            outputs=("w",),
            function="Sub",
            scale=1.0,
            multipliers=(16384, 16384),
            shifts=(15, 15),
        ),
        Dequantize(name="early", inputs=("v",), outputs=("scores",)),
    ]
    program = program_of([(6,)], operations, "w")
    assert (
        "int16"
        in next(kernel for kernel in Plan(program).kernels if kernel.module == "int8.reductions.softmax").options
    )
    assert_equal(program, samples([(6,)], 20))


def test_a_product_that_something_else_reads_keeps_its_numbers() -> None:
    operation, weights = dense(7, 9, 16, 4)
    both = Int8Binary(
        name="b",
        inputs=("v", "limited"),
        outputs=("y1",),
        function="Sub",
        scale=1.0,
        multipliers=(16384, 16384),
        shifts=(15, 15),
    )
    program = program_of([(9,)], [operation, limits("v"), both], "y1", 1.0, weights=weights)
    assert "int8.elementwise.arithmetic" in [kernel.module for kernel in Plan(program).kernels]
    assert_equal(program, samples([(9,)], 20))


@settings(max_examples=20)
@given(
    shape=st.sampled_from([(1,), (2,), (40,), (3, 5)]),
    multipliers=st.tuples(*[st.integers(1 << 14, (1 << 15) - 1)] * 2),
    shifts=st.tuples(st.integers(2, 46), st.integers(11, 46)),
    seed=st.integers(0, 1000),
)
def test_log_softmax(shape: tuple[int, ...], multipliers: tuple[int, int], shifts: tuple[int, int], seed: int) -> None:
    log_softmax = Int8LogSoftmax(
        name="f",
        inputs=("q0",),
        outputs=("v",),
        multiplier=multipliers[0],
        shift=shifts[0],
        output_multiplier=multipliers[1],
        output_shift=shifts[1],
        scale=1.0,
    )
    assert_equal(program_of([shape], [log_softmax], "v"), samples([shape], 6, seed))


def test_softmax_of_equal_scores_uses_the_first_entry_of_the_table() -> None:
    softmax = Int8Softmax(name="f", inputs=("q0",), outputs=("v",), multiplier=1 << 14, shift=14)
    (y,) = Runner(program_of([(1,)], [softmax], "v")).step([5.0])
    assert int8_tables.EXP2[0] == 32768
    assert y == np.float32(32767 * UNIT)


def test_rearrange_and_states_of_both_widths() -> None:
    """Moves of int16 values, and a state that is read by its high half."""
    region = StateRegion("s", 2)
    operations: list[AnyOperation] = [
        ReadState(name="read", inputs=(), outputs=("old",), region=region, shape=(3,), dtype="int16", scale=UNIT),
        ReadState(
            name="wide", inputs=(), outputs=("high",), region=StateRegion("w"), shape=(2,), dtype="int32",
            scale=UNIT / 65536,
        ),
        Rearrange(name="pick", inputs=("q0", "old", "high"), outputs=("v",), shape=(2, 4), indices="indices"),
        Rearrange(name="flat", inputs=("v",), outputs=("flat",), shape=(8,)),
        WriteState(name="write", inputs=("q0",), outputs=(), region=region, size=3, dtype="int16", scale=UNIT),
    ]  # fmt: skip
    slots = (StateSlot("s", (5,), "int16", scale=UNIT), StateSlot("w", (2,), "int32", "w0", scale=UNIT / 65536))
    weights = {
        "indices": np.array([7, 6, 5, 4, 3, 2, 1, 0], np.int32),
        "w0": np.array([-(1 << 31), (1 << 31) - 1], np.int32),
    }
    program = program_of([(3,)], operations, "flat", state=slots, weights=weights)
    assert_equal(program, samples([(3,)], 10))


@settings(max_examples=30)
@given(
    K=st.sampled_from([1, 3, 8, 13]),
    narrowing=st.integers(0, 15),
    shift=st.integers(0, 30),
    seed=st.integers(0, 1000),
)
def test_counts(K: int, narrowing: int, shift: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    limits = (1 << 30) - 1
    counts = np.stack(
        [
            random.integers(-limits, limits, K),
            np.full(K, narrowing),
            random.integers(-32767, 32768, K),
            random.integers(-limits, limits, K),
            np.full(K, shift),
        ]
    ).astype(np.int32)
    base = program_of([(K,)], [], "q0")
    quantize = msgspec.structs.replace(base.operations[0], counts="counts")
    description = msgspec.structs.replace(base.description, operations=(quantize, base.operations[1]))
    program = Program(description, dict(base.weights) | {"counts": counts})
    runner, reference = Runner(program), ReferenceRunner(program)
    for sample in (random.integers(-(1 << 31), 1 << 31, K), np.full(K, -(1 << 31)), np.full(K, (1 << 31) - 1)):
        assert runner.step_raw(sample).tolist() == reference.step_raw(sample).tolist()


def test_every_float_on_the_way_in() -> None:
    """Halves, ends and numbers that are beyond int16, by any mean and inverse."""
    random = np.random.default_rng(5)
    base = program_of([(64,)], [], "q0")
    weights = {
        "m0": random.normal(0, 100, 64).astype(np.float32),
        "i0": np.exp(random.uniform(-5, 10, 64)).astype(np.float32),
    }
    X = np.concatenate([random.normal(0, 100, (50, 64)), np.full((1, 64), 3e38), np.full((1, 64), -3e38)])
    assert_equal(Program(base.description, weights), X.astype(np.float32))
    assert_equal(base, np.tile(np.arange(-16, 16) / 2, (1, 2)).astype(np.float32))
