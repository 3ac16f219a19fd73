"""What cannot stream is refused with the node, the operator and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper
from sequence_models import cell_weights, check_against_original, make_model

import edgernn
from edgernn.importers.onnx.importer import import_model

Array = NDArray[Any]
BATCH, STEPS, WIDTH = 2, 7, 6
node = helper.make_node


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def matrix(rows: int, columns: int) -> Array:
    return np.random.default_rng(rows).uniform(-1, 1, (rows, columns)).astype(np.float32)


LOOP_BODY = helper.make_graph(
    [node("Gather", ["x", "step"], ["frame"], axis=1), node("Identity", ["going"], ["goes_on"])],
    "body",
    [helper.make_tensor_value_info("step", 7, []), helper.make_tensor_value_info("going", 9, [])],
    [helper.make_tensor_value_info("goes_on", 9, []), helper.make_tensor_value_info("frame", 1, None)],
)

# name -> nodes from x (2, 7, 6) to y, weights, what the message must say
REFUSED: dict[str, tuple[list[NodeProto], dict[str, Array], str]] = {
    "reduction": ([node("ReduceMean", ["x"], ["y"], axes=[1])], {}, r"node ReduceMean_y \(ReduceMean\).*reductions"),
    "softmax over time": ([node("Softmax", ["x"], ["y"], axis=1)], {}, "runs over time"),
    "first frame": (
        [node("Gather", ["x", "zero"], ["y"], axis=1)],
        {"zero": np.array(0)},
        "position in time.*index -1",
    ),
    "last three frames": (
        [node("Slice", ["x", "start", "end", "axis"], ["y"])],
        {"start": integers(-3), "end": integers(1 << 62), "axis": integers(1)},
        "position in time",
    ),
    "positions": (
        [node("Add", ["x", "ramp"], ["y"])],
        {"ramp": np.arange(STEPS, dtype=np.float32).reshape(1, STEPS, 1)},
        "differs along time",
    ),
    "flattened time": (
        [node("Flatten", ["x"], ["flat"]), node("Gemm", ["flat", "W"], ["y"])],
        {"W": matrix(STEPS * WIDTH, 2)},
        "span time",
    ),
    "product of signals": (
        [node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), node("MatMul", ["x", "t"], ["y"])],
        {},
        "attention",
    ),
    "last frame beside every frame": (
        [node("Gather", ["x", "last"], ["end"], axis=1), node("Mul", ["x", "end"], ["y"])],
        {"last": integers(-1)},
        "needs the end of the sequence",
    ),
    "loop over a captured input": (
        [
            node("Constant", [], ["count"], value_int=STEPS),
            node("Constant", [], ["go"], value=numpy_helper.from_array(np.array(True))),
            node("Loop", ["count", "go"], ["y"], body=LOOP_BODY),
        ],
        {},
        r"\(Loop\).*Keras LSTM",
    ),
    "label": (
        [node("ArgMax", ["x"], ["label"], axis=2), node("Cast", ["label"], ["y"], to=1)],
        {},
        r"\(ArgMax\).*remove its output",
    ),
    "scaler": (
        [node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")],
        {},
        r"ai.onnx.ml.*give mean and std to `edgernn convert`",
    ),
    "loop that counts before": (
        [
            node("Constant", [], ["count"], value_int=STEPS),
            node("Greater", ["x", "x"], ["go"]),
            node("Loop", ["count", "go"], ["y"], body=LOOP_BODY),
        ],
        {},
        r"\(Loop\).*Keras LSTM",
    ),
    "unknown attribute": ([node("Relu", ["x"], ["y"], axis=1)], {}, "attribute axis, which is not supported"),
    "other operator set": ([node("Gelu", ["x"], ["y"], domain="com.microsoft")], {}, "operator set com.microsoft"),
    "training": (
        [node("Dropout", ["x", "ratio", "yes"], ["y"])],
        {"ratio": np.array(0.5, np.float32), "yes": np.array(True)},
        r"model.eval\(\)",
    ),
    "constant": ([node("Relu", ["w"], ["y"])], {"w": matrix(1, 6)}, "nothing to stream"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_stream_is_refused_by_name(name: str) -> None:
    nodes, weights, words = REFUSED[name]
    model = make_model(nodes, {"x": [BATCH, STEPS, WIDTH]}, ["y"], weights)
    with pytest.raises(edgernn.UnsupportedModelError, match=words):
        import_model(model)


def test_an_output_that_is_constant() -> None:
    nodes = [node("Exp", ["w"], ["y"]), node("Relu", ["x"], ["z"])]
    with pytest.raises(edgernn.UnsupportedModelError, match="output y does not depend on the model's inputs"):
        import_model(make_model(nodes, {"x": [1, STEPS, WIDTH]}, ["z", "y"], {"w": matrix(1, 6)}))


def test_sequence_lengths_are_refused_unless_they_are_all() -> None:
    weights = cell_weights("GRU", WIDTH, 5, np.random.default_rng(6)) | {"lengths": np.full(BATCH, STEPS, np.int32)}
    cell = node("GRU", ["x", "W", "R", "B", "lengths"], ["y"], hidden_size=5)
    model = make_model([cell], {"x": [STEPS, BATCH, WIDTH]}, ["y"], weights)
    check_against_original(model, {"x": matrix(STEPS, BATCH * WIDTH).reshape(STEPS, BATCH, WIDTH)})
    weights["lengths"][0] = 3
    with pytest.raises(edgernn.UnsupportedModelError, match="sequence_lens"):
        import_model(make_model([cell], {"x": [STEPS, BATCH, WIDTH]}, ["y"], weights))


def test_initial_states_must_be_equal_over_the_batch() -> None:
    weights = cell_weights("GRU", WIDTH, 5, np.random.default_rng(6)) | {"h": np.zeros((1, BATCH, 5), np.float32)}
    weights["h"][0, 1] = 1.0
    cell = node("GRU", ["x", "W", "R", "B", "", "h"], ["y"], hidden_size=5)
    with pytest.raises(edgernn.UnsupportedModelError, match=r"initial_h.*batch size 1"):
        import_model(make_model([cell], {"x": [STEPS, BATCH, WIDTH]}, ["y"], weights))


@pytest.mark.parametrize("opset", [8, 29])
def test_operator_sets_out_of_range(opset: int) -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, STEPS, WIDTH]}, ["y"], opset=17)
    model.opset_import[0].version = opset
    with pytest.raises(edgernn.UnsupportedModelError, match=f"operator set {opset}"):
        import_model(model)


def test_integer_inputs_are_refused_by_name() -> None:
    model = make_model([node("Gather", ["table", "ids"], ["y"])], {"ids": [1, STEPS]}, ["y"], {"table": matrix(9, 4)})
    model.graph.input[0].type.tensor_type.elem_type = 7
    with pytest.raises(
        edgernn.UnsupportedModelError, match=r"input ids, which node Gather_y .* holds integers \(int64\)"
    ):
        import_model(model)


def test_float64_models_run_with_a_warning() -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, STEPS, WIDTH]}, ["y"])
    model.graph.input[0].type.tensor_type.elem_type = 11
    assert import_model(model).program.warnings == (
        "the model computes in double, edgernn in float32: results may differ",
    )


def test_one_operator_set_may_be_named_twice() -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, STEPS, WIDTH]}, ["y"], opset=17)
    model.opset_import.append(helper.make_opsetid("", 17))
    assert import_model(model).program.outputs[0].name == "y"
    model.opset_import.append(helper.make_opsetid("ai.onnx", 18))
    with pytest.raises(edgernn.MalformedModelError, match="2 versions"):
        import_model(model)
