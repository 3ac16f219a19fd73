"""What exporters write as several operators becomes the one operation that it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper
from sequence_models import largest_difference, make_model, run_original

from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import LayerNorm, Unary

Array = NDArray[Any]
WIDTH = 6
node = helper.make_node
ROOT = np.float32(np.sqrt(2))

LAYER_NORM = [
    node("ReduceMean", ["x"], ["m"], axes=[-1]),
    node("Sub", ["x", "m"], ["d"]),
    node("Pow", ["d", "two"], ["s"]),
    node("ReduceMean", ["s"], ["v"], axes=[-1]),
    node("Add", ["v", "epsilon"], ["a"]),
    node("Sqrt", ["a"], ["r"]),
    node("Div", ["d", "r"], ["n"]),
]
INVERSE_ROOT = [*LAYER_NORM[:-1], node("Reciprocal", ["r"], ["i"])]
MEAN_SQUARE = [
    node("Pow", ["x", "two"], ["s"]),
    node("ReduceMean", ["s"], ["v"], axes=[-1]),
    node("Add", ["v", "epsilon"], ["a"]),
    node("Sqrt", ["a"], ["r"]),
]
NUMBERS = {"two": np.float32(2), "epsilon": np.float32(1e-3)}
GELU = [
    node("Div", ["x", "root"], ["d"]),
    node("Erf", ["d"], ["e"]),
    node("Add", ["e", "one"], ["a"]),
    node("Mul", ["x", "a"], ["m"]),
    node("Mul", ["m", "half"], ["y"]),
]
GELU_NUMBERS = {"root": ROOT, "one": np.float32(1), "half": np.float32(0.5)}
TANH = [
    node("Pow", ["x", "three"], ["c"]),
    node("Mul", ["c", "k"], ["s"]),
    node("Add", ["x", "s"], ["i"]),
    node("Mul", ["i", "slope"], ["z"]),
    node("Tanh", ["z"], ["t"]),
    node("Add", ["t", "one"], ["g"]),
    node("Mul", ["x", "half"], ["h"]),
    node("Mul", ["h", "g"], ["y"]),
]
TANH_NUMBERS = {
    "three": np.float32(3), "k": np.float32(0.044715), "slope": np.float32(np.sqrt(2 / np.pi)),
    "one": np.float32(1), "half": np.float32(0.5),
}  # fmt: skip
ROW = np.linspace(-1, 2, WIDTH).astype(np.float32)

# nodes from x to y, numbers, the operations of the program
ONE: dict[str, tuple[list[NodeProto], dict[str, Array | np.float32], list[str]]] = {
    "gelu": (GELU, GELU_NUMBERS, ["Gelu"]),
    "gelu, half first": (
        [node("Mul", ["half", "x"], ["h"]), node("Mul", ["x", "inverse"], ["d"]), *GELU[1:3],
         node("Mul", ["h", "a"], ["y"])],
        {**GELU_NUMBERS, "inverse": 1 / ROOT}, ["Gelu"],
    ),
    "gelu by tanh": (TANH, TANH_NUMBERS, ["GeluTanh"]),
    "hard swish": (
        [node("HardSigmoid", ["x"], ["h"], alpha=1 / 6, beta=0.5), node("Mul", ["h", "x"], ["y"])], {}, ["HardSwish"]
    ),
    "layer normalization": (
        [*LAYER_NORM, node("Mul", ["n", "row"], ["w"]), node("Add", ["w", "row"], ["y"])],
        {**NUMBERS, "row": ROW}, ["LayerNorm"],
    ),
    "layer normalization by a product": (
        [*LAYER_NORM[:2], node("Mul", ["d", "d"], ["s"]), *LAYER_NORM[3:-1], node("Div", ["d", "r"], ["y"])],
        NUMBERS, ["LayerNorm"],
    ),
    "layer normalization, a scale that joins the inverse": (
        [*INVERSE_ROOT, node("Mul", ["i", "row"], ["g"]), node("Mul", ["x", "g"], ["p"]),
         node("Mul", ["m", "g"], ["q"]), node("Sub", ["row", "q"], ["o"]), node("Add", ["p", "o"], ["y"])],
        {**NUMBERS, "row": ROW}, ["LayerNorm"],
    ),
    "layer normalization, a negative mean": (
        [*LAYER_NORM[:-2], node("Pow", ["a", "exponent"], ["i"]), node("Neg", ["m"], ["n"]),
         node("Mul", ["n", "i"], ["q"]),         node("Mul", ["x", "i"], ["p"]), node("Add", ["p", "q"], ["y"])],
        {**NUMBERS, "exponent": np.float32(-0.5)}, ["LayerNorm"],
    ),
    "layer normalization, the mean square less the squared mean": (
        [LAYER_NORM[0], node("Mul", ["x", "x"], ["s"]), node("ReduceMean", ["s"], ["e"], axes=[-1]),
         node("Mul", ["m", "m"], ["f"]), node("Sub", ["e", "f"], ["v"]), *LAYER_NORM[4:6],
         node("Sub", ["x", "m"], ["d"]), node("Div", ["one", "r"], ["i"]),
         node("Mul", ["d", "i"], ["n"]), node("Mul", ["n", "row"], ["y"])],
        {**NUMBERS, "one": np.float32(1), "row": ROW}, ["LayerNorm"],
    ),
    "layer normalization in another shape": (
        [node("Unsqueeze", ["x", "last"], ["u"]), node("ReduceMean", ["u"], ["m"], axes=[-2]),
         node("Sub", ["u", "m"], ["d"]), node("ReduceSumSquare", ["d"], ["s"], axes=[-2]),
         node("Div", ["s", "six"], ["v"]), *LAYER_NORM[4:], node("Mul", ["n", "column"], ["w"]),
         node("Squeeze", ["w", "last"], ["q"]),
         node("Add", ["q", "row"], ["y"])],
        {**NUMBERS, "six": np.float32(WIDTH), "row": ROW, "last": np.array([-1]), "column": ROW[:, np.newaxis]},
        ["LayerNorm"],
    ),
    "root mean square": (
        [*MEAN_SQUARE, node("Reciprocal", ["r"], ["i"]), node("Mul", ["i", "x"], ["n"]),
         node("Mul", ["row", "n"], ["y"])],
        {**NUMBERS, "row": ROW}, ["LayerNorm"],
    ),
    "root mean square, a power and a quotient": (
        [*MEAN_SQUARE[:-1], node("Pow", ["a", "half"], ["r"]), node("Div", ["x", "r"], ["y"])],
        {**NUMBERS, "half": np.float32(0.5)}, ["LayerNorm"],
    ),
    "a logarithm of a softmax": (
        [node("Softmax", ["x"], ["s"]), node("Log", ["s"], ["y"])], {}, ["Softmax"]
    ),
    "twice the same": (
        [node("Tanh", ["x"], ["a"]), node("Tanh", ["x"], ["b"]), node("Mul", ["a", "b"], ["y"])], {}, ["Tanh", "Mul"]
    ),
}  # fmt: skip
OTHERS: dict[str, tuple[list[NodeProto], dict[str, Array | np.float32], list[str]]] = {
    "no gelu: another slope": (GELU, {**GELU_NUMBERS, "root": np.float32(1.5)}, ["Div", "Erf", "Add", "Mul", "Mul"]),
    "no gelu: another cube": (TANH, {**TANH_NUMBERS, "k": np.float32(0.05)},
                              ["Pow", "Mul", "Add", "Mul", "Tanh", "Add", "Mul", "Mul"]),
    "no hard swish": (
        [node("HardSigmoid", ["x"], ["h"], alpha=0.2, beta=0.5), node("Mul", ["h", "x"], ["y"])], {},
        ["HardSigmoid", "Mul"],
    ),
    "another mean: by the root mean square": (
        [node("Tanh", ["x"], ["t"]), node("ReduceMean", ["t"], ["m"], axes=[-1]), *LAYER_NORM[1:-1],
         node("Div", ["d", "r"], ["y"])],
        NUMBERS, ["Tanh", "Mean", "Sub", "LayerNorm"],
    ),
    "no normalization: another divisor": (
        [node("ReduceSumSquare", ["x"], ["s"], axes=[-1]), node("Div", ["s", "two"], ["v"]),
         node("Sqrt", ["v"], ["r"]), node("Div", ["x", "r"], ["y"])],
        NUMBERS, ["Mul", "Sum", "Div", "Sqrt", "Div"],
    ),
    "no normalization: another factor of the mean": (
        [*INVERSE_ROOT, node("Mul", ["m", "two"], ["k"]), node("Mul", ["x", "i"], ["p"]),
         node("Mul", ["k", "i"], ["q"]), node("Sub", ["p", "q"], ["y"])],
        NUMBERS, ["Mean", "Sub", "Pow", "Mean", "Add", "Sqrt", "Reciprocal", "Mul", "Mul", "Mul", "Sub"],
    ),
    "no normalization: the mean of another row": (
        [node("Gather", ["x", "four"], ["f"], axis=-1), node("Reshape", ["f", "square"], ["s"]),
         node("ReduceMean", ["s"], ["m"], axes=[-1], keepdims=0), node("Unsqueeze", ["m", "before"], ["w"]),
         node("Sub", ["s", "w"], ["d"]), node("Mul", ["d", "d"], ["p"]),
         node("ReduceMean", ["p"], ["v"], axes=[-1], keepdims=1), node("Sqrt", ["v"], ["r"]),
         node("Div", ["d", "r"], ["y"])],
        {"four": np.arange(4), "square": np.array([0, 0, 2, 2]), "before": np.array([2])},
        ["Rearrange", "Mean", "Sub", "LayerNorm"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ONE | OTHERS))
def test_pattern(name: str) -> None:
    nodes, numbers, wanted = (ONE | OTHERS)[name]
    weights = {key: np.asarray(number) for key, number in numbers.items()}
    model = make_model(nodes, {"x": ["batch", "time", WIDTH]}, ["y"], weights)
    imported = import_model(model)
    operations = imported.program.operations
    assert [getattr(entry, "function", type(entry).__name__) for entry in operations] == wanted
    feeds = {"x": np.random.default_rng(0).uniform(-2, 2, (2, 5, WIDTH)).astype(np.float32)}
    assert largest_difference(imported, feeds, run_original(model, feeds)) < 1e-5


def test_a_pattern_of_which_a_part_is_an_output_keeps_that_part() -> None:
    weights = {key: np.asarray(number) for key, number in GELU_NUMBERS.items()}
    model = make_model(GELU, {"x": ["batch", "time", WIDTH]}, ["e", "y"], weights)
    imported = import_model(model)
    functions = [getattr(entry, "function", "") for entry in imported.program.operations]
    assert functions == ["Div", "Erf", "Gelu"]
    feeds = {"x": np.random.default_rng(0).uniform(-2, 2, (2, 5, WIDTH)).astype(np.float32)}
    assert largest_difference(imported, feeds, run_original(model, feeds)) < 1e-5


def test_a_normalisation_that_is_read_without_its_scale_keeps_both() -> None:
    nodes = [*LAYER_NORM, node("Mul", ["n", "row"], ["w"]), node("Sub", ["w", "n"], ["y"])]
    weights = {**{key: np.asarray(number) for key, number in NUMBERS.items()}, "row": ROW}
    imported = import_model(make_model(nodes, {"x": ["batch", "time", WIDTH]}, ["y"], weights))
    (norm, *others) = imported.program.operations
    assert isinstance(norm, LayerNorm)
    assert norm.scale is None
    assert not any(isinstance(entry, LayerNorm | Unary) for entry in others)
