"""Random cells in plain operators, as a step graph with explicit states, and as the body of a Scan or a Loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from sequence_models import IR_VERSION

Array = NDArray[Any]
FORMS = ("step", "scan", "loop", "scan from the end")


@dataclass(frozen=True)
class Row:
    """A tensor (1, width)."""

    name: str
    width: int


class RandomCell:
    """A random recurrence of one to three states, that forgets so that rounding does not grow.

    Parameters
    ----------
    seed : int

    Attributes
    ----------
    model : ModelProto
    form : str
        One of `FORMS`.
    pairs : dict of str to str
        Of a step graph: the output that feeds each state.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.form = FORMS[seed % len(FORMS)]
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.x = Row("x_t", self._integer(1, 5))
        self.states = [Row(f"s{i}_in", self._integer(1, 6)) for i in range(self._integer(1, 3))]
        if self._chance(0.3):  # the last frames, as a convolution keeps them
            self.states.append(Row("cache_in", self.x.width * self._integer(2, 4)))
        self.initial = {state.name: self.rng.uniform(-0.5, 0.5, (1, state.width)) for state in self.states}
        self.rows = [self.x, *self.states]
        for _ in range(self._integer(0, 8)):
            self._grow()
        self.new = [self._next(state) for state in self.states]
        self.y = self._dense(self._pick(self.rows[-4:]), self._integer(1, 5))
        self.pairs = {state.name: state.name.replace("_in", "_out") for state in self.states}
        self.nodes += [
            helper.make_node("Identity", [new.name], [self.pairs[state.name]])
            for state, new in zip(self.states, self.new, strict=True)
        ]
        self.model = {"step": self._step, "loop": self._loop}.get(self.form, self._scan)()

    def sequence(self, steps: int) -> Array:
        """Random input (T, width)."""
        return np.random.default_rng(self.seed + 1).standard_normal((steps, self.x.width)).astype(np.float32)

    # ---- the cell

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def _weight(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array, dtype)
        return name

    def _node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _row(self, name: str, width: int) -> Row:
        self.rows.append(Row(name, width))
        return self.rows[-1]

    def _dense(self, x: Row, outputs: int) -> Row:
        W = self.rng.uniform(-0.5, 0.5, (x.width, outputs)) / np.sqrt(x.width)
        B = self._weight(self.rng.uniform(-0.5, 0.5, outputs))
        if self._chance(0.5):
            return self._row(self._node("Gemm", [x.name, self._weight(W), B]), outputs)
        return self._row(self._node("Add", [self._node("MatMul", [x.name, self._weight(W)]), B]), outputs)

    def _grow(self) -> None:
        x = self._pick(self.rows)
        kind = self._pick(["dense", "activation", "join", "pair", "slice", "softmax", "where"])
        same = [row for row in self.rows if row.width == x.width]
        if kind == "dense":
            self._dense(x, self._integer(1, 6))
        elif kind == "activation":
            self._row(self._node(self._pick(["Tanh", "Sigmoid", "Relu", "Elu", "Softsign"]), [x.name]), x.width)
        elif kind == "join":
            other = self._pick(self.rows)
            self._row(self._node("Concat", [x.name, other.name], axis=1), x.width + other.width)
        elif kind == "pair":
            bounded = self._node("Tanh", [x.name])
            self._row(self._node(self._pick(["Add", "Mul", "Sub"]), [bounded, self._pick(same).name]), x.width)
        elif kind == "slice":
            start = self._integer(0, x.width - 1)
            bounds = [self._weight([number], np.int64) for number in (start, x.width, 1)]
            self._row(self._node("Slice", [x.name, *bounds]), x.width - start)
        elif kind == "softmax":
            self._row(self._node("Softmax", [x.name], axis=-1), x.width)
        else:
            above = self._node("Greater", [self._pick(same).name, self._weight(0.0)])
            self._row(self._node("Where", [above, x.name, self._pick(same).name]), x.width)

    def _next(self, state: Row) -> Row:
        """What becomes of a state."""
        if state.name == "cache_in":
            bounds = [self._weight([number], np.int64) for number in (self.x.width, state.width, 1)]
            kept = self._node("Slice", [state.name, *bounds])
            return self._row(self._node("Concat", [kept, self.x.name], axis=1), state.width)
        other = self._pick(self.rows)
        joined = self._node("Concat", [self.x.name, state.name, other.name], axis=1)  # so that none is left out
        product = self._dense(Row(joined, self.x.width + state.width + other.width), state.width)
        candidate = self._node("Tanh", [product.name])
        kind = self._pick(["candidate", "gate", "leak", "linear"])
        if kind == "candidate":
            return self._row(candidate, state.width)
        if kind == "gate":
            gate = self._node("Sigmoid", [self._dense(self._pick(self.rows), state.width).name])
            rest = self._node("Sub", [self._weight(1.0), gate])
        else:
            gate = self._weight(self.rng.uniform(0.2, 0.9, state.width if kind == "linear" else 1))
            rest = self._weight(0.3)
        kept = self._node("Mul", [gate, state.name])
        added = self._node("Mul", [candidate, rest] if self._chance(0.5) else [rest, candidate])
        return self._row(self._node("Add", [kept, added]), state.width)

    # ---- what it stands in

    def _rows(self, names: Sequence[str], widths: Sequence[int]) -> list[ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
            for name, width in zip(names, widths, strict=True)
        ]

    @property
    def _old(self) -> list[ValueInfoProto]:
        return self._rows([state.name for state in self.states], [state.width for state in self.states])

    @property
    def _new(self) -> list[ValueInfoProto]:
        return self._rows(list(self.pairs.values()), [state.width for state in self.states])

    def _initializers(self) -> list[TensorProto]:
        return [numpy_helper.from_array(array, name) for name, array in self.weights.items()]

    def _model(self, nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            nodes,
            "random",
            inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._initializers(),
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=IR_VERSION)

    def _step(self) -> onnx.ModelProto:
        x = self._rows([self.x.name], [self.x.width])
        return self._model(self.nodes, [*x, *self._old], [self.y.name, *self.pairs.values()])

    def _begun(self) -> list[str]:
        return [self._weight(self.initial[state.name]) for state in self.states]

    def _scan(self) -> onnx.ModelProto:
        reverse = self.form == "scan from the end"
        body = helper.make_graph(
            self.nodes,
            "body",
            [*self._old, *self._rows([self.x.name], [self.x.width])],
            [*self._new, *self._rows([self.y.name], [self.y.width])],
        )
        scan = helper.make_node(
            "Scan",
            [*self._begun(), "x"],
            [*(f"last{i}" for i in range(len(self.states))), "y"],
            name="Scan",
            body=body,
            num_scan_inputs=1,
            scan_input_directions=[int(reverse)],
        )
        return self._sequence_model([scan])

    def _loop(self) -> onnx.ModelProto:
        zero = self._weight(0, np.int64)
        taken = helper.make_node("Gather", ["x", "round"], [self.x.name], name="Take", axis=0)
        goes_on = helper.make_node("Identity", ["goes_on"], ["goes_on_out"], name="GoesOn")
        body = helper.make_graph(
            [taken, *self.nodes, goes_on],
            "body",
            [
                helper.make_tensor_value_info("round", TensorProto.INT64, []),
                helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
                *self._old,
            ],
            [
                helper.make_tensor_value_info("goes_on_out", TensorProto.BOOL, []),
                *self._new,
                *self._rows([self.y.name], [self.y.width]),
            ],
        )
        true = self._weight(True, np.bool_)
        outputs = [*(f"last{i}" for i in range(len(self.states))), "y"]
        return self._sequence_model(
            [
                helper.make_node("Shape", ["x"], ["shape"], name="Shape"),
                helper.make_node("Gather", ["shape", zero], ["steps"], name="Steps", axis=0),
                helper.make_node("Loop", ["steps", true, *self._begun()], outputs, name="Loop", body=body),
            ]
        )

    def _sequence_model(self, nodes: list[NodeProto]) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["time", 1, self.x.width])
        outputs = ["y", *(f"last{i}" for i in range(len(self.states)) if self._chance(0.6))]
        return self._model(nodes, [x], outputs)
