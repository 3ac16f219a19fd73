"""Operators of ai.onnx.ml, as skl2onnx writes scalers and linear models, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

ML = "ai.onnx.ml"
ROWS, WIDTH = 9, 4
node = helper.make_node


def floats(*values: float) -> list[float]:
    return list(values)


def weights(count: int) -> list[float]:
    return np.random.default_rng(count).uniform(-1, 1, count * WIDTH).tolist()


def classifier(**attributes: Any) -> NodeProto:
    return node("LinearClassifier", ["x"], ["label", "scores"], domain=ML, **attributes)


SCALER = node("Scaler", ["x"], ["scaled"], domain=ML, offset=floats(0.1, 0.2, -1, 2), scale=floats(2, 3, 0.5, 1))
THREE = {"coefficients": weights(3), "intercepts": floats(0.1, -0.2, 0.3)}
TWO = {"coefficients": [*weights(1), *(-w for w in weights(1))], "intercepts": floats(0.1, -0.1)}

# nodes, outputs with their number types
MODELS: dict[str, tuple[list[NodeProto], dict[str, int]]] = {
    "scaler": ([SCALER], {"scaled": TensorProto.FLOAT}),
    "scaler of one number": (
        [node("Scaler", ["x"], ["y"], domain=ML, offset=[1.0], scale=[0.5])],
        {"y": TensorProto.FLOAT},
    ),
    "normalizer L1": ([node("Normalizer", ["x"], ["y"], domain=ML, norm="L1")], {"y": TensorProto.FLOAT}),
    "normalizer L2": ([node("Normalizer", ["x"], ["y"], domain=ML, norm="L2")], {"y": TensorProto.FLOAT}),
    "binarizer": ([node("Binarizer", ["x"], ["y"], domain=ML, threshold=0.25)], {"y": TensorProto.FLOAT}),
    "regressor": (
        [node("LinearRegressor", ["x"], ["y"], domain=ML, targets=3, **THREE)],
        {"y": TensorProto.FLOAT},
    ),
    "classifier": (
        [classifier(classlabels_ints=[3, 5, 9], post_transform="SOFTMAX", multi_class=1, **THREE)],
        {"label": TensorProto.INT64, "scores": TensorProto.FLOAT},
    ),
    "classifier, as logistic regression": (
        [classifier(classlabels_ints=[0, 1], post_transform="LOGISTIC", **TWO)],
        {"label": TensorProto.INT64, "scores": TensorProto.FLOAT},
    ),
    "classifier without its label": (
        [classifier(classlabels_ints=[0, 1, 2], post_transform="LOGISTIC", **THREE),
         node("Normalizer", ["scores"], ["y"], domain=ML, norm="L1")],
        {"y": TensorProto.FLOAT},
    ),
    "labels of a net": (
        [node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
         node("ArrayFeatureExtractor", ["classes", "i"], ["c"], domain=ML),
         node("Reshape", ["c", "row"], ["r"]), node("Cast", ["r"], ["y"], to=TensorProto.INT64)],
        {"y": TensorProto.INT64},
    ),
    "features picked": (
        [node("ArrayFeatureExtractor", ["x", "picked"], ["y"], domain=ML)],
        {"y": TensorProto.FLOAT},
    ),
    "label encoder": (
        [node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
         node("LabelEncoder", ["i"], ["y"], domain=ML, keys_int64s=[0, 1, 2, 3], values_int64s=[7, 5, 3, 1])],
        {"y": TensorProto.INT64},
    ),
}  # fmt: skip
CONSTANTS = {"classes": np.array([4, 8, 15, 16]), "row": np.array([-1]), "picked": np.array([2, 0])}


def make(nodes: list[NodeProto], outputs: dict[str, int]) -> onnx.ModelProto:
    """A model of rows (batch, 4)."""
    read = {name for entry in nodes for name in entry.input}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items() if name in read],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def rows() -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(-2, 2, (ROWS, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_model_against_onnxruntime(name: str) -> None:
    nodes, outputs = MODELS[name]
    model = make(nodes, outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = dict(zip(outputs, session.run(list(outputs), {"x": rows()}), strict=True))
    program = import_model(model).program
    for row, x in enumerate(rows()):
        runner = ReferenceRunner(program)
        frame = runner.step(x)
        frame = frame if isinstance(frame, dict) else {program.outputs[0].name: frame}
        for output, array in expected.items():
            np.testing.assert_allclose(np.ravel(frame[output]), np.ravel(array[row]), atol=1e-5)


def test_zip_map_is_the_scores() -> None:
    nodes, _ = MODELS["classifier"]
    plain = import_model(make(nodes, {"scores": TensorProto.FLOAT})).program
    model = make([*nodes, node("ZipMap", ["scores"], ["y"], domain=ML, classlabels_int64s=[3, 5, 9])], {"y": 1})
    program = import_model(model).program
    np.testing.assert_array_equal(ReferenceRunner(program).step(rows()[0]), ReferenceRunner(plain).step(rows()[0]))


def test_labels_that_are_texts_come_as_their_index() -> None:
    model = make([classifier(classlabels_strings=["left", "right", "up"], **THREE)], {"label": 8, "scores": 1})
    program = import_model(model).program
    frame = ReferenceRunner(program).step(rows()[0])
    assert isinstance(frame, dict)
    assert frame["label"] == np.argmax(frame["scores"])
    assert "the labels are left, right, up" in program.warnings[0]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Normalizer", ["x"], ["y"], domain=ML, norm="MAX")], "use L1 or L2"),
        ([classifier(classlabels_ints=[0, 1], coefficients=weights(1)), node("Identity", ["scores"], ["y"])], "a row"),
        ([node("SVMRegressor", ["x"], ["y"], domain=ML)], r"ai.onnx.ml.SVMRegressor.*linear models are supported"),
        ([node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML)], "forest"),
        ([node("Scaler", ["x"], ["y"], domain=ML, offset=[1.0])], "lacks its attribute scale"),
    ],
)
def test_refusals(nodes: list[NodeProto], words: str) -> None:
    with pytest.raises(edgernn.ModelError, match=words):
        import_model(make(nodes, {"y": TensorProto.FLOAT}))
