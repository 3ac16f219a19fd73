"""Functions, quotients and normalisations in integers, each between two dense layers, beside the float program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper
from sequence_models import make_model

from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import Int8LayerNorm, Int8LogSoftmax
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference import int8 as reference_int8
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

Array = Any
node = helper.make_node
WIDTH = 6
POSITIVE = [node("Abs", ["a"], ["b"]), node("Add", ["b", "least"], ["p"])]
NUMBERS: dict[str, Array] = {
    "least": np.float32(0.1), "one": np.float32(1), "two": np.float32(2), "last": np.array([-1]),
    "row": np.linspace(0.5, 2, WIDTH).astype(np.float32),
}  # fmt: skip


def power(exponent: float) -> tuple[list[NodeProto], dict[str, Array]]:
    return [*POSITIVE, node("Pow", ["p", "e"], ["y"])], {"e": np.float32(exponent)}


# nodes from a to y, numbers
SMOOTH: dict[str, tuple[list[NodeProto], dict[str, Array]]] = {
    "log": ([*POSITIVE, node("Log", ["p"], ["y"])], {}),
    "sqrt": ([*POSITIVE, node("Sqrt", ["p"], ["y"])], {}),
    **{f"power {exponent}": power(exponent) for exponent in (-2, -0.5, 0.3, 1.5, 4)},
    "power of a constant": ([node("Pow", ["two", "a"], ["y"])], {}),
    "constant over a value": ([*POSITIVE, node("Div", ["row", "p"], ["y"])], {}),
    "quotient": ([*POSITIVE, node("Div", ["a", "p"], ["y"])], {}),
    "exponentials over their sum": (
        [node("Exp", ["a"], ["e"]), node("ReduceSum", ["e", "last"], ["t"]), node("Div", ["e", "t"], ["y"])], {}
    ),
    "length": ([node("LpNormalization", ["a"], ["y"], p=2)], {}),
    "deviation": ([node("ReduceMean", ["a"], ["m"], axes=[-1]), node("Sub", ["a", "m"], ["d"]),
                   node("Mul", ["d", "d"], ["q"]), node("ReduceMean", ["q"], ["v"], axes=[-1]),
                   node("Sqrt", ["v"], ["s"]), node("Mul", ["a", "s"], ["y"])], {}),
    "log softmax": ([node("LogSoftmax", ["a"], ["y"])], {}),
    "log of a softmax": ([node("Softmax", ["a"], ["s"]), node("Log", ["s"], ["y"])], {}),
    "log of a sum of exponentials": (
        [node("ReduceLogSumExp", ["a"], ["l"], axes=[-1]), node("Sub", ["a", "l"], ["y"])], {}
    ),
}  # fmt: skip
STEPS: dict[str, tuple[list[NodeProto], dict[str, Array]]] = {
    "reciprocal": ([*POSITIVE, node("Sign", ["a"], ["s"]), node("Mul", ["s", "p"], ["q"]),
                    node("Reciprocal", ["q"], ["y"])], {}),
    "odd power": ([POSITIVE[0], node("Add", ["b", "one"], ["p"]), node("Sign", ["a"], ["s"]),
                   node("Mul", ["s", "p"], ["q"]), node("Pow", ["q", "e"], ["y"])], {"e": np.float32(-3)}),
    **{name: ([node(name, ["a"], ["y"])], {}) for name in ("Sign", "Floor", "Ceil", "Round")},
    "Floor of large numbers": ([node("Mul", ["a", "h"], ["l"]), node("Floor", ["l"], ["y"])], {"h": np.float32(100)}),
}  # fmt: skip


def program_of(nodes: list[NodeProto], weights: dict[str, Array], width: int = WIDTH) -> Program:
    rng = np.random.default_rng(0)
    W, V = rng.normal(0, 0.6, (3, width)), rng.normal(0, 0.5, (width, 4))
    weights = {**NUMBERS, **weights, "W": W.astype(np.float32), "V": V.astype(np.float32)}
    ends = node("MatMul", ["x", "W"], ["a"]), node("MatMul", ["y", "V"], ["z"])
    used = {name for each in (ends[0], *nodes, ends[1]) for name in each.input}
    weights = {name: np.asarray(array) for name, array in weights.items() if name in used}
    model = make_model([ends[0], *nodes, ends[1]], {"x": ["batch", "time", 3]}, ["z"], weights)
    return import_model(model).program


def waves(steps: int = 400, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    t = np.arange(steps)[:, np.newaxis]
    return (np.sin(t * [0.05, 0.13, 0.31] + [0, 1, 2]) + rng.normal(0, 0.3, (steps, 3))).astype(np.float32)


def relative_error(program: Program, int8: Program, X: Array) -> float:
    expected, found = ReferenceRunner(program).run(X), ReferenceRunner(int8).run(X)
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


@pytest.mark.parametrize("name", SMOOTH)
def test_functions_follow_float_and_are_the_same_when_compiled(name: str) -> None:
    program, X = program_of(*SMOOTH[name]), waves(seed=1)
    int8 = quantize(program, waves())
    assert relative_error(program, int8, X) < 0.03
    assert len(int8.hash) == 64  # every number can be written
    assert np.array_equal(ReferenceRunner(int8, np.float32).run(X).astype(np.float32), Runner(int8).run(X))


@pytest.mark.parametrize("name", STEPS)
def test_steps_fall_where_they_do_in_float(name: str) -> None:
    program, X = program_of(*STEPS[name]), waves(seed=1)
    int8 = quantize(program, waves())
    expected, found = ReferenceRunner(program).run(X), ReferenceRunner(int8).run(X)
    close = np.abs(found - expected) < 0.02 * np.sqrt(np.mean(expected**2))
    assert close.all(axis=1).mean() > 0.9  # others are so near to a step that the integers fall on its other side
    assert np.array_equal(ReferenceRunner(int8, np.float32).run(X).astype(np.float32), Runner(int8).run(X))


@pytest.mark.parametrize("scale", [0.5, 0.4])
@pytest.mark.parametrize("name", ["Floor", "Ceil", "Round"])
def test_whole_numbers_are_what_they_are_in_float(name: str, scale: float) -> None:
    model = make_model([node(name, ["x"], ["y"])], {"x": ["batch", "time", 3]}, ["y"], {})
    X = np.arange(-150, 150, dtype=np.float32).reshape(-1, 3) * np.float32(scale)
    X = np.rint(X) if name == "Round" and scale == 0.5 else X
    int8 = quantize(import_model(model).program, X, count_size=scale)
    expected = {"Floor": np.floor, "Ceil": np.ceil, "Round": np.rint}[name](X)
    assert np.array_equal(ReferenceRunner(int8).run(X), expected)


def test_a_logarithm_of_a_softmax_is_accurate_to_a_few_units_of_twelve_bits() -> None:
    program = program_of([node("LogSoftmax", ["a"], ["y"])], {})
    (norm,) = [o for o in quantize(program, waves()).operations if isinstance(o, Int8LogSoftmax)]
    rng = np.random.default_rng(0)
    for size in (2, 7, 100, 3000):
        q = rng.integers(-4 * 4096, 4 * 4096, (50, size))
        factor = np.log2(np.e)
        m, s = round(factor * 2**14), 14
        y = reference_int8.log_softmax(q, m, s, round(np.log(2) * 2**15), 15) / 4096
        x = q / 4096
        x = x - x.max(axis=1, keepdims=True)
        expected = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        inside = expected > -7.9
        assert np.abs(y - expected)[inside].max() < 3 * 2.0**-12
    assert norm.scale < 2.0**-9


@pytest.mark.parametrize("centred", [True, False])
def test_written_out_normalisation_is_one_operation(centred: bool) -> None:
    nodes = [
        node("ReduceMean", ["a"], ["m"], axes=[-1]),
        node("Sub", ["a", "m"], ["d"]) if centred else node("Mul", ["a", "one"], ["d"]),
        node("Mul", ["d", "d"], ["q"]),
        node("ReduceMean", ["q"], ["v"], axes=[-1]),
        node("Add", ["v", "least"], ["w"]),
        node("Sqrt", ["w"], ["r"]),
        node("Div", ["d", "r"], ["n"]),
        node("Mul", ["n", "row"], ["y"]),
    ]
    program, X = program_of(nodes, {}), waves(seed=1)
    int8 = quantize(program, waves())
    (norm,) = [operation for operation in int8.operations if isinstance(operation, Int8LayerNorm)]
    assert norm.centred == centred
    assert relative_error(program, int8, X) < 0.01
    assert np.array_equal(ReferenceRunner(int8, np.float32).run(X).astype(np.float32), Runner(int8).run(X))
