"""One time step of a benchmark model as a .tflite file, written with LiteRT's own flatbuffer schema.

The graph is the shortest that its built-in operators allow (gates side by side in one fully connected layer, biases
folded, x and h joined where the cell permits it), so that LiteRT is not measured on a converter's detours. All of it is
taken by XNNPACK.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import CLASSES, INPUTS, Float32, Model

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"


def litert_model(model: Model) -> bytes:
    """The file: inputs x (1, inputs), h and for LSTM c (1, H); outputs scores (1, classes) and the new states."""
    graph = _Graph()
    H = model.hidden_size
    x, h = graph.tensor("x", (1, INPUTS)), graph.tensor("h", (1, H))
    if model.cell == "rnn":
        new_states, states = [graph.tanh(_joined_layer(graph, model, graph.concatenation(x, h), 0))], [h]
    elif model.cell == "gru":
        new_states, states = [_gru(graph, model, x, h)], [h]
    else:
        c = graph.tensor("c", (1, H))
        new_states, states = _lstm(graph, model, x, h, c), [h, c]
    logits = graph.fully_connected(new_states[0], model.weights["D"], model.weights["d"])
    return graph.file([x, *states], [graph.softmax(logits), *new_states])


def _joined_layer(graph: _Graph, model: Model, xh: int, *gates: int) -> int:
    """``W x + R h + Wb + Rb`` of some gates as one layer over x and h laid end to end."""
    W, R, Wb, Rb = (np.concatenate([model.gates(name)[gate] for gate in gates]) for name in ("W", "R", "Wb", "Rb"))
    return graph.fully_connected(xh, np.hstack([W, R]), Wb + Rb)


def _gru(graph: _Graph, model: Model, x: int, h: int) -> int:
    z, r = graph.split(graph.logistic(_joined_layer(graph, model, graph.concatenation(x, h), 0, 1)), 2)
    from_x = graph.fully_connected(x, model.gates("W")[2], model.gates("Wb")[2])
    from_h = graph.fully_connected(h, model.gates("R")[2], model.gates("Rb")[2])
    n = graph.tanh(graph.add(from_x, graph.multiply(r, from_h)))
    return graph.add(n, graph.multiply(z, graph.subtract(h, n)))


def _lstm(graph: _Graph, model: Model, x: int, h: int, c: int) -> list[int]:
    xh = graph.concatenation(x, h)
    i, o, f = graph.split(graph.logistic(_joined_layer(graph, model, xh, 0, 1, 2)), 3)
    g = graph.tanh(_joined_layer(graph, model, xh, 3))
    new_c = graph.add(graph.multiply(f, c), graph.multiply(i, g))
    return [graph.multiply(o, graph.tanh(new_c)), new_c]


class _Graph:
    """A LiteRT graph under construction. Tensors are numbers; each operator method returns the tensor it writes."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._tensors: list[Any] = []
        self._buffers = [schema.BufferT()]  # the first is empty by convention: tensors without content
        self._operators: list[Any] = []
        self._codes: list[int] = []

    def tensor(self, name: str, shape: tuple[int, ...], content: np.ndarray | None = None) -> int:
        """A new tensor; with `content` a constant."""
        tensor = self._schema.TensorT(shape=list(shape), name=f"{name}_{len(self._tensors)}", buffer=0)
        tensor.type = self._schema.TensorType.FLOAT32
        if content is not None:
            if content.dtype == np.int32:
                tensor.type = self._schema.TensorType.INT32
            tensor.buffer = len(self._buffers)
            self._buffers.append(self._schema.BufferT(data=np.frombuffer(content.tobytes(), np.uint8)))
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def fully_connected(self, x: int, weights: Float32, bias: Float32) -> int:
        constants = [self.tensor("weights", weights.shape, weights), self.tensor("bias", bias.shape, bias)]
        options = self._schema.FullyConnectedOptionsT()
        return self._one("FULLY_CONNECTED", [x, *constants], len(weights), "FullyConnectedOptions", options)

    def concatenation(self, *parts: int) -> int:
        width = sum(self._width(part) for part in parts)
        options = self._schema.ConcatenationOptionsT(axis=1)
        return self._one("CONCATENATION", list(parts), width, "ConcatenationOptions", options)

    def split(self, x: int, parts: int) -> list[int]:
        axis = self.tensor("axis", (), np.array(1, np.int32))
        widths = [self._width(x) // parts] * parts
        return self._operator("SPLIT", [axis, x], widths, "SplitOptions", self._schema.SplitOptionsT(numSplits=parts))

    def add(self, a: int, b: int) -> int:
        return self._one("ADD", [a, b], self._width(a), "AddOptions", self._schema.AddOptionsT())

    def subtract(self, a: int, b: int) -> int:
        return self._one("SUB", [a, b], self._width(a), "SubOptions", self._schema.SubOptionsT())

    def multiply(self, a: int, b: int) -> int:
        return self._one("MUL", [a, b], self._width(a), "MulOptions", self._schema.MulOptionsT())

    def tanh(self, x: int) -> int:
        return self._one("TANH", [x], self._width(x))

    def logistic(self, x: int) -> int:
        return self._one("LOGISTIC", [x], self._width(x))

    def softmax(self, x: int) -> int:
        return self._one("SOFTMAX", [x], CLASSES, "SoftmaxOptions", self._schema.SoftmaxOptionsT(beta=1.0))

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The finished model."""
        import flatbuffers

        schema = self._schema
        subgraph = schema.SubGraphT(tensors=self._tensors, operators=self._operators, inputs=inputs, outputs=outputs)
        codes = [schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=1) for code in self._codes]
        model = schema.ModelT(version=SCHEMA_VERSION, operatorCodes=codes, subgraphs=[subgraph], buffers=self._buffers)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _width(self, tensor: int) -> int:
        return int(self._tensors[tensor].shape[1])

    def _one(self, kind: str, inputs: list[int], width: int, options_kind: str = "NONE", options: Any = None) -> int:
        return self._operator(kind, inputs, [width], options_kind, options)[0]

    def _operator(self, kind: str, inputs: list[int], widths: list[int], options_kind: str, options: Any) -> list[int]:
        code = getattr(self._schema.BuiltinOperator, kind)
        if code not in self._codes:
            self._codes.append(code)
        outputs = [self.tensor(kind.lower(), (1, width)) for width in widths]
        self._operators.append(
            self._schema.OperatorT(
                opcodeIndex=self._codes.index(code),
                inputs=inputs,
                outputs=outputs,
                builtinOptionsType=getattr(self._schema.BuiltinOptions, options_kind),
                builtinOptions=options,
            )
        )
        return outputs
