"""Channels between layers, brought to other ranges: the same float function, and integers that lose less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_sequence_graphs import RandomGraph
from small_programs import CELLS, cell_parts, make, recording, uniform
from unquantized_programs import PROGRAMS, history, ring, sample

import edgernn
from edgernn.errors import MalformedModelError, QuantizationError
from edgernn.importers.onnx.importer import import_model
from edgernn.program.description import Equalization, InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.file import load_program, save
from edgernn.program.operations import (
    AnyOperation,
    Binary,
    ConstantValue,
    Dense,
    GroupedDense,
    LayerNorm,
    Lookup,
    PutFrame,
    ReadState,
    Rearrange,
    Reduce,
    Repeat,
    RunningReduce,
    Softmax,
    StateRegion,
    TakeFrame,
    Unary,
    Where,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.program.trees import walk
from edgernn.quantizer import compare, quantization, quantize
from edgernn.quantizer.calibration import CalibrationTrace, read_recordings, trace
from edgernn.quantizer.channels import FIXED, find_channels
from edgernn.quantizer.cross_layer_equalization import equalized
from edgernn.quantizer.division import divided
from edgernn.quantizer.factors import Product, best_factors
from edgernn.quantizer.page import quantization_page
from edgernn.quantizer.settings import Settings
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.plan import Plan
from edgernn.runtime.runner import Runner

WATCH = Path(__file__).parents[1] / "models" / "watch"
K, C = 3, 12  # inputs, channels between the layers


def spread(rng: np.random.Generator) -> np.ndarray:
    """Sizes of channels over 1000:1."""
    return (10.0 ** rng.permutation(np.linspace(-1.5, 1.5, C))).astype(np.float32)


def pair(
    *between: AnyOperation,
    last: str,
    features: int = C,
    seed: int = 0,
    weights: dict[str, np.ndarray] | None = None,
    state: tuple[StateSlot, ...] = (),
    output: str = "y",
) -> Program:
    """Dense layers "first" and "second", the channels of the first spread; `between` reads "a" and writes `last`."""
    rng = np.random.default_rng(seed)
    size = spread(rng)
    arrays = {
        "W1": uniform(rng, (C, K), 1.0) * size[:, None],
        "B1": uniform(rng, (C,), 0.2) * size,
        "W2": uniform(rng, (4, features), 1.0) / np.tile(size, -(-features // C))[:features],
    }
    operations = (
        Dense(name="first", inputs=("x",), outputs=("a",), W="W1", B="B1"),
        *between,
        Dense(name="second", inputs=(last,), outputs=("y",), W="W2"),
    )
    return make(operations, arrays | (weights or {}), output, K, list(state))


def relu(source: str = "a", result: str = "b") -> Unary:
    return Unary(name=result, inputs=(source,), outputs=(result,), function="Relu")


def rewritten(program: Program, X: Any = None, **choices: Any) -> Program:
    """The float program with its channels equalized."""
    X = recording(K) if X is None else X
    return equalized(program, trace(program, read_recordings(program, X)), Settings(**choices))[0]


def root_mean_square(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def lost(program: Program, X: np.ndarray, **choices: Any) -> float:
    """What quantizing takes from the output."""
    return root_mean_square(ReferenceRunner(program).run(X) - ReferenceRunner(quantize(program, X, **choices)).run(X))


@settings(max_examples=8)
@given(st.sampled_from(["w8a16", "w8a8"]), st.integers(0, 1000))
def test_channels_spread_over_1000_to_1_lose_far_less(operands: str, seed: int) -> None:
    program, X = pair(relu(), last="b", seed=seed), recording(K, seed=seed)
    assert lost(program, X, operands=operands) < 0.3 * lost(program, X, operands=operands, equalize=False)


def shifted() -> Program:
    """One of two layers in 8 bits, between them what a TCN has: a ring, taps that are laid side by side, a sum."""
    operations = (
        relu(),
        history("ring", "b", C, 3),
        Rearrange(name="flat", inputs=("ring",), outputs=("flat",), shape=(3 * C,)),
    )
    return pair(*operations, last="flat", features=3 * C, state=ring("ring", 3, C))


@pytest.mark.parametrize("operands", ["w8a16", "w8a8"])
def test_convolutions_over_time_lose_far_less(operands: str) -> None:
    X = recording(K)
    assert lost(shifted(), X, operands=operands) < 0.3 * lost(shifted(), X, operands=operands, equalize=False)


def test_factors_cost_nothing_when_it_runs() -> None:
    X = recording(K)
    int8, without = (quantize(shifted(), X, operands="w8a8", equalize=choice) for choice in (True, False))
    assert np.array_equal(np.asarray(ReferenceRunner(int8, np.float32).run(X), np.float32), Runner(int8).run(X))
    assert Plan(int8).weights.nbytes == Plan(without).weights.nbytes
    assert len(int8.operations) == len(without.operations)


@pytest.mark.parametrize("kind", CELLS)
def test_a_recurrent_cell_reads_equalised_channels(kind: str) -> None:
    rng, X = np.random.default_rng(4), recording(K)
    size = spread(rng)
    cell, weights, slots = cell_parts(kind, "cell", "b", C, 8, rng)
    weights["cell.W"] = weights["cell.W"] / size
    weights |= {"W1": uniform(rng, (C, K), 1.0) * size[:, None]}
    program = make(
        (Dense(name="first", inputs=("x",), outputs=("a",), W="W1"), relu(), cell), weights, "cell.y", K, slots
    )
    made = rewritten(program, operands="w8a8").description.equalized[-1]
    assert (made.writers, made.readers) == (("first",), ("cell",))
    assert lost(program, X, operands="w8a8") < 0.7 * lost(program, X, operands="w8a8", equalize=False)


@pytest.mark.parametrize("operands", ["w8a16", "w8a8"])
def test_balanced_channels_give_the_same_integers(operands: Any) -> None:
    rng, X = np.random.default_rng(5), recording(K)
    X = X / np.abs(X).max(axis=0)
    weights = {"W1": uniform(rng, (C, K), 1.0), "W2": rng.choice([-1, 1], (4, C)) * uniform(rng, (4, C), 0.1) + 1}
    weights["W1"] /= (X @ weights["W1"].T).max(axis=0)[:, None]
    operations = (
        Dense(name="first", inputs=("x",), outputs=("a",), W="W1"),
        relu(),
        Dense(name="second", inputs=("b",), outputs=("y",), W="W2"),
    )
    program = make(operations, {name: array.astype(np.float32) for name, array in weights.items()}, "y", K, [])
    assert rewritten(program, X, operands=operands) is program
    int8, without = (quantize(program, X, operands=operands, equalize=choice) for choice in (True, False))
    assert int8.hash == without.hash


# operations that let factors through


def grouped(name: str, source: str) -> GroupedDense:
    return GroupedDense(name=name, inputs=(source,), outputs=(name,), W="depth.W", B="depth.B")


def binary(name: str, function: Any, *inputs: str, **fields: Any) -> Binary:
    return Binary(name=name, inputs=inputs, outputs=(name,), function=function, **fields)


def rearrange(name: str, source: str, shape: tuple[int, ...], *more: str, indices: str | None = None) -> Rearrange:
    return Rearrange(name=name, inputs=(source, *more), outputs=(name,), shape=shape, indices=indices)


ARRAYS = {
    "slope": np.linspace(0.1, 0.5, C).astype(np.float32),
    "zero": np.zeros(1, np.float32),
    "one": np.full((1,), 0.3, np.float32),
    "two": np.full((1,), 2.0, np.float32),
    "depth.W": np.random.default_rng(1).uniform(-1, 1, (1, 1, C)).astype(np.float32),
    "depth.B": np.random.default_rng(2).uniform(-1, 1, (1, C)).astype(np.float32),
    "odd": np.arange(1, C, 2, dtype=np.int32),
    "grid": np.float32([[1, 2, 3] * (C // 3)] * 4) / 8,
    "back": np.arange(C, dtype=np.int32)[::-1].copy(),
}
THROUGH: dict[str, tuple[tuple[AnyOperation, ...], int]] = {  # operations that end with "b", and its features
    "LeakyRelu": ((Unary(name="b", inputs=("a",), outputs=("b",), function="LeakyRelu", alpha=0.1),), C),
    "Abs": ((Unary(name="b", inputs=("a",), outputs=("b",), function="Abs"),), C),
    "PRelu": (
        (
            binary("up", "Max", "a", constant="zero"),
            binary("down", "Min", "a", constant="zero"),
            binary("less", "Mul", "down", constant="slope"),
            binary("b", "Add", "up", "less"),
        ),
        C,
    ),
    "a factor and a term for all": (
        (binary("half", "Mul", "a", constant="two"), binary("b", "Add", "half", constant="one")),
        C,
    ),
    "a constant less the value": ((binary("c", "Sub", "a", constant="one", constant_side="left"), relu("c")), C),
    "slices": ((relu("a", "c"), rearrange("b", "c", (C // 2,), indices="odd")), C // 2),
    "concatenation": ((relu("a", "c"), rearrange("b", "c", (2 * C,), "a")), 2 * C),
    "residual": ((relu("a", "c"), binary("b", "Add", "a", "c")), C),
    "the larger": ((relu("a", "c"), binary("b", "Max", "a", "c")), C),
    "reduce": (
        (
            rearrange("two", "a", (2, C), "a"),
            Reduce(name="b", inputs=("two",), outputs=("b",), function="Mean", axis=0),
        ),
        C,
    ),
    "depthwise": ((rearrange("c", "a", (1, C)), grouped("d", "c"), relu("d", "e"), rearrange("b", "e", (C,))), C),
    "repeat": (
        (
            rearrange("two", "a", (2, C), "a"),
            Repeat(
                name="loop",
                inputs=(),
                outputs=(),
                count=2,
                body=(
                    TakeFrame(name="frame", inputs=("two",), outputs=("frame",), loop="loop"),
                    relu("frame", "c"),
                    PutFrame(name="all", inputs=("c",), outputs=("all",), loop="loop", count=2),
                ),
            ),
            rearrange("b", "all", (2 * C,)),
        ),
        2 * C,
    ),
}


@pytest.mark.parametrize("name", THROUGH)
def test_factors_pass_what_commutes_with_them(name: str) -> None:
    between, features = THROUGH[name]
    used = {weight: ARRAYS[weight] for operation in walk(between) for weight in operation.weight_names()}
    program, X = pair(*between, last="b", features=features, weights=used), recording(K)
    changed = rewritten(program)
    readers = {reader for made in changed.description.equalized for reader in made.readers}
    assert "second" in readers
    assert np.abs(Runner(changed).run(X) - Runner(program).run(X)).max() < 1e-5 * np.abs(Runner(program).run(X)).max()


def test_sums_over_time_and_rings_keep_the_models_unit() -> None:
    average = RunningReduce(
        name="average",
        inputs=("b",),
        outputs=("average",),
        function="Mean",
        total=StateRegion("total"),
        count=StateRegion("count"),
        size=C,
    )
    operations = (
        relu(),
        average,
        history("ring", "average", C, 2),
        rearrange("flat", "ring", (2 * C,)),
    )
    slots = (StateSlot("total", (C,), "float64"), StateSlot("count", (1,), "int64"), *ring("ring", 2, C))
    program, X = pair(*operations, last="flat", features=2 * C, state=slots), recording(K)
    int8 = quantize(program, X, operands="w8a8")
    assert "second" in int8.description.equalized[-1].readers
    runners = [Runner(each) for each in (program, int8)]
    for runner in runners:
        runner.run(X[:100])
    for name in ("total", "ring.ring"):
        expected, actual = (np.asarray(runner.state[name], np.float64) for runner in runners)
        assert np.abs(actual - expected).max(initial=0.0) < 0.02 * np.abs(expected).max()
        small = np.abs(expected) < 0.05 * np.abs(expected).max()
        assert root_mean_square(actual[small] - expected[small]) < 0.05 * root_mean_square(expected[small])
        runners[1].state[name][...] = expected
        assert np.abs(np.asarray(runners[1].state[name]) - expected).max() < 0.02 * np.abs(expected).max()
    windowed = Runner(int8.with_window(5, 2))
    windowed.run(X[:20])
    assert windowed.state["ring.ring"].shape == windowed.state["ring.ring"][...].shape


def test_norms_tables_and_factors_of_a_channel_write_rows() -> None:
    """LayerNorm and Lookup have a number for each channel; a constant that is a factor takes up any."""
    rng = np.random.default_rng(8)
    size = spread(rng)
    arrays = {
        "scale": size,
        "bias": size * np.float32(0.1),
        "table": uniform(rng, (7, C), 1.0) * size,
        "gain": size,
        "W1": uniform(rng, (C, K), 1.0),
        "W": uniform(rng, (4, 2 * C), 1.0) / np.tile(size, 2),
    }
    operations = (
        Dense(name="first", inputs=("x",), outputs=("a",), W="W1"),
        LayerNorm(name="norm", inputs=("a",), outputs=("n",), scale="scale", bias="bias"),
        Unary(name="tanh", inputs=("a",), outputs=("t",), function="Tanh"),
        binary("m", "Mul", "t", constant="gain"),
        rearrange("both", "n", (2 * C,), "m"),
        Dense(name="second", inputs=("both",), outputs=("y",), W="W"),
    )
    program, X = make(operations, {name: arrays[name] for name in arrays if name != "table"}, "y", K, []), recording(K)
    made = rewritten(program).description.equalized[-1]
    assert (made.writers, made.readers) == (("norm", "m"), ("second",))
    assert lost(program, X) < 0.3 * lost(program, X, equalize=False)
    words = ProgramDescription(
        inputs=(InputDescription("id", (1,), "int32"),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Lookup(name="look", inputs=("id",), outputs=("row",), table="table"),
            Dense(name="second", inputs=("row",), outputs=("y",), W="W2"),
        ),
    )
    program = Program(words, {"table": arrays["table"], "W2": arrays["W"][:, :C].copy()})
    ids = rng.integers(0, 7, (200, 1))
    (made,) = rewritten(program, ids).description.equalized
    assert (made.writers, made.readers) == (("look",), ("second",))
    assert lost(program, ids) < 0.3 * lost(program, ids, equalize=False)


# what stays as it is


def state_of(source: str) -> WriteState:
    return WriteState(name="write", inputs=(source,), outputs=(), region=StateRegion("memory"), size=C)


def unsafe(name: str) -> tuple[Program, dict[str, Any]]:
    """A program whose channels must stay, and choices for quantizing it."""
    memory = (StateSlot("memory", (C,)),)
    taps = (relu(), history("ring", "b", C, 2, fill=1.0), rearrange("flat", "ring", (2 * C,)))
    slots = ring("ring", 2, C)
    match name:
        case "output":
            program = pair(relu(), last="b")
            (y,) = program.description.outputs
            outputs = (y, msgspec.structs.replace(y, name="b", value="b"))
            return Program(msgspec.structs.replace(program.description, outputs=outputs), program.weights), {}
        case "state":
            return pair(relu(), state_of("b"), last="b", state=memory), {}
        case "read state":
            read = ReadState(name="read", inputs=(), outputs=("old",), region=StateRegion("memory"), shape=(C,))
            return pair(relu("a", "c"), read, binary("b", "Add", "c", "old"), state_of("a"), last="b", state=memory), {}
        case "kept writer":
            return pair(relu(), last="b"), {"keep_float": ("first",)}
        case "kept reader":
            return pair(relu(), last="b"), {"keep_float": ("second",)}
        case "kept between":
            return pair(relu(), last="b"), {"keep_float": ("b",)}
        case "grid":
            return pair(relu(), last="b", weights={"W2": ARRAYS["grid"]}), {}
        case "fill":
            return pair(*taps, last="flat", features=2 * C, state=slots), {}
        case "shared ring":
            read = ReadState(name="old", inputs=(), outputs=("old",), region=StateRegion("ring.ring"), shape=(2, C))
            operations = (taps[0], read, Softmax(name="other", inputs=("old",), outputs=("other",)))
            shared = (*operations, history("ring", "b", C, 2), taps[2])
            return pair(*shared, last="flat", features=2 * C, state=slots), {}
        case "product":
            return pair(relu("a", "c"), binary("b", "Mul", "a", "c"), last="b"), {}
        case "limit":
            return pair(binary("b", "Max", "a", constant="one"), last="b", weights={"one": ARRAYS["one"]}), {}
        case "condition":
            where = Where(name="b", inputs=("c", "d", "d"), outputs=("b",))
            return pair(relu("a", "c"), relu("a", "d"), where, last="b"), {}
        case "product of all":
            product = Reduce(name="b", inputs=("two",), outputs=("b",), function="Prod", axis=0)
            return pair(rearrange("two", "a", (2, C), "a"), product, last="b"), {"operands": "w8a16"}
        case "constant":
            constant = ConstantValue(name="k", inputs=(), outputs=("k",), weight_name="slope")
            return pair(constant, binary("b", "Add", "a", "k"), last="b", weights={"slope": ARRAYS["slope"]}), {}
        case "begin":
            begun = (msgspec.structs.replace(slots[0], initial="begin"), slots[1])
            operations = (taps[0], history("ring", "b", C, 2), taps[2])
            begin = {"begin": np.full((2, C), 0.1, np.float32)}
            return pair(*operations, last="flat", features=2 * C, state=begun, weights=begin), {}
        case "other reader":
            softmax = Softmax(name="other", inputs=("b",), outputs=("other",))
            return pair(relu(), softmax, last="b"), {}
        case "clip":
            return pair(Unary(name="b", inputs=("a",), outputs=("b",), function="Clip", beta=0.5), last="b"), {}
        case "gate":
            tanh = Unary(name="gate", inputs=("a",), outputs=("gate",), function="Sigmoid")
            return pair(tanh, relu("a", "c"), binary("b", "Mul", "c", "gate"), last="b"), {}
    return pair(Unary(name="b", inputs=("a",), outputs=("b",), function=name), last="b"), {}


@pytest.mark.parametrize(
    "name",
    [
        *("output", "state", "read state", "kept writer", "kept reader", "kept between", "grid", "fill", "begin"),
        *("shared ring", "product", "limit", "condition", "product of all", "constant"),
        *("other reader", "clip", "gate", "Tanh", "Sigmoid", "Gelu", "Softplus"),
    ],
)
def test_what_a_factor_would_change_is_left_alone(name: str) -> None:
    program, choices = unsafe(name)
    changed = rewritten(program, **({"operands": "w8a8"} | choices))
    assert not any("second" in made.readers for made in changed.description.equalized)
    assert {"W1", "W2", "B1"} <= changed.weights.keys()
    assert all(getattr(operation, "W", "W1") in ("W1", "W2") for operation in changed.operations[-2:])


def test_a_channel_that_is_always_0_keeps_its_size() -> None:
    weights = dict(pair(relu(), last="b").weights)
    W1, B1 = weights["W1"].copy(), weights["B1"].copy()
    W1[3], B1[3] = 0, -1.0  # never awake
    program = pair(relu(), last="b", weights={"W1": W1, "B1": B1})
    changed = rewritten(program, operands="w8a8")
    factors = changed.weights[changed.description.factors["b"]]
    assert factors[3] == 1.0
    assert np.ptp(np.log2(factors)) > 2
    assert (changed.weights[changed.operations[-1].W][:, 3] == weights["W2"][:, 3]).all()


def test_channels_that_all_are_0_are_left_alone() -> None:
    weights = {"W1": np.zeros((C, K), np.float32), "B1": np.full(C, -1.0, np.float32)}
    program = pair(relu(), last="b", weights=weights)
    assert not any("second" in made.readers for made in rewritten(program).description.equalized)


def test_a_channel_that_wakes_seldom_is_not_enlarged_until_it_saturates() -> None:
    """In the calibration it is nearly silent; later it goes ten times as far."""
    program, X = with_a_sleeper(spread(np.random.default_rng(7))), recording(K)
    changed = rewritten(program, X, operands="w8a8")
    assert "second" in changed.description.equalized[-1].readers
    factors = changed.weights[changed.description.factors["b"]]
    seen, loud = (trace(program, read_recordings(program, x)).values["b"] / factors for x in (X, X * 1.15))
    assert loud[:, 4].max() < 0.5 * seen.max()


def test_what_a_relu_cuts_off_is_not_enlarged_beyond_the_integers() -> None:
    rng = np.random.default_rng(9)
    size = np.geomspace(1.0, 0.001, C)
    x, W = np.abs(rng.normal(0, 1, (1, 500, C))) * size, rng.normal(0, 1, (1, 4, C)) / size
    product = Product(W, x, np.arange(C)[None], bits=8)
    choices, passed = Settings(operands="w8a8"), x[0].max(axis=0)
    free = best_factors([product], passed, choices)
    cut = best_factors([product], np.where(np.arange(C) == 7, 2.0, 1.0) * passed.max(), choices)
    assert free is not None
    assert cut is not None
    assert free.s[7] < 1 / 16
    assert cut.s[7] == pytest.approx(2 / 16, rel=0.3)
    assert (cut.s >= 1 / 32).all()


def test_a_model_is_not_refused_for_its_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    program, X = shifted(), recording(K)
    without = quantize(program, X, equalize=False)

    def refused(*_: Any) -> None:
        raise QuantizationError("a factor between scales is too large")

    monkeypatch.setattr(quantization, "equalized", refused)
    assert quantize(program, X).hash == without.hash


def test_factors_that_make_the_scores_worse_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    program, X = shifted(), recording(K)

    def spoiled(program: Program, traced: CalibrationTrace, choices: Settings) -> tuple[Program, CalibrationTrace]:
        better, _ = equalized(program, traced, choices)
        channels = find_channels(program, ())
        size = max(int(channel.max()) for channel in channels.values()) + 2
        s = np.append(np.geomspace(1.0, 1e-3, size - 1), 1.0)
        worse = divided(program, lambda value: s[channels[value]])
        description = msgspec.structs.replace(worse.description, equalized=better.description.equalized)
        worse = Program(description, worse.weights)
        return worse, trace(worse, read_recordings(worse, X))

    assert quantize(program, X, operands="w8a8").description.equalized
    monkeypatch.setattr(quantization, "equalized", spoiled)
    assert quantize(program, X, operands="w8a8").hash == quantize(program, X, operands="w8a8", equalize=False).hash


def with_a_sleeper(size: np.ndarray) -> Program:
    """Channel 4 is above 0 only in the last ten thousandth of its way."""
    rng, X = np.random.default_rng(7), recording(K)
    weights = {
        "W1": uniform(rng, (C, K), 1.0) * size[:, None],
        "B1": np.zeros(C, np.float32),
        "W2": uniform(rng, (4, C), 1.0) / size,
    }
    weights["W1"][4], weights["W2"][:, 4] = [1.0, 0.0, 0.0], 1.0
    weights["B1"][4] = -0.9999 * X[:, 0].max()
    return pair(relu(), last="b", weights=weights)


# any factors, anywhere


def with_random_factors(program: Program, seed: int) -> tuple[Program, int]:
    """Every channel divided by a power of two; also the number of channels."""
    channels = find_channels(program, ())
    size = max(int(channel.max()) for channel in channels.values()) + 1
    s = np.append(2.0 ** np.random.default_rng(seed).integers(-4, 5, size), 1.0)
    found = np.unique(np.concatenate([channel[channel != FIXED] for channel in channels.values()]))
    return divided(program, lambda value: s[channels[value]]), len(found)


def check_factors(program: Program, X: np.ndarray | dict[str, np.ndarray], seed: int) -> int:
    """Powers of two change no digit of what a float64 program gives, and the factors say what they were."""
    changed, channels = with_random_factors(program, seed)
    values: list[dict[str, np.ndarray]] = [{}, {}]

    def observer(kept: dict[str, np.ndarray]) -> Callable[[Any, str, np.ndarray], None]:
        return lambda operation, name, array: kept.__setitem__(name, np.array(array))

    runners = [
        ReferenceRunner(each, observe=observer(kept)) for each, kept in zip((program, changed), values, strict=True)
    ]
    for t in range(24):
        frame = {port.name: (X[port.name] if isinstance(X, dict) else X)[t] for port in program.inputs}
        expected, actual = (runner.step(frame) for runner in runners)
        for one, other in zip(*(_frames(each) for each in (expected, actual)), strict=True):
            assert np.array_equal(one, other)
    for name, array in values[1].items():
        factors = changed.description.factors.get(name)
        assert np.array_equal(array * (1.0 if factors is None else changed.weights[factors]), values[0][name])
    return channels


def _frames(frame: Any) -> list[np.ndarray]:
    return [np.asarray(each) for each in (frame.values() if isinstance(frame, dict) else [frame]) if each is not None]


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_factors_of_channels_change_nothing(name: str) -> None:
    assert check_factors(PROGRAMS[name](), sample(name), 3) > 0 or name != "convolutions"


def test_any_factors_of_random_graphs_change_nothing() -> None:
    channels = 0
    for seed in range(60):
        graph = RandomGraph(seed)
        try:
            program = import_model(graph.model, window=graph.frozen_steps or graph.least_steps + 3, hop=2).program
        except edgernn.ModelError:  # which axis is time is another test's matter
            continue
        rng = np.random.default_rng(seed)
        X = {port.name: rng.standard_normal((24, *port.shape)) for port in program.inputs}
        channels += check_factors(program, X, seed)
    assert channels > 100


def test_the_equalised_net_is_the_trained_net() -> None:
    path = WATCH / "tcn.onnx"
    program = edgernn.load(path)
    with np.load(WATCH / "calibration.npz") as arrays:
        calibration = arrays["samples"][:1500]
    with np.load(WATCH / "held_out.npz") as arrays:
        samples = arrays["samples"][:1000]
    changed = rewritten(program, calibration, operands="w8a8")
    assert len(changed.description.equalized) >= 3
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"samples": samples[None]})
    assert np.abs(Runner(changed).run(samples) - np.asarray(scores)[0]).max() < 1e-5


# what is told


def test_the_report_tells_what_was_equalised_and_measures_in_the_models_unit() -> None:
    program, X = shifted(), recording(K)
    int8 = quantize(program, X, operands="w8a8")
    report = compare(program, int8, X)
    assert [made.writers for made in report.equalized] == [("x",), ("first",)]
    made = report.equalized[-1]
    assert made.readers == ("second",)
    assert made.error_after < 0.5 * made.error_before
    assert all(layer.signal_to_noise_db > 25 for layer in report.layers)
    largest = trace(program, read_recordings(program, X)).values["ring"].max()
    assert report.state_drift["ring.ring"] < 0.03 * largest
    assert "\nequalized first -> second: range^" in report.table()
    assert '"readers"' in report.to_json()
    page = quantization_page("<b>", report)
    assert "Channels between layers" in page
    without = compare(program, quantize(program, X, equalize=False), X)
    assert "equalized" not in without.table()
    assert "Channels between layers" not in quantization_page("x", without)
    assert without.weight_bytes_after == report.weight_bytes_after


def test_a_file_keeps_the_factors(tmp_path: Path) -> None:
    int8 = quantize(shifted(), recording(K), operands="w8a8")
    save(int8, tmp_path / "int8.safetensors")
    again = load_program(tmp_path / "int8.safetensors")
    assert again.hash == int8.hash
    assert again.description == int8.description
    assert again.description.factors


@pytest.mark.parametrize(
    ("array", "complaint"),
    [(None, "missing"), ([0.0] * C, "above 0"), ([1.0] * (C - 1), "repeat|fit"), ([[1.0] * C] * 2, "repeat|fit")],
)
def test_wrong_factors_are_refused(array: Any, complaint: str) -> None:
    int8 = quantize(shifted(), recording(K), operands="w8a8")
    for name in set(int8.description.factors.values()):
        weights = {key: weight for key, weight in int8.weights.items() if key != name}
        if array is not None:
            weights[name] = np.array(array, np.float32)
        with pytest.raises(MalformedModelError, match=complaint):
            Program(int8.description, weights)


def test_equalisations_are_no_part_of_what_is_computed() -> None:
    int8 = quantize(shifted(), recording(K), operands="w8a8")
    told: tuple[Equalization, ...] = ()
    assert Program(msgspec.structs.replace(int8.description, equalized=told), int8.weights).hash == int8.hash
