"""Graphs that onnxruntime has optimised give the same program as before, and its own operators mean what they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper
from sequence_models import largest_difference, make_model, run_original

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

Array = NDArray[Any]
MODELS = Path(__file__).parents[1] / "models"
SAMPLES = sorted(
    path.relative_to(MODELS).as_posix() for name in ("keras", "torch") for path in (MODELS / name).glob("*.onnx")
)
LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
SCALED = {
    "torch/transformer_causal_nn_legacy.onnx"
}  # scales queries and keys apart; onnxruntime makes one factor of it
MICROSOFT = "com.microsoft"
BATCH, STEPS, WIDTH = 2, 5, 6
node = helper.make_node


def optimised(model: onnx.ModelProto, level: str, folder: Path) -> onnx.ModelProto:
    """The model as onnxruntime's optimiser writes it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


def kinds(program: edgernn.Program) -> Counter[str]:
    return Counter(type(operation).__name__ for operation in program.operations)


@pytest.mark.parametrize("level", sorted(LEVELS))
@pytest.mark.parametrize("sample", SAMPLES)
def test_sample(sample: str, level: str, tmp_path: Path) -> None:
    model = onnx.load(MODELS / sample)
    raw, after = import_model(model).program, import_model(optimised(model, level, tmp_path)).program
    if sample in SCALED:
        assert kinds(after) < kinds(raw)
    else:
        assert kinds(after) == kinds(raw)
    assert (after.mode, after.outputs, len(after.state)) == (raw.mode, raw.outputs, len(raw.state))
    np.testing.assert_allclose(some_outputs(after), some_outputs(raw), rtol=1e-5, atol=1e-5)


def some_outputs(program: edgernn.Program) -> Array:
    """All numbers that a stream or window of random input gives."""
    runner, rng = ReferenceRunner(program), np.random.default_rng(5)
    numbers = []
    for _ in range(program.window_steps or 8):
        result = runner.step({port.name: rng.standard_normal(port.shape) for port in program.inputs})
        frames = result.values() if isinstance(result, dict) else [result]
        numbers += [np.ravel(frame) for frame in frames if frame is not None]
    return np.concatenate(numbers) if numbers else np.zeros(0)


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def signal() -> Array:
    return np.random.default_rng(0).uniform(-2, 2, (BATCH, STEPS, WIDTH)).astype(np.float32)


def contributed(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    return node(operator, inputs, outputs, domain=MICROSOFT, **attributes)


TANH = node("Tanh", ["x"], ["t"])
TURNED = node("Transpose", ["x"], ["t"], perm=[0, 2, 1])

# name -> nodes from x (batch, time, 6) to y, weights
OPERATORS: dict[str, tuple[list[NodeProto], dict[str, Array]]] = {
    "Gelu": ([contributed("Gelu", ["x"], ["y"])], {}),
    "FastGelu": ([contributed("FastGelu", ["x", "b"], ["y"])], {"b": random(6)}),
    "BiasGelu": ([contributed("BiasGelu", ["x", "b"], ["y"])], {"b": random(6)}),
    "QuickGelu": ([contributed("QuickGelu", ["x"], ["y"], alpha=1.5)], {}),
    "FusedMatMul": ([contributed("FusedMatMul", ["x", "W"], ["y"], alpha=0.5, transB=1)], {"W": random(3, 6)}),
    "FusedMatMul of signals": ([TANH, contributed("FusedMatMul", ["x", "t"], ["y"], transA=1, alpha=2.0)], {}),
    "FusedMatMul of stacks": (
        [node("Reshape", ["x", "heads"], ["a"]),
            node("Transpose", ["a"], ["h"], perm=[1, 0, 2, 3]), node("Tanh", ["h"], ["t"]),
         contributed("FusedMatMul", ["h", "t"], ["y"], transBatchA=1, transBatchB=1, transB=1)],
        {"heads": np.array([BATCH, STEPS, 2, 3])},
    ),
    "FusedGemm": (
        [node("Reshape", ["x", "rows"], ["r"]),
         contributed("FusedGemm", ["r", "W", "b"], ["g"], activation="LeakyRelu", activation_alpha=0.2, transB=1),
         node("Reshape", ["g", "back"], ["y"])],
        {"rows": np.array([-1, 6]), "W": random(4, 6), "b": random(4), "back": np.array([BATCH, -1, 4])},
    ),
    "FusedConv": (
        [node("Transpose", ["x"], ["c"], perm=[0, 2, 1]),
         contributed("FusedConv", ["c", "W", "b"], ["y"], activation="Relu", pads=[2, 0])],
        {"W": random(4, 6, 3), "b": random(4)},
    ),
    "SkipLayerNormalization": (
        [TANH, contributed("SkipLayerNormalization", ["x", "t", "g", "b", "s"], ["y"], epsilon=1e-5)],
        {"g": random(6), "b": random(6) + 1, "s": random(6) - 1},
    ),
    "SkipLayerNormalization with its sum": (
        [TANH, contributed("SkipLayerNormalization", ["x", "t", "g", "b"], ["n", "", "", "s"], epsilon=1e-5),
         node("Add", ["n", "s"], ["y"])],
        {"g": random(6), "b": random(6) + 1},
    ),
    "SkipSimplifiedLayerNormalization": (
        [TANH, contributed("SkipSimplifiedLayerNormalization", ["x", "t", "g"], ["y"], epsilon=1e-5)],
        {"g": random(6)},
    ),
    "Attention": (
        [contributed("Attention", ["x", "W", "b"], ["y"], num_heads=2)], {"W": random(6, 18), "b": random(18)}
    ),
    "Attention, causal": (
        [contributed("Attention", ["x", "W", "b"], ["y"], num_heads=3, unidirectional=1, scale=0.4)],
        {"W": random(6, 18), "b": random(18)},
    ),
    "MultiHeadAttention": (
        [TANH, contributed("MultiHeadAttention", ["x", "t", "t", "b"], ["y"], num_heads=2)], {"b": random(18)}
    ),
    "RotaryEmbedding": (
        [contributed("RotaryEmbedding", ["x", "places", "cos", "sin"], ["y"])],
        {"places": np.tile(np.arange(STEPS), (BATCH, 1)), "cos": random(8, 3), "sin": random(9, 3)[:8]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_operator_of_onnxruntime(name: str) -> None:
    nodes, weights = OPERATORS[name]
    model = make_model(nodes, {"x": [BATCH, STEPS, WIDTH]}, ["y"], weights)
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    imported = import_model(model)
    expected = run_original(model, {"x": signal()})
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(imported, {"x": signal()}, expected, runner) < 2e-5


def test_layout_for_one_computer_is_refused() -> None:
    model = make_model(
        [node("Conv", ["x", "W"], ["y"], domain="com.microsoft.nchwc")], {"x": [1, 6, 9]}, ["y"], {"W": random(8, 6, 3)}
    )
    with pytest.raises(edgernn.UnsupportedModelError, match="optimise at level extended at most"):
        import_model(model)
