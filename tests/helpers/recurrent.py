"""Random recurrent models for the tests, as a Program and as the ONNX model that onnxruntime runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import Dense, GateFunction, Gru, Lstm, Operation, Rnn, Softmax, StateRegion
from edgernn.program.program import Program

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class Recurrent:
    """A stack of recurrent layers with a dense softmax head, weights drawn from U(-1/sqrt(H), 1/sqrt(H))."""

    kind: str = "GRU"  # ONNX operator
    hidden_size: int = 16
    input_size: int = 6
    layers: int = 1
    classes: int = 4
    linear_before_reset: bool = True
    relu: bool = False
    packed_state: bool = False  # all layers in one state slot, (layers, 1, hidden_size) without the batch
    extra: dict[str, Any] = field(default_factory=dict)  # further attributes of the cells
    seed: int = 0

    def weights(self) -> dict[str, np.ndarray]:
        """Weights by name, in ONNX's layout."""
        random, bound = np.random.default_rng(self.seed), 1 / np.sqrt(self.hidden_size)
        rows, found = GATES[self.kind] * self.hidden_size, {}

        def draw(*shape: int) -> np.ndarray:
            return random.uniform(-bound, bound, shape).astype(np.float32)

        for layer in range(self.layers):
            columns = self.input_size if layer == 0 else self.hidden_size
            found[f"W{layer}"] = draw(rows, columns)
            found[f"R{layer}"] = draw(rows, self.hidden_size)
            found[f"B{layer}"] = draw(2 * rows)
        return found | {"head": 3 * draw(self.classes, self.hidden_size), "bias": draw(self.classes)}

    def _region(self, letter: str, layer: int) -> StateRegion:
        if self.packed_state:
            return StateRegion(letter, layer * self.hidden_size)
        return StateRegion(f"{letter}{layer}")

    def _slots(self) -> tuple[StateSlot, ...]:
        letters = "hc" if self.kind == "LSTM" else "h"
        if self.packed_state:
            return tuple(StateSlot(letter, (self.layers, self.hidden_size)) for letter in letters)
        return tuple(
            StateSlot(f"{letter}{layer}", (self.hidden_size,)) for layer in range(self.layers) for letter in letters
        )

    def _cell(self, layer: int) -> Operation:
        common = {
            "name": f"cell{layer}",
            "inputs": ("x" if layer == 0 else f"y{layer - 1}",),
            "outputs": (f"y{layer}",),
            "W": f"W{layer}",
            "R": f"R{layer}",
            "B": f"B{layer}",
            "h": self._region("h", layer),
            **self.extra,
        }
        if self.kind == "GRU":
            return Gru(linear_before_reset=self.linear_before_reset, **common)
        if self.kind == "LSTM":
            return Lstm(c=self._region("c", layer), **common)
        return Rnn(activations=(GateFunction("Relu" if self.relu else "Tanh"),), **common)

    def program(self) -> Program:
        """The step program; output "scores", and "states", the last layer's h."""
        last = f"y{self.layers - 1}"
        head = (
            Dense(name="head", inputs=(last,), outputs=("logits",), W="head", B="bias"),
            Softmax(name="softmax", inputs=("logits",), outputs=("scores",)),
        )
        description = ProgramDescription(
            inputs=(InputDescription("x", (self.input_size,)),),
            outputs=(OutputDescription("scores", "scores", per_frame=True),),
            state=self._slots(),
            operations=(*map(self._cell, range(self.layers)), *head),
        )
        return Program(description, self.weights())

    def onnx_model(self) -> onnx.ModelProto:
        """The same as a model of whole sequences: X (T, 1, input_size) -> scores (T, 1, classes)."""
        weights, nodes, value = self.weights(), [], "X"
        initializers = [numpy_helper.from_array(weights["head"].T.copy(), "head")]
        initializers.append(numpy_helper.from_array(weights["bias"], "bias"))
        initializers.append(numpy_helper.from_array(np.array([1]), "axes"))
        attributes = {"GRU": {"linear_before_reset": int(self.linear_before_reset)}, "LSTM": {}}.get(
            self.kind, {"activations": ["Relu" if self.relu else "Tanh"]}
        )
        for layer in range(self.layers):
            names = [f"{letter}{layer}" for letter in "WRB"]
            initializers += [numpy_helper.from_array(weights[name][np.newaxis], name) for name in names]
            nodes.append(
                helper.make_node(self.kind, [value, *names], [f"Y{layer}"], hidden_size=self.hidden_size, **attributes)
            )
            nodes.append(helper.make_node("Squeeze", [f"Y{layer}", "axes"], [f"S{layer}"]))
            value = f"S{layer}"
        nodes.append(helper.make_node("MatMul", [value, "head"], ["product"]))
        nodes.append(helper.make_node("Add", ["product", "bias"], ["logits"]))
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=-1))
        graph = helper.make_graph(
            nodes,
            "recurrent",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", 1, self.input_size])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["T", 1, self.classes])],
            initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)

    def onnxruntime_scores(self, X: np.ndarray) -> np.ndarray:
        """What onnxruntime gives for the whole sequence X (T, input_size), (T, classes)."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            self.onnx_model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"X": X[:, np.newaxis]})[0][:, 0]

    def samples(self, steps: int, seed: int = 1) -> np.ndarray:
        """Random input, (steps, input_size)."""
        return np.random.default_rng(seed).standard_normal((steps, self.input_size)).astype(np.float32)
