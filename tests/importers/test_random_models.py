"""Random stacks of layers, written as exporters write them, against onnxruntime on the whole sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import NodeProto, helper
from sequence_models import GATES, cell_weights, check_against_original, make_model

Array = NDArray[Any]
ACTIVATIONS = ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "Softplus", "Softsign", "HardSigmoid"]
FORMS = {"RNN": [{}, {"activations": ["Relu"]}], "GRU": [{}, {"linear_before_reset": 1}], "LSTM": [{}]}


class Stack:
    """A random model, grown layer by layer; tensors are (time, batch, features) inside."""

    def __init__(self, draw: Any, rng: np.random.Generator, opset: int) -> None:
        self.draw, self.rng, self.opset = draw, rng, opset
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.inputs: dict[str, list[int | str]] = {}
        self.outputs: list[str] = []
        self.batch = 1
        self.batch_extent: int | str = 1

    def node(self, operator: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> list[str]:
        names = [f"{operator}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names

    def axes_node(self, operator: str, x: str, axis: int) -> str:
        """Squeeze or Unsqueeze, whose axes became an input with operator set 13."""
        if self.opset < 13:
            return self.node(operator, [x], axes=[axis])[0]
        return self.node(operator, [x, self.weight(np.array([axis]))])[0]

    def weight(self, array: Array) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights[name] = array
        return name

    def recurrent(self, x: str, width: int) -> tuple[str, int]:
        operator = self.draw(st.sampled_from(sorted(FORMS)))
        hidden = self.draw(st.integers(1, 9))
        prefix = f"{operator}_{len(self.nodes)}_"
        self.weights |= cell_weights(operator, width, hidden, self.rng, prefix)
        begins = self.draw(st.sampled_from(["absent", "zeros", "constant", "input"]))
        read = [x, f"{prefix}W", f"{prefix}R", f"{prefix}B", "", *self.initial_states(operator, begins, hidden)]
        outputs = self.node(operator, read, 3 if operator == "LSTM" else 2, hidden_size=hidden, **self.form(operator))
        if begins == "input" or self.draw(st.booleans()):
            self.outputs += outputs[1:]
        return self.axes_node("Squeeze", outputs[0], 1), hidden

    def form(self, operator: str) -> dict[str, Any]:
        return self.draw(st.sampled_from(FORMS[operator]))

    def initial_states(self, operator: str, begins: str, hidden: int) -> list[str]:
        letters = ["h", "c"] if operator == "LSTM" else ["h"]
        names = []
        for letter in letters if begins != "absent" else []:
            if begins == "input":
                names.append(f"{letter}{len(self.inputs)}_in")
                self.inputs[names[-1]] = [1, self.batch_extent, hidden]
            else:
                state = self.rng.uniform(-0.5, 0.5, (1, 1, hidden)).astype(np.float32) * (begins == "constant")
                names.append(self.weight(np.repeat(state, self.batch, 1)))
        return names

    def dense(self, x: str, width: int) -> tuple[str, int]:
        outputs = self.draw(st.integers(1, 9))
        W = self.weight(self.rng.standard_normal((width, outputs)).astype(np.float32) / np.float32(np.sqrt(width)))
        product = self.node("MatMul", [x, W])[0]
        bias = self.weight(self.rng.standard_normal(outputs).astype(np.float32))
        return self.node("Add", [bias, product] if self.draw(st.booleans()) else [product, bias])[0], outputs

    def activation(self, x: str, width: int) -> tuple[str, int]:
        return self.node(self.draw(st.sampled_from(ACTIVATIONS)), [x])[0], width

    def normalisation(self, x: str, width: int) -> tuple[str, int]:
        mean, std = (self.weight(self.rng.uniform(0.5, 2, width).astype(np.float32)) for _ in range(2))
        return self.node("Div", [self.node("Sub", [x, mean])[0], std])[0], width

    def halves(self, x: str, width: int) -> tuple[str, int]:
        """The features cut in two, and joined the other way round."""
        if width < 2:
            return x, width
        sizes = [width // 2, width - width // 2]
        if self.opset < 13:
            left, right = self.node("Split", [x], 2, axis=2, split=sizes)
        else:
            left, right = self.node("Split", [x, self.weight(np.array(sizes))], 2, axis=2)
        return self.node("Concat", [right, left], axis=-1)[0], width

    def residual(self, x: str, width: int) -> tuple[str, int]:
        return self.node("Add", [x, self.node("Tanh", [x])[0]])[0], width

    def head(self, x: str) -> None:
        kind = self.draw(st.sampled_from(["frames", "softmax", "last gather", "last slice"]))
        if kind == "softmax":
            self.outputs += self.node("Softmax", [x], axis=2)
        elif kind == "last gather":
            self.outputs += self.node("Gather", [x, self.weight(np.array(-1))], axis=0)
        elif kind == "last slice" and self.opset >= 10:
            bounds = [self.weight(np.array([edge])) for edge in (-1, np.iinfo(np.int64).max, 0)]
            self.outputs.append(self.axes_node("Squeeze", self.node("Slice", [x, *bounds])[0], 0))
        else:
            self.outputs += self.node("Identity", [x])


@given(st.data())
@settings(max_examples=60)
def test_random_stack_streams_as_the_whole_sequence(data: st.DataObject) -> None:
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    stack = Stack(draw, rng, opset=draw(st.integers(9, 23), label="operator set"))
    channels, steps = draw(st.integers(1, 7)), draw(st.integers(2, 12))
    stack.batch = draw(st.integers(1, 3))
    is_batch_first = draw(st.booleans(), label="batch first")
    time: int | str = draw(st.sampled_from([steps, "time"]))
    batch = stack.batch_extent = draw(st.sampled_from([stack.batch, "batch"]))
    stack.inputs["x"] = [batch, time, channels] if is_batch_first else [time, batch, channels]
    x, width = (stack.node("Transpose", ["x"], perm=[1, 0, 2])[0] if is_batch_first else "x"), channels
    layers = [stack.dense, stack.activation, stack.normalisation, stack.halves, stack.residual]
    for layer in draw(st.permutations([stack.recurrent, *draw(st.lists(st.sampled_from(layers), max_size=4))])):
        x, width = layer(x, width)
    if draw(st.booleans()):
        x, width = stack.recurrent(x, width)
    stack.head(x)
    model = make_model(stack.nodes, stack.inputs, list(dict.fromkeys(stack.outputs)), stack.weights, opset=stack.opset)
    extents = {"time": steps, "batch": stack.batch}
    feeds = {
        name: rng.uniform(-1, 1, [extents.get(str(extent), extent) for extent in shape]).astype(np.float32)
        for name, shape in stack.inputs.items()
    }
    check_against_original(model, feeds)


@pytest.mark.parametrize("operator", sorted(GATES))
@pytest.mark.parametrize("hidden", [1, 7, 33])
def test_cell_over_a_thousand_steps(operator: str, hidden: int) -> None:
    rng = np.random.default_rng(hidden)
    weights = cell_weights(operator, 3, hidden, rng)
    node = helper.make_node(operator, ["x", "W", "R", "B"], ["y"], hidden_size=hidden)
    model = make_model([node], {"x": ["time", 1, 3]}, ["y"], weights)
    check_against_original(model, {"x": rng.standard_normal((1000, 1, 3)).astype(np.float32)})
