"""How much an import does, counted: rules that are applied for each node of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper
from sequence_models import cell_weights, largest_difference, make_model, run_original

from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.scope import Scope

MODELS = Path(__file__).parents[1] / "models"
HIDDEN, INPUTS = 5, 3
NODES_A_STEP = 16


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operator of each node whose rule is applied, in order."""
    operators: list[str] = []
    apply = Scope._apply

    def counted(self: Scope, node: Any) -> None:
        operators.append(node.operator)
        apply(self, node)

    monkeypatch.setattr(Scope, "_apply", counted)
    return operators


@pytest.mark.parametrize("folder", ["torch", "keras", "watch"])
def test_rules_are_applied_about_once_a_node(folder: str, applied: list[str]) -> None:
    """A layout of axes that does not fit is left at the first node that refuses it, and few are tried."""
    nodes = 0
    for path in sorted((MODELS / folder).glob("*.onnx")):
        model = onnx.load(path)
        bodies = [attribute.g for node in model.graph.node for attribute in node.attribute]
        own = len(model.graph.node) + sum(len(body.node) for body in bodies)
        before = len(applied)
        import_model(model)
        assert len(applied) - before <= 8 * own, path
        nodes += own
    assert nodes > 20
    assert len(applied) <= 1.5 * nodes


def unrolled_lstm(steps: int, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """An LSTM as exporters write it when they unroll: each step in plain operators, its weights shared."""
    H = HIDDEN
    W, R, B = weights["W"][0], weights["R"][0], weights["B"][0]
    arrays = {"Wt": W.T.copy(), "Rt": R.T.copy(), "b": B[: 4 * H] + B[4 * H :], "h_first": np.zeros((1, H), np.float32)}
    arrays |= {"c_first": np.zeros((1, H), np.float32), "sizes": np.array([H] * 4), "axis": np.array([0])}
    nodes: list[NodeProto] = []

    def node(operator: str, inputs: list[str], output: str | list[str], **attributes: Any) -> str:
        outputs = [output] if isinstance(output, str) else output
        nodes.append(helper.make_node(operator, inputs, outputs, outputs[0], **attributes))
        return outputs[0]

    h, c, frames = "h_first", "c_first", []
    for t in range(steps):
        arrays[f"t{t}"] = np.array(t)
        x = node("Gather", ["x", f"t{t}"], f"x{t}", axis=0)
        products = [node("MatMul", [x, "Wt"], f"xW{t}"), node("MatMul", [h, "Rt"], f"hR{t}")]
        gates = node("Add", [node("Add", products, f"sum{t}"), "b"], f"gates{t}")
        i, o, f, g = (f"{letter}{t}" for letter in "iofg")
        node("Split", [gates, "sizes"], [i, o, f, g], axis=1)
        i, o, f = (node("Sigmoid", [name], f"{name}s") for name in (i, o, f))
        kept = node("Mul", [f, c], f"kept{t}")
        new = node("Mul", [i, node("Tanh", [g], f"{g}t")], f"new{t}")
        c = node("Add", [kept, new], f"c{t}")
        h = node("Mul", [o, node("Tanh", [c], f"ct{t}")], f"h{t}")
        frames.append(node("Unsqueeze", [h, "axis"], f"frame{t}"))
    node("Concat", frames, "y", axis=0)
    return make_model(nodes, {"x": [steps, 1, INPUTS]}, ["y"], arrays)


@pytest.mark.parametrize("steps", [8, 6000 // NODES_A_STEP + 1])
def test_an_unrolled_lstm_is_the_program_of_the_operator(steps: int, applied: list[str]) -> None:
    rng = np.random.default_rng(0)
    weights = cell_weights("LSTM", INPUTS, HIDDEN, rng)
    model = unrolled_lstm(steps, weights)
    assert len(model.graph.node) == NODES_A_STEP * steps + 1
    imported = import_model(model)
    assert len(applied) < 3 * NODES_A_STEP, "one step is followed, however many there are"
    node = helper.make_node("LSTM", ["x", "W", "R", "B"], ["Y", "last"], hidden_size=HIDDEN)
    squeeze = helper.make_node("Squeeze", ["Y", "one"], ["y"])
    operator = import_model(
        make_model([node, squeeze], {"x": [steps, 1, INPUTS]}, ["y"], weights | {"one": np.array([1])})
    )
    kinds = [[type(operation).__name__ for operation in some.program.operations] for some in (imported, operator)]
    assert kinds[0] == kinds[1] == ["Lstm"]
    assert imported.program.mode == "continuous"
    feeds = {"x": rng.standard_normal((steps, 1, INPUTS)).astype(np.float32)}
    assert largest_difference(imported, feeds, run_original(model, feeds)) < 1e-5
