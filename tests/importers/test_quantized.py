"""Models that onnxruntime's quantizer wrote run as their float meaning, and keep their integers when quantized."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnxruntime import quantization
from sequence_models import largest_difference, run_original, stored_arrays

import edgernn
from edgernn.importers import import_onnx
from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.translation import ImportedModel
from edgernn.quantizer import compare
from edgernn.quantizer.page import quantization_page
from edgernn.reference.runner import ReferenceRunner

Array = NDArray[Any]
SAMPLES = sorted((Path(__file__).parents[1] / "models" / "quant").glob("*.onnx"))
TOLERANCE = 2e-2
node = helper.make_node
random = np.random.default_rng(3)


def floats(*shape: int, scale: float = 1.0) -> Array:
    return (random.uniform(-scale, scale, shape)).astype(np.float32)


def model_of(
    nodes: list[NodeProto], weights: dict[str, Array], steps: int | None = None, output_type: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """A graph from x, (1, 6) or with `steps` (1, steps, 6), to y."""
    shape = [1, 6] if steps is None else [1, steps, 6]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", output_type, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def check(model: onnx.ModelProto, X: Array, tolerance: float = TOLERANCE) -> ImportedModel:
    """Import, stream and compare with onnxruntime on the quantized model."""
    imported = import_model(model)
    assert largest_difference(imported, {"x": X}, run_original(model, {"x": X})) < tolerance
    return imported


# ---- files


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("runner", [ReferenceRunner, edgernn.Runner])
def test_sample(path: Path, runner: type) -> None:
    imported = import_onnx(path)
    graph, stored = onnx.load(path).graph, stored_arrays(path.with_suffix(".npz"))
    weights = {tensor.name for tensor in graph.initializer}
    names = [entry.name for entry in graph.input if entry.name not in weights]
    feeds = {name: stored[f"in{i}"] for i, name in enumerate(names)}
    expected = {entry.name: stored[f"out{i}"] for i, entry in enumerate(graph.output)}
    assert largest_difference(imported, feeds, expected, runner) < TOLERANCE
    assert any("approximately" in warning for warning in imported.program.warnings) == ("__dyn_" in path.stem)


def test_there_is_a_sample_of_every_kind() -> None:
    assert {path.stem.rpartition("__")[2] for path in SAMPLES} == {
        "dyn_uint8",
        "qdq_s16s8",
        "qdq_s8s8",
        "qdq_u8s8_pc",
        "qop_u8s8",
    }


# ---- what the quantizer writes


class Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, frames: list[Array]) -> None:
        self.frames: Iterator[Array] = iter(frames)

    def get_next(self) -> dict[str, Array] | None:
        frame = next(self.frames, None)
        return None if frame is None else {"x": frame}


def float_step() -> onnx.ModelProto:
    """One step with every operator that the quantizer has an integer form for and edgernn a float one."""
    nodes = [
        node("Gemm", ["x", "W1", "b1"], ["g"], transB=1),
        node("Relu", ["g"], ["positive"]),
        node("MatMul", ["positive", "W2"], ["product"]),
        node("Add", ["product", "b2"], ["sum"]),
        node("Sigmoid", ["sum"], ["gate"]),
        node("Mul", ["gate", "positive"], ["gated"]),
        node("Concat", ["gated", "sum"], ["both"], axis=1),
        node("LeakyRelu", ["both"], ["leaky"], alpha=0.2),
        node("Split", ["leaky"], ["left", "right"], axis=1),
        node("Clip", ["right", "low", "high"], ["kept"]),
        node("Add", ["left", "kept"], ["mixed"]),
        node("Transpose", ["mixed"], ["turned"], perm=[1, 0]),
        node("Reshape", ["turned", "flat"], ["row"]),
        node("Gemm", ["row", "W3", "b3"], ["scores"], transB=1),
        node("Softmax", ["scores"], ["y"], axis=1),
    ]
    weights = {
        "W1": floats(8, 6, scale=0.5),
        "b1": floats(8),
        "W2": floats(8, 8, scale=0.5),
        "b2": floats(8),
        "low": np.array(-0.5, np.float32),
        "high": np.array(1.0, np.float32),
        "flat": np.array([1, 8]),
        "W3": floats(4, 8, scale=0.5),
        "b3": floats(4),
    }
    return model_of(nodes, weights)


def float_sequence() -> onnx.ModelProto:
    """An LSTM over 12 steps, of which the last goes to a dense layer."""
    H = 8
    nodes = [
        node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        node("LSTM", ["xt", "W", "R", "B"], ["", "h"], hidden_size=H),
        node("Squeeze", ["h", "axis"], ["last"]),
        node("Gemm", ["last", "D", "d"], ["y"], transB=1),
    ]
    weights = {
        "W": floats(1, 4 * H, 6, scale=0.4),
        "R": floats(1, 4 * H, H, scale=0.4),
        "B": floats(1, 8 * H, scale=0.4),
        "axis": np.array([0]),
        "D": floats(3, H),
        "d": floats(3),
    }
    return model_of(nodes, weights, steps=12)


TYPES = {"u8": quantization.QuantType.QUInt8, "s8": quantization.QuantType.QInt8, "s16": quantization.QuantType.QInt16}


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize(
    ("form", "activations"), [("QDQ", "u8"), ("QDQ", "s8"), ("QDQ", "s16"), ("QOperator", "u8"), ("QOperator", "s8")]
)
def test_static_quantization(form: str, activations: str, per_channel: bool, tmp_path: Path) -> None:
    frames = [floats(1, 6, scale=2) for _ in range(50)]
    path = tmp_path / "quantized.onnx"
    quantization.quantize_static(
        float_step(),
        path,
        Samples(frames),
        quant_format=quantization.QuantFormat[form],
        activation_type=TYPES[activations],
        weight_type=TYPES["s8"],
        per_channel=per_channel,
        extra_options={"ActivationSymmetric": activations != "u8"},
    )
    model = onnx.load(path)
    operators = {node.op_type for node in model.graph.node}
    assert {"QDQ": "DequantizeLinear", "QOperator": "QGemm"}[form] in operators
    program = check(model, floats(1, 6, scale=4)).program  # beyond the range of calibration, where integers saturate
    assert not program.warnings

    X = np.concatenate(frames)
    int8 = edgernn.quantize(program, X)
    report = compare(program, int8, X)
    matrices = [layer for layer in report.layers if layer.kept_rows is not None]
    assert len(matrices) == 3
    assert all(layer.kept_rows == 1.0 for layer in matrices)
    assert "quantized again: none" in report.table()
    assert "quantized again: none" in quantization_page("step", report)


@pytest.mark.parametrize("weights", ["u8", "s8"])
@pytest.mark.parametrize("make", [float_step, float_sequence])
def test_dynamic_quantization(make: Any, weights: str, tmp_path: Path) -> None:
    path = tmp_path / "quantized.onnx"
    quantization.quantize_dynamic(make(), path, weight_type=TYPES[weights])
    model = onnx.load(path)
    operators = {node.op_type for node in model.graph.node}
    assert ("DynamicQuantizeLSTM" if make is float_sequence else "MatMulInteger") in operators
    shape = (1, 12, 6) if make is float_sequence else (1, 6)
    program = check(model, floats(*shape)).program
    assert any("approximately" in warning for warning in program.warnings)
    scaled = [operation for operation in program.operations if type(operation).__name__ == "Binary"]
    assert make is float_step or not scaled  # scales and biases have joined the matrices


def test_asymmetric_weights_are_quantized_anew(tmp_path: Path) -> None:
    path = tmp_path / "quantized.onnx"
    shifted = float_sequence()
    for tensor in shifted.graph.initializer:
        if tensor.name == "D":
            tensor.CopyFrom(numpy_helper.from_array(np.abs(floats(3, 8)) + 1, "D"))
    quantization.quantize_dynamic(shifted, path, weight_type=TYPES["u8"])
    program = edgernn.load(path)
    X = floats(200, 6)
    report = compare(program, edgernn.quantize(program, X), X)
    assert [layer.kept_rows for layer in report.layers if layer.kind == "Int8Dense"] == [0.0]
    assert "kept as they were" not in report.table() or "quantized again: " in report.table()


# ---- single operators


def quantize_x(name: str = "q", scale: float = 0.02, zero: int = 128) -> tuple[NodeProto, dict[str, Array]]:
    parts = {f"{name}_s": np.array(scale, np.float32), f"{name}_z": np.array(zero, np.uint8)}
    return node("QuantizeLinear", ["x", *parts], [name]), parts


def integers(*shape: int) -> Array:
    return random.integers(-127, 128, shape).astype(np.int8)


Y = {"y_s": np.array(0.03, np.float32), "y_z": np.array(100, np.uint8)}
SINGLE: dict[str, tuple[NodeProto, dict[str, Array], bool]] = {
    "sigmoid": (node("QLinearSigmoid", ["q", "q_s", "q_z", "y_s", "y_z"], ["o"], domain="com.microsoft"), Y, True),
    "leaky": (
        node("QLinearLeakyRelu", ["q", "q_s", "q_z", "y_s", "y_z"], ["o"], domain="com.microsoft", alpha=0.1),
        Y,
        True,
    ),
    "softmax": (
        node("QLinearSoftmax", ["q", "q_s", "q_z", "s_s", "s_z"], ["o"], domain="com.microsoft", axis=-1, opset=13),
        {"s_s": np.array(1 / 256, np.float32), "s_z": np.array(0, np.uint8), **Y},
        True,
    ),
    "add": (
        node("QLinearAdd", ["q", "q_s", "q_z", "c", "c_s", "c_z", "y_s", "y_z"], ["o"], domain="com.microsoft"),
        {"c": integers(6).view(np.uint8), "c_s": np.array(0.01, np.float32), "c_z": np.array(7, np.uint8), **Y},
        True,
    ),
    "concat": (
        node(
            "QLinearConcat",
            ["y_s", "y_z", "q", "q_s", "q_z", "q", "q_s", "q_z"],
            ["o"],
            domain="com.microsoft",
            axis=1,
        ),
        Y,
        True,
    ),
    "matmul per column": (
        node("QLinearMatMul", ["q", "q_s", "q_z", "w", "w_s", "w_z", "y_s", "y_z"], ["o"]),
        {
            "w": integers(6, 4),
            "w_s": np.array([0.01, 0.005, 0.002, 0.01], np.float32),
            "w_z": np.zeros(4, np.int8),
            **Y,
        },
        True,
    ),
    "matmul to float": (
        node("MatMulIntegerToFloat", ["q", "w", "q_s", "w_s", "q_z", "w_z", "bias"], ["y"], domain="com.microsoft"),
        {
            "w": integers(6, 4),
            "w_s": np.full(4, 0.01, np.float32),
            "w_z": np.zeros(4, np.int8),
            "bias": floats(4),
        },
        False,
    ),
    "dynamic matmul": (
        node("DynamicQuantizeMatMul", ["x", "w", "w_s", "w_z", "bias"], ["y"], domain="com.microsoft"),
        {
            "w": integers(6, 4),
            "w_s": np.array(0.003, np.float32),
            "w_z": np.array(5, np.int8),
            "bias": floats(4),
        },
        False,
    ),
    "float gemm": (
        node("QGemm", ["q", "q_s", "q_z", "w", "w_s", "w_z", "b"], ["y"], domain="com.microsoft", transB=1, alpha=0.5),
        {
            "w": integers(4, 6),
            "w_s": np.array(0.01, np.float32),
            "w_z": np.array(0, np.int8),
            "b": random.integers(-5000, 5000, 4).astype(np.int32),
        },
        False,
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_operator(name: str) -> None:
    operator, weights, is_quantized = SINGLE[name]
    quantize, parts = quantize_x()
    zero = ["s_s", "s_z"] if name == "softmax" else ["y_s", "y_z"]
    nodes = [quantize, operator, *([node("DequantizeLinear", ["o", *zero], ["y"])] if is_quantized else [])]
    check(model_of(nodes, weights | parts), floats(1, 6, scale=3), tolerance=0.04)


def test_channels_with_scales_of_their_own() -> None:
    """Each channel saturates at its own end, and a Relu that lives in the range alone holds."""
    parts = {"s": np.linspace(0.001, 0.01, 6).astype(np.float32), "z": np.array([0, 0, 50, 100, 255, 255], np.uint8)}
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    check(model_of(nodes, parts), floats(1, 6, scale=4), tolerance=0.006)


def test_a_scale_may_be_written_with_an_axis() -> None:
    parts = {"s": np.array(0.02, np.float32), "z": np.array(128, np.uint8)}
    again = {"s1": np.array([0.02], np.float32), "z1": np.array([128], np.uint8)}
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s1", "z1"], ["y"])]
    check(model_of(nodes, parts | again), floats(1, 6))


def test_weights_in_blocks() -> None:
    parts = {"w": integers(4, 6), "s": np.linspace(0.001, 0.01, 8).astype(np.float32).reshape(4, 2)}
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["W"], axis=1, block_size=3),
        node("Gemm", ["x", "W"], ["y"], transB=1),
    ]
    model = model_of(nodes, parts)
    model.opset_import[0].version = 21
    model.ir_version = 10
    check(model, floats(1, 6), tolerance=1e-5)


def test_constants_are_quantized_with_rounding() -> None:
    parts = {"w": floats(4, 6), "s": np.array(0.01, np.float32), "z": np.array(-3, np.int8)}
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["W"]),
        node("Gemm", ["x", "W"], ["y"], transB=1),
    ]
    check(model_of(nodes, parts), floats(1, 6), tolerance=1e-5)


REFUSED: dict[str, tuple[list[NodeProto], dict[str, Array], str]] = {
    "another scale": (
        [quantize_x()[0], node("DequantizeLinear", ["q", "other", "q_z"], ["y"])],
        {"other": np.array(0.5, np.float32)},
        r"DequantizeLinear.*another scale or zero point",
    ),
    "arithmetic on integers": (
        [
            quantize_x()[0],
            node("Add", ["q", "one"], ["sum"]),
            node("DequantizeLinear", ["sum", "q_s", "q_z"], ["y"]),
        ],
        {"one": np.array(1, np.uint8)},
        "from no quantization that is known",
    ),
    "scale of zero": (
        [node("QuantizeLinear", ["x", "zero", "q_z"], ["q"]), node("DequantizeLinear", ["q", "zero", "q_z"], ["y"])],
        {"zero": np.array(0, np.float32)},
        "y_scale that is not positive and finite",
    ),
    "blocks without end": (
        [
            node("DequantizeLinear", ["w", "s"], ["W"], axis=1, block_size=1 << 60),
            node("Gemm", ["x", "W"], ["y"], transB=1),
        ],
        {"w": integers(4, 6), "s": np.ones((4, 2), np.float32)},
        "in blocks of 1152921504606846976",
    ),
    "no weights": (
        [
            quantize_x()[0],
            node("QLinearMatMul", ["q", "q_s", "q_z"], ["o"]),
            node("DequantizeLinear", ["o", "q_s", "q_z"], ["y"]),
        ],
        {},
        "lacks its input",
    ),
    "scales for another axis": (
        [node("DequantizeLinear", ["w", "s"], ["W"], axis=0), node("Gemm", ["x", "W"], ["y"], transB=1)],
        {"w": integers(4, 6), "s": np.ones(5, np.float32)},
        "5 scales or zero points for an axis of 4",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(name: str) -> None:
    nodes, weights, message = REFUSED[name]
    with pytest.raises(edgernn.EdgeRNNError, match=message):
        import_model(model_of(nodes, weights | quantize_x()[1]))
