"""What exporters are known to do to sequence models is told, and does not change what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from sequence_models import cell_weights, graph_arrays, largest_difference, make_model

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import AnyOperation, Gru, Lstm
from edgernn.program.program import Program

MODELS = Path(__file__).parents[1] / "models"
node = helper.make_node
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("torch/lstm_head_last_static_dynamo", "fixes the length of x at 25 steps"),
        ("torch/lstm_head_last_static_dynamo", r"node_Reshape_78 \(Reshape\) holds the 25 steps .* in its shape"),
        ("torch/lstm_stateful_chunk_l1_bf_dyn_dynamo", r"says that y has the shape \[1, 13, 3\].*is open"),
        ("made/rnn_tanh2_last_dynamo", "was written out step by step, 6 times"),
        ("made/tensorflow1_static_rnn", "was written out step by step, 6 times"),
        ("made/tf_keras_lstm_unrolled", "was written out step by step, 6 times"),
        ("made/keras_gru2", r"while_loop \(Loop\) is a loop, as Keras"),
        ("made/tensorflow1_dynamic_rnn", r"\(Scan\) is a loop, as Keras and TensorFlow"),
    ],
)
def test_trap_is_named(name: str, told: str) -> None:
    warnings = edgernn.load(MODELS / f"{name}.onnx").warnings
    assert any(re.search(told, warning) for warning in warnings), warnings


def test_a_model_without_traps_has_no_warnings() -> None:
    assert edgernn.load(MODELS / "torch" / "lstm_head_seqsoft_dyn_legacy.onnx").warnings == ()


def test_gru_of_an_older_exporter_is_suspected_and_put_right() -> None:
    """The attribute that older exporters forget: PyTorch always resets after the product."""
    path = MODELS / "torch" / "gru_head_last_opset18_legacy.onnx"
    model = onnx.load(path)
    for entry in model.graph.node:
        kept = [attribute for attribute in entry.attribute if attribute.name != "linear_before_reset"]
        del entry.attribute[:]
        entry.attribute.extend(kept)
    assert any("assume_torch_gru" in warning for warning in import_model(model).program.warnings)
    feeds, expected = graph_arrays(path, "")
    assert largest_difference(import_model(model), feeds, expected) > 1e-4
    assert largest_difference(import_model(model, assume_torch_gru=True), feeds, expected) < 1e-5


# ---- the same operations, so the same cost


def costs(program: Program) -> list[tuple[str, ...]]:
    """What decides the cost of a step: each operation with the shapes of its weights."""

    def cost(operation: AnyOperation) -> tuple[str, ...]:
        shapes = [str(program.weights[name].shape) for name in operation.weight_names()]
        return (type(operation).__name__, *shapes)

    return [cost(operation) for operation in program.operations]


def test_gru_that_keras_wrote_as_a_loop_costs_what_the_operator_costs() -> None:
    """The weights of the Loop's body are given to a GRU operator."""
    loop = edgernn.load(MODELS / "made" / "keras_gru_hard.onnx")
    (cell,) = loop.operations
    assert isinstance(cell, Gru)
    names = [activation.function for activation in cell.activations]
    weights = {name: loop.weights[getattr(cell, name)][np.newaxis] for name in ("W", "R", "B")}
    gru = node(
        "GRU", ["x", "W", "R", "B"], ["", "h"], hidden_size=6, linear_before_reset=1, activations=["Sigmoid", names[1]]
    )
    last = node("Squeeze", ["h", "first"], ["y"])
    model = make_model([gru, last], {"x": ("time", 1, 3)}, ["y"], weights | {"first": np.array([0])})
    operator = import_model(model).program
    assert costs(loop) == costs(operator)


def written_out_lstm(steps: int, hidden: int, inputs: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """An LSTM node by node for so many steps, and as an operator with the same weights."""
    weights = cell_weights("LSTM", inputs, hidden, RNG)
    constants = {
        "W": weights["W"][0].T,
        "R": weights["R"][0].T,
        "b": weights["B"][0].reshape(2, -1).sum(0),
        "zeros": np.zeros((1, hidden), np.float32),
        "sizes": np.full(4, hidden),
        **{f"t{t}": np.array(t) for t in range(steps)},
    }
    nodes, h, c = [], "zeros", "zeros"
    for t in range(steps):
        names = {name: f"{name}_{t}" for name in ("x", "w", "r", "s", "z", "i", "o", "f", "g", "u", "v", "c", "k", "h")}
        gates = [f"{gate}_{t}:linear" for gate in "iofg"]
        nodes += [
            node("Gather", ["x", f"t{t}"], [names["x"]], axis=1),
            node("MatMul", [names["x"], "W"], [names["w"]]),
            node("MatMul", [h, "R"], [names["r"]]),
            node("Add", [names["w"], names["r"]], [names["s"]]),
            node("Add", [names["s"], "b"], [names["z"]]),
            node("Split", [names["z"], "sizes"], gates, axis=1),
            *(node("Sigmoid", [gates[i]], [names[gate]]) for i, gate in enumerate("iof")),
            node("Tanh", [gates[3]], [names["g"]]),
            node("Mul", [names["f"], c], [names["u"]]),
            node("Mul", [names["i"], names["g"]], [names["v"]]),
            node("Add", [names["u"], names["v"]], [names["c"]]),
            node("Tanh", [names["c"]], [names["k"]]),
            node("Mul", [names["o"], names["k"]], [names["h"]]),
        ]
        h, c = names["h"], names["c"]
    unrolled = make_model(nodes, {"x": (1, steps, inputs)}, [h], constants)
    operator = [
        node("LSTM", ["x", "W", "R", "B"], ["", "h"], hidden_size=hidden),
        node("Squeeze", ["h", "first"], ["y"]),
    ]
    return unrolled, make_model(operator, {"x": (steps, 1, inputs)}, ["y"], weights | {"first": np.array([0])})


def test_six_thousand_nodes_cost_what_one_operator_costs() -> None:
    unrolled, operator = written_out_lstm(steps=400, hidden=16, inputs=6)
    assert len(unrolled.graph.node) == 6000
    first, second = (import_model(model).program for model in (unrolled, operator))
    assert costs(first) == costs(second)
    assert [type(operation) for operation in first.operations] == [Lstm]
    runners = [edgernn.Runner(program) for program in (first, second)]
    for x in RNG.standard_normal((50, 6)).astype(np.float32):
        np.testing.assert_allclose(runners[0].step(x), runners[1].step(x), atol=1e-5)
