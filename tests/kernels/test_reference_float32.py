"""The NumPy reference against onnxruntime, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgernn.reference import float32 as reference

HIDDEN_SIZE, INPUT_SIZE, STEPS = 5, 3, 20
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
ALPHA_BETA: dict[str, tuple[float | None, float | None]] = {
    "Affine": (0.7, 0.1),
    "ScaledTanh": (0.8, 0.6),
    "LeakyRelu": (0.2, None),
    "ThresholdedRelu": (0.3, None),
    "HardSigmoid": (0.3, 0.4),
    "Elu": (0.7, None),
}


def run_onnx(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], X: np.ndarray, opset: int = 20) -> np.ndarray:
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"X": X})[0]
    return result


def cell_case(operator: str, seed: int, **attributes: Any) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Weights of the cell, its input X (T, 1, K) and onnxruntime's output (T, H)."""
    rng = np.random.default_rng(seed)
    gates, bound = GATES[operator], 1 / np.sqrt(HIDDEN_SIZE)
    shapes = {
        "W": (1, gates * HIDDEN_SIZE, INPUT_SIZE),
        "R": (1, gates * HIDDEN_SIZE, HIDDEN_SIZE),
        "B": (1, 2 * gates * HIDDEN_SIZE),
    }
    if attributes.pop("peepholes", False):
        shapes["P"] = (1, 3 * HIDDEN_SIZE)
    weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    inputs = ["X", "W", "R", "B"] + (["", "", "", "P"] if "P" in weights else [])
    X = rng.normal(size=(STEPS, 1, INPUT_SIZE)).astype(np.float32)
    node = helper.make_node(operator, inputs, ["Y"], hidden_size=HIDDEN_SIZE, **attributes)
    return weights, X, run_onnx([node], weights, X)[:, 0, 0]


def run_cell(operator: str, weights: dict[str, np.ndarray], X: np.ndarray, **options: Any) -> np.ndarray:
    W, R, B = (weights[name][0].astype(np.float64) for name in "WRB")
    P = weights["P"][0].astype(np.float64) if "P" in weights else None
    h, c = np.zeros(HIDDEN_SIZE), np.zeros(HIDDEN_SIZE)
    activations = options.pop("activations", [(name, None, None) for name in DEFAULTS[operator]])
    outputs = []
    for x in X[:, 0].astype(np.float64):
        if operator == "RNN":
            h = reference.rnn(x, h, W, R, B, activations, **options)
        elif operator == "GRU":
            h = reference.gru(x, h, W, R, B, activations, **options)
        else:
            h, c = reference.lstm(x, h, c, W, R, B, P, activations, **options)
        outputs.append(h)
    return np.array(outputs)


@pytest.mark.parametrize(
    ("operator", "attributes", "options"),
    [
        ("RNN", {}, {}),
        ("RNN", {"clip": 0.3}, {"clip": 0.3}),
        ("GRU", {"linear_before_reset": 0}, {"linear_before_reset": False}),
        ("GRU", {"linear_before_reset": 1}, {"linear_before_reset": True}),
        ("GRU", {"linear_before_reset": 1, "clip": 0.2}, {"linear_before_reset": True, "clip": 0.2}),
        ("LSTM", {}, {}),
        ("LSTM", {"clip": 0.2}, {"clip": 0.2}),
        ("LSTM", {"peepholes": True}, {}),
        ("LSTM", {"input_forget": 1}, {"input_forget": True}),
    ],
)
def test_cells_equal_onnxruntime(operator: str, attributes: dict[str, Any], options: dict[str, Any]) -> None:
    weights, X, expected = cell_case(operator, 1, **attributes)
    np.testing.assert_allclose(run_cell(operator, weights, X, **options), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["Relu", "Softsign", "Softplus", *ALPHA_BETA])
def test_gate_functions_equal_onnxruntime(name: str) -> None:
    alpha, beta = ALPHA_BETA.get(name, (None, None))
    attributes: dict[str, Any] = {"activations": [name]}
    attributes |= {"activation_alpha": [alpha]} if alpha is not None else {}
    attributes |= {"activation_beta": [beta]} if beta is not None else {}
    weights, X, expected = cell_case("RNN", 2, **attributes)
    result = run_cell("RNN", weights, X, activations=[(name, alpha, beta)])
    np.testing.assert_allclose(result, expected, atol=1e-6)


UNARY_NODES: dict[str, tuple[str, dict[str, Any], float | None, float | None]] = {
    "LeakyRelu": ("LeakyRelu", {"alpha": 0.2}, 0.2, None),
    "HardSigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 0.3, 0.4),
    "GeluTanh": ("Gelu", {"approximate": "tanh"}, None, None),
    "Celu": ("Celu", {"alpha": 0.5}, 0.5, None),
    "Elu": ("Elu", {"alpha": 0.5}, 0.5, None),
}


@pytest.mark.parametrize("function", sorted(set(reference.UNARY) - {"Clip", "Not", "Affine", "ScaledTanh"}))
def test_unary_functions_equal_onnxruntime(function: str) -> None:
    operator, attributes, alpha, beta = UNARY_NODES.get(function, (function, {}, None, None))
    X = np.concatenate([np.linspace(-9, 9, 101), [-60, 60, 0]]).astype(np.float32)
    if function in {"Log", "Sqrt", "Reciprocal"}:
        X = np.abs(X) + np.float32(0.01)
    if function == "Exp":
        X = X[:-3]
    expected = run_onnx([helper.make_node(operator, ["X"], ["Y"], **attributes)], {}, X)
    result = reference.unary(X.astype(np.float64), function, alpha, beta)
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=1e-6)


def test_clip_bounds_may_be_absent() -> None:
    x = np.array([-3.0, 0.5, 3.0])
    np.testing.assert_array_equal(reference.unary(x, "Clip", None, 1.0), [-3.0, 0.5, 1.0])
    np.testing.assert_array_equal(reference.unary(x, "Clip", -1.0, None), [-1.0, 0.5, 3.0])


@pytest.mark.parametrize(("operator", "logarithm"), [("Softmax", False), ("LogSoftmax", True)])
def test_softmax_equals_onnxruntime(operator: str, logarithm: bool) -> None:
    X = np.random.default_rng(3).normal(scale=20, size=(4, 7)).astype(np.float32)
    expected = run_onnx([helper.make_node(operator, ["X"], ["Y"], axis=-1)], {}, X)
    np.testing.assert_allclose(reference.softmax(X.astype(np.float64), logarithm), expected, atol=2e-5)
