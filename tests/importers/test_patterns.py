"""Patterns match what is written like them in any order, and say why something else does not match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgernn.importers import import_onnx
from edgernn.importers.onnx.fusions.log import FusionLog
from edgernn.program.program import Program

WIDTH = 6
MODELS = Path(__file__).parents[1] / "models" / "made"


def imported(tmp_path: Path, nodes: Sequence[onnx.NodeProto], numbers: dict[str, float]) -> tuple[Program, FusionLog]:
    """A graph from x (1, T, WIDTH) to y."""
    inputs, output = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "time", WIDTH]) for name in ("x", "y"))
    constants = [onnx.numpy_helper.from_array(np.array(value, np.float32), name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "graph", [inputs], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    found = import_onnx(tmp_path / "model.onnx")
    return found.program, found.fusions


def node(operator: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=f"node {output}", **attributes)


def kinds(program: Program) -> list[str]:
    return [getattr(operation, "function", type(operation).__name__) for operation in program.operations]


def gelu(order: str) -> list[onnx.NodeProto]:
    """0.5 x (1 + erf(x / sqrt(2))), multiplied together in an order."""
    inner = [node("Mul", "x slope", "s"), node("Erf", "s", "e"), node("Add", "e one", "g")]
    ends = {
        "x g half": [node("Mul", "x g", "p"), node("Mul", "p half", "y")],
        "half x g": [node("Mul", "half x", "p"), node("Mul", "g p", "y")],
        "g half x": [node("Mul", "g half", "p"), node("Mul", "x p", "y")],
        "x g / 2": [node("Mul", "g x", "p"), node("Div", "p two", "y")],
    }
    return [*inner, *ends[order]]


@pytest.mark.parametrize("order", ["x g half", "half x g", "g half x", "x g / 2"])
def test_a_product_matches_in_any_order(order: str, tmp_path: Path) -> None:
    numbers = {"slope": sqrt(0.5), "one": 1.0, "half": 0.5, "two": 2.0}
    program, log = imported(tmp_path, gelu(order), numbers)
    assert kinds(program) == ["Gelu"]
    assert [entry.pattern for entry in log.fused] == ["Gelu"]
    assert not log.missed


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"one": 1.1}, "1.1 is added, not 1"),
        ({"slope": 0.7}, "its factor is 0.7, not 0.707107"),
    ],
)
def test_a_gelu_with_another_number_says_which(numbers: dict[str, float], reason: str, tmp_path: Path) -> None:
    program, log = imported(tmp_path, gelu("x g half"), {"slope": sqrt(0.5), "one": 1.0, "half": 0.5} | numbers)
    assert "Gelu" not in kinds(program)
    assert not [entry for entry in log.fused if entry.pattern == "Gelu"]
    (miss,) = [entry for entry in log.missed if entry.pattern == "Gelu"]
    assert miss.nodes == ("node y",)
    assert reason in miss.reason


def norm(deviation: Callable[[], list[onnx.NodeProto]], end: str) -> list[onnx.NodeProto]:
    """x - mean, then its deviation d, then the quotient."""
    return [
        node("ReduceMean", "x", "m", axes=[-1]),
        node("Sub", "x m", "c"),
        *deviation(),
        node("Div", f"{end} d", "y"),
    ]


def spread(mean_axis: int = -1, function: str = "ReduceMean") -> list[onnx.NodeProto]:
    return [
        node("Mul", "c c", "q"),
        node("ReduceMean", "q", "v", axes=[mean_axis]),
        node("Add", "v eps", "w"),
        node("Sqrt", "w", "d"),
    ]


def test_a_written_norm_is_fused_and_logged(tmp_path: Path) -> None:
    program, log = imported(tmp_path, norm(spread, "c"), {"eps": 1e-5})
    assert kinds(program) == ["LayerNorm"]
    assert [(entry.pattern, entry.nodes) for entry in log.fused] == [("layer normalisation", ("node y",))]
    assert not log.missed


def test_a_norm_of_x_without_its_mean_subtracted_says_so(tmp_path: Path) -> None:
    _, log = imported(tmp_path, norm(spread, "x"), {"eps": 1e-5})
    (miss,) = log.missed
    assert miss.pattern == "layer normalisation"
    assert miss.nodes == ("node y",)
    assert "the mean is a part of the deviation, but is not subtracted from x" in miss.reason


def test_a_norm_whose_variance_is_of_something_else_says_where_it_ends(tmp_path: Path) -> None:
    cubes = lambda: [  # noqa: E731
        node("Pow", "c three", "q"),
        node("ReduceMean", "q", "v", axes=[-1]),
        node("Add", "v eps", "w"),
        node("Sqrt", "w", "d"),
    ]
    program, log = imported(tmp_path, norm(cubes, "c"), {"eps": 1e-5, "three": 3.0})
    assert "LayerNorm" not in kinds(program)
    (miss,) = [entry for entry in log.missed if entry.pattern == "layer normalisation"]
    assert miss.nodes == ("node d",)
    assert "^2 was expected, here stands Pow (node q)" in miss.reason


def test_gelu_by_tanh_reads_like_its_formula(tmp_path: Path) -> None:
    nodes = [
        node("Pow", "x three", "cube"),
        node("Mul", "cube c", "small"),
        node("Add", "x small", "sum"),
        node("Mul", "sum slope", "s"),
        node("Tanh", "s", "t"),
        node("Add", "t one", "g"),
        node("Mul", "x g", "p"),
        node("Mul", "p half", "y"),
    ]
    numbers = {"three": 3.0, "c": 0.044715, "slope": sqrt(2 / pi), "one": 1.0, "half": 0.5}
    assert kinds(imported(tmp_path, nodes, numbers)[0]) == ["GeluTanh"]
    _, log = imported(tmp_path, nodes, numbers | {"c": 0.05})
    assert [(entry.pattern, entry.reason) for entry in log.missed] == [("GeluTanh", "its factor is 0.05, not 0.044715")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("loop_minimal_gated_legacy", "h = z h + (1 - z) n with z = "),
        ("loop_fastgrnn_legacy", "no choice of its gates (Sigmoid, Tanh) gives h = z h + (1 - z) n"),
    ],
)
def test_a_cell_that_is_none_of_the_known_says_what_is_missing(name: str, reason: str) -> None:
    """A minimal gated unit has no reset gate of its own, a FastGRNN two scales in place of 1 - z."""
    (miss,) = import_onnx(MODELS / f"{name}.onnx").fusions.missed
    assert miss.pattern == "RNN or GRU cell"
    assert reason in miss.reason


def test_a_cell_that_is_fused_is_no_miss_in_other_pairs_of_states() -> None:
    log = import_onnx(MODELS / "keras_lstm_unrolled.onnx").fusions
    assert [entry.pattern for entry in log.fused] == ["6 unrolled steps", "Lstm cell"]
    assert not log.missed
