"""Inputs that are set for good become constants of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from branching_model import branching_model
from onnx import TensorProto, helper, numpy_helper

import edgernn
from edgernn.errors import InputError, UnsupportedModelError
from edgernn.importers.onnx.graph.fixed_inputs import fix_inputs


@pytest.fixture
def branching(tmp_path: Path) -> Path:
    path = tmp_path / "branching.onnx"
    onnx.save(branching_model(), path)
    return path


@pytest.mark.parametrize("rate", [16000, 8000])
def test_the_branch_that_a_fixed_input_chooses_is_streamed(branching: Path, rate: int) -> None:
    program = edgernn.load(branching, fixed={"sr": rate})
    assert [port.name for port in program.inputs] == ["x"]
    assert program.fixed == {"sr": (rate,)}
    X = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
    session = onnxruntime.InferenceSession(branching, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": X[None], "sr": np.array(rate)})
    np.testing.assert_allclose(edgernn.Runner(program).run(X), expected[0], rtol=1e-5)


def test_a_choice_by_an_input_is_refused_with_the_remedy(branching: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"is_wide.*--set NAME=VALUE"):
        edgernn.load(branching)


@pytest.mark.parametrize(
    ("shape", "number_type", "value", "expected"),
    [
        ([], TensorProto.INT64, 5, np.array(5)),
        ([3], TensorProto.FLOAT, 0.5, np.float32([0.5, 0.5, 0.5])),
        ([1, 2], TensorProto.FLOAT, [1, 2], np.float32([[1, 2]])),
        (["n"], TensorProto.INT32, [4, 4, 4], np.int32([4, 4, 4])),
        (["batch", 2], TensorProto.FLOAT, [1, 2, 3, 4], np.float32([[1, 2], [3, 4]])),
        (["batch", "n"], TensorProto.BOOL, True, np.array([[True]])),
    ],
)
def test_numbers_fill_the_shape_of_the_input(
    shape: list[int | str], number_type: int, value: float | list[float], expected: np.ndarray
) -> None:
    model = one_input(shape, number_type)
    made = fix_inputs(model, {"x": value})
    (initializer,) = made.graph.initializer
    found = numpy_helper.to_array(initializer)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)
    assert not made.graph.input
    assert model.graph.input  # the model that was given is left as it is


@pytest.mark.parametrize(
    ("shape", "number_type", "value", "complaint"),
    [
        ([3], TensorProto.FLOAT, [1, 2], "does not take 2 numbers"),
        ([], TensorProto.INT64, 0.5, "cannot hold 0.5"),
        ([], TensorProto.UINT8, 300, "cannot hold 300"),
        ([], TensorProto.STRING, 1, "cannot be set to numbers"),
        (["a", "b"], TensorProto.FLOAT, [1, 2], "free shape"),
        ([2, "n"], TensorProto.FLOAT, [1, 2, 3], "free shape"),
        ([], TensorProto.FLOAT, "one", "to a number or a list"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: list[int | str], number_type: int, value: float | list[float], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        fix_inputs(one_input(shape, number_type), {"x": value})


def test_a_free_dimension_gets_a_length_by_its_name_or_its_place() -> None:
    model = one_input(["batch", "chunk", 2], TensorProto.FLOAT)
    for name in ("chunk", "x[1]"):
        made = fix_inputs(model, {name: 576})
        dimensions = made.graph.input[0].type.tensor_type.shape.dim
        assert [one.dim_value for one in dimensions] == [0, 576, 2]
    for name, value, complaint in (
        ("x[2]", 5, "free dimensions batch, chunk"),
        ("y", 5, "inputs are x"),
        ("chunk", 0, "whole number from 1"),
        ("chunk", 2.5, "whole number from 1"),
        ("chunk", [1, 2], "whole number from 1"),
    ):
        with pytest.raises(InputError, match=complaint):
            fix_inputs(model, {name: value})


def one_input(shape: list[int | str], number_type: int) -> onnx.ModelProto:
    entry = helper.make_tensor_value_info("x", number_type, shape)
    output = helper.make_tensor_value_info("y", number_type, None)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [entry], [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
