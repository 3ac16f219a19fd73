"""What cannot stream is refused with the node, the operator and what to do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper
from sequence_models import cell_weights, check_against_original, make_model
from streaming_oracle import largest_difference

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
    "trees": (
        [node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml")],
        {},
        r"\(ai.onnx.ml.TreeEnsembleRegressor\).*forest of decision trees",
    ),
    "loop that may end early": (
        [
            node("Constant", [], ["count"], value_int=STEPS),
            node("Gather", ["x", "zero"], ["go"], axis=1),
            node("Loop", ["count", "go"], ["y"], body=LOOP_BODY),
        ],
        {"zero": np.array(0)},
        r"\(Loop\) has a condition at its beginning that depends on the model's inputs",
    ),
    "unknown attribute": ([node("Relu", ["x"], ["y"], axis=1)], {}, "attribute axis, which is not supported"),
    "other operator set": ([node("Relu", ["x"], ["y"], domain="my.own")], {}, "operator set my.own"),
    "training": (
        [node("Dropout", ["x", "ratio", "yes"], ["y"])],
        {"ratio": np.array(0.5, np.float32), "yes": np.array(True)},
        r"model.eval\(\)",
    ),
    "constant": ([node("Relu", ["w"], ["y"])], {"w": matrix(1, 6)}, "nothing to stream"),
}

# name -> nodes from x (1, 7, 6) to y, weights, why they need a window
NEEDS_WINDOW: dict[str, tuple[list[NodeProto], dict[str, Array], str]] = {
    "softmax over time": ([node("Softmax", ["x"], ["y"], axis=1)], {}, "softmax over time"),
    "first frame": ([node("Gather", ["x", "zero"], ["y"], axis=1)], {"zero": np.array(0)}, "position in time"),
    "frames turned round": (
        [node("Slice", ["x", "start", "end", "axis", "step"], ["y"])],
        {"start": integers(-1), "end": integers(-(1 << 62)), "axis": integers(1), "step": integers(-1)},
        "position in time",
    ),
    "positions": (
        [node("Add", ["x", "ramp"], ["y"])],
        {"ramp": np.arange(STEPS, dtype=np.float32).reshape(1, STEPS, 1) ** 2},
        "differs along time",
    ),
    "flattened time": (
        [node("Flatten", ["x"], ["flat"]), node("Gemm", ["flat", "W"], ["y"])],
        {"W": matrix(STEPS * WIDTH, 2)},
        "span time",
    ),
    "last frame beside every frame": (
        [node("Gather", ["x", "last"], ["end"], axis=1), node("Mul", ["x", "end"], ["y"])],
        {"last": integers(-1)},
        "needs the end of the sequence",
    ),
    "reversed layer": (
        [
            node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            node("GRU", ["t", "W", "R", "B"], ["y"], hidden_size=5, direction="reverse"),
        ],
        cell_weights("GRU", WIDTH, 5, np.random.default_rng(6)),
        "reads the sequence from its end",
    ),
    "begun from the end": (
        [
            node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            node("Gather", ["t", "last"], ["end"], axis=0),
            node("Unsqueeze", ["end", "0"], ["h0"]),
            node("GRU", ["t", "W", "R", "B", "", "h0"], ["", "y"], hidden_size=6),
        ],
        cell_weights("GRU", WIDTH, 6, np.random.default_rng(6)) | {"last": np.array(-1), "0": integers(0)},
        "begins from a state that the end of a sequence gives",
    ),
}


@pytest.mark.parametrize("name", sorted(NEEDS_WINDOW))
def test_what_needs_the_end_runs_on_windows(name: str) -> None:
    nodes, weights, words = NEEDS_WINDOW[name]
    model = make_model(nodes, {"x": [1, STEPS, WIDTH]}, ["y"], weights)
    imported = import_model(model, hop=3)
    assert imported.program.mode == "windowed"
    assert (imported.program.window_steps, imported.program.warmup_steps) == (STEPS, STEPS - 1)
    assert re.search(words, imported.program.description.mode_reason)
    x = np.random.default_rng(5).standard_normal((3 * STEPS, WIDTH)).astype(np.float32)
    assert largest_difference(model, imported, {"x": x}) < 1e-5
    if "ramp" not in weights and "W" not in weights:
        free = make_model(nodes, {"x": [1, "time", WIDTH]}, ["y"], weights)
        with pytest.raises(edgernn.UnsupportedModelError, match=f"{words}.*window="):
            import_model(free)
        assert import_model(free, window=STEPS, hop=3).program.operations == imported.program.operations


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


def test_sequence_lengths_must_be_all_or_known() -> None:
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
    with pytest.raises(edgernn.UnsupportedModelError, match=r"initial_h.*batch 1"):
        import_model(make_model([cell], {"x": [STEPS, BATCH, WIDTH]}, ["y"], weights))


@pytest.mark.parametrize("opset", [8, 29])
def test_operator_sets_out_of_range(opset: int) -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, STEPS, WIDTH]}, ["y"], opset=17)
    model.opset_import[0].version = opset
    with pytest.raises(edgernn.UnsupportedModelError, match=f"operator set {opset}"):
        import_model(model)


def test_float64_models_run_with_a_warning() -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, STEPS, WIDTH]}, ["y"])
    model.graph.input[0].type.tensor_type.elem_type = 11
    warning, *_ = import_model(model).program.warnings
    assert warning == "the model computes in double, edgernn in float32: results may differ"


def test_one_operator_set_may_be_named_twice() -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, STEPS, WIDTH]}, ["y"], opset=17)
    model.opset_import.append(helper.make_opsetid("", 17))
    assert import_model(model).program.outputs[0].name == "y"
    model.opset_import.append(helper.make_opsetid("ai.onnx", 18))
    with pytest.raises(edgernn.MalformedModelError, match="2 versions"):
        import_model(model)
