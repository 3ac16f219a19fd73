"""Inputs without time beside a sequence: a condition, an identity, what a decoder is taught with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper
from sequence_models import cell_weights, make_model, run_original

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

node = helper.make_node
RNG = np.random.default_rng(0)
STEPS = 9


def gru(**weights: Any) -> tuple[list[NodeProto], dict[str, Any]]:
    """A GRU over x, as frames (1, time, 4) and a last state (1, 4)."""
    nodes = [
        node("Transpose", ["x"], ["columns"], perm=[1, 0, 2]),
        node("GRU", ["columns", "gru.W", "gru.R", "gru.B"], ["Y", "Y_h"], hidden_size=4),
        node("Squeeze", ["Y", "1"], ["rows"]),
        node("Transpose", ["rows"], ["frames"], perm=[1, 0, 2]),
        node("Squeeze", ["Y_h", "0"], ["last"]),
    ]
    known = {"0": np.array([0]), "1": np.array([1]), "W": RNG.standard_normal((7, 2)).astype(np.float32)}
    return nodes, cell_weights("GRU", 3, 4, np.random.default_rng(1), "gru.") | known | weights


def check(
    model: ModelProto, inputs: dict[str, Any], per_frame: bool, mode: str = "continuous", time_is_last: bool = False
) -> None:
    """Each step has what the original gives on the sequence so far; frames behind look-ahead come in their order."""
    program = import_model(model).program
    assert program.mode == mode
    x = inputs["x"]
    for runner in (ReferenceRunner, edgernn.Runner):
        stream, frames = runner(program), []
        for t in range(STEPS):
            y = stream.step({name: x[0, t] if name == "x" else array[0] for name, array in inputs.items()})
            if y is None:
                continue
            frames.append(np.array(y))
            if not per_frame:
                prefix = inputs | {"x": x[:, : t + 1]}
                np.testing.assert_allclose(frames[-1].ravel(), run_original(model, prefix)["y"].ravel(), atol=1e-6)
        if per_frame:
            tail = stream.flush()
            rest = tail["y"] if isinstance(tail, dict) else tail
            rows = [np.ravel(frame) for frame in (*frames, *rest)]  # (T, numbers)
            whole = run_original(model, inputs)["y"][0]
            np.testing.assert_allclose(rows, whole.T if time_is_last else whole, atol=1e-6)


def sequence(width: int = 3) -> Any:
    return RNG.standard_normal((1, STEPS, width)).astype(np.float32)


@pytest.mark.parametrize("length", ["time", STEPS])
def test_a_condition_beside_a_last_state(length: Any) -> None:
    nodes, weights = gru()
    nodes += [node("Concat", ["last", "c"], ["both"], axis=1), node("MatMul", ["both", "W"], ["y"])]
    model = make_model(nodes, {"x": (1, length, 3), "c": (1, 3)}, ["y"], weights)
    if length == "time":
        check(model, {"x": sequence(), "c": RNG.standard_normal((1, 3)).astype(np.float32)}, per_frame=False)
    assert import_model(model).program.mode == "continuous"


@pytest.mark.parametrize("repeat", ["expand", "tile", "tile of a frozen length"])
def test_a_condition_repeated_for_each_frame(repeat: str) -> None:
    nodes, weights = gru()
    length = STEPS if "frozen" in repeat else "time"
    if repeat == "expand":
        weights["column"] = np.array([1])
        nodes += [
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "1"], ["steps"]),
            node("Concat", ["column", "steps", "column"], ["target"], axis=0),
            node("Expand", ["row", "target"], ["repeated"]),
        ]
    else:
        parts = ["1", "steps", "1"]
        nodes += [node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "1"], ["steps"])]
        if "frozen" in repeat:
            nodes, parts = nodes[:-2], ["1", "length", "1"]
            weights["length"] = np.array([STEPS])
        nodes += [node("Concat", parts, ["repeats"], axis=0), node("Tile", ["row", "repeats"], ["repeated"])]
    nodes.insert(0, node("Unsqueeze", ["c", "1"], ["row"]))
    nodes += [node("Concat", ["frames", "repeated"], ["both"], axis=2), node("MatMul", ["both", "W"], ["y"])]
    model = make_model(nodes, {"x": (1, length, 3), "c": (1, 3)}, ["y"], weights)
    check(model, {"x": sequence(), "c": RNG.standard_normal((1, 3)).astype(np.float32)}, per_frame=True)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_condition_behind_look_ahead(pooled: bool) -> None:
    nodes = [
        node("Transpose", ["x"], ["channels"], perm=[0, 2, 1]),
        node("Conv", ["channels", "K"], ["filtered"], pads=[1, 1]),
        node("Unsqueeze", ["c", "2"], ["column"]),
        node("Mul", ["filtered", "column"], ["scaled" if pooled else "y"]),
    ]
    nodes += [node("GlobalMaxPool", ["scaled"], ["y"])] if pooled else []
    weights = {"K": RNG.standard_normal((3, 3, 3)).astype(np.float32), "2": np.array([2])}
    model = make_model(nodes, {"x": (1, "time", 3), "c": (1, 3)}, ["y"], weights)
    inputs = {"x": sequence(), "c": RNG.standard_normal((1, 3)).astype(np.float32)}
    check(model, inputs, not pooled, "continuous" if pooled else "delayed", time_is_last=True)


def test_an_identity_and_what_a_decoder_is_taught_with() -> None:
    """An id of one number, and an input of the same rank as the sequence with another length."""
    nodes, weights = gru(table=RNG.standard_normal((5, 3)).astype(np.float32))
    nodes += [
        node("Gather", ["table", "who"], ["known"]),
        node("Concat", ["last", "known"], ["both"], axis=1),
        node("MatMul", ["both", "W"], ["head"]),
        node("Transpose", ["taught"], ["turned"], perm=[1, 0, 2]),
        node("GRU", ["turned", "next.W", "next.R", "next.B", "", "Y_h"], ["decoded"], hidden_size=4),
        node("ReduceSum", ["decoded", "0"], ["sum"]),
        node("ReduceMean", ["sum"], ["mean"], axes=[1, 2, 3]),
        node("Add", ["head", "mean"], ["y"]),
    ]
    weights |= cell_weights("GRU", 2, 4, np.random.default_rng(2), "next.")
    model = make_model(nodes, {"x": (1, "time", 3), "who": (1,), "taught": (1, 4, 2)}, ["y"], weights)
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    taught = RNG.standard_normal((1, 4, 2)).astype(np.float32)
    program = import_model(model).program
    assert [(port.name, port.shape) for port in program.inputs] == [("x", (3,)), ("who", (1,)), ("taught", (4, 2))]
    check(model, {"x": sequence(), "who": np.array([3]), "taught": taught}, per_frame=False)
