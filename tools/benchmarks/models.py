"""The models of the benchmark: one recurrent layer, a dense head and softmax, with seeded weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Cell: TypeAlias = Literal["rnn", "gru", "lstm"]
Float32: TypeAlias = NDArray[np.float32]

CELLS: tuple[Cell, ...] = ("rnn", "gru", "lstm")
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
INPUTS = 6  # an accelerometer and a gyroscope
CLASSES = 4


@dataclass(frozen=True)
class Model:
    """Weights drawn from U(-1/sqrt(H), 1/sqrt(H)), laid out and ordered as the ONNX operators want them.

    ``W`` is (gates * H, inputs), ``R`` (gates * H, H), ``B`` (2 * gates * H,); the head's ``D`` is (classes, H) and its
    ``d`` (classes,). The gates of GRU are ``z r h`` with `linear_before_reset`, those of LSTM ``i o f c``.
    """

    cell: Cell
    hidden_size: int

    @property
    def name(self) -> str:
        return f"{self.cell}{self.hidden_size}"

    @cached_property
    def weights(self) -> dict[str, Float32]:
        random = np.random.default_rng([CELLS.index(self.cell), self.hidden_size])
        rows, bound = GATES[self.cell] * self.hidden_size, self.hidden_size**-0.5
        shapes = {
            "W": (rows, INPUTS),
            "R": (rows, self.hidden_size),
            "B": (2 * rows,),
            "D": (CLASSES, self.hidden_size),
            "d": (CLASSES,),
        }
        return {name: random.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}

    def gates(self, name: str) -> list[Float32]:
        """One weight of the cell, split into its gates; the recurrence biases are named ``Rb``, the input's ``Wb``."""
        if name in ("Wb", "Rb"):
            half = self.weights["B"].reshape(2, -1)[0 if name == "Wb" else 1]
            return np.split(half, GATES[self.cell])
        return np.split(self.weights[name], GATES[self.cell])

    def reference(self, X: Float32) -> NDArray[np.float64]:
        """Scores (steps, classes) of X (steps, inputs), in float64 from a zero state."""
        W, R, B, D, d = (self.weights[name].astype(np.float64) for name in ("W", "R", "B", "D", "d"))
        input_bias, recurrence_bias = B.reshape(2, -1)
        h = c = np.zeros(self.hidden_size)
        scores = np.empty((len(X), CLASSES))
        for t, x in enumerate(X.astype(np.float64)):
            from_x, from_h = W @ x + input_bias, R @ h + recurrence_bias
            if self.cell == "rnn":
                h = np.tanh(from_x + from_h)
            elif self.cell == "gru":
                (xz, xr, xn), (hz, hr, hn) = np.split(from_x, 3), np.split(from_h, 3)
                z, n = _sigmoid(xz + hz), np.tanh(xn + _sigmoid(xr + hr) * hn)
                h = (1 - z) * n + z * h
            else:
                i, o, f, g = np.split(from_x + from_h, 4)
                c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
                h = _sigmoid(o) * np.tanh(c)
            y = np.exp(D @ h + d)
            scores[t] = y / y.sum()
        return scores

    def onnx(self) -> bytes:
        """One time step as an ONNX file: x (1, 1, inputs) and the states in, scores (1, classes) and new states out."""
        from onnx import TensorProto, checker, helper, numpy_helper

        def port(name: str, *shape: int) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        H = self.hidden_size
        states = ["h", "c"] if self.cell == "lstm" else ["h"]
        attributes: dict[str, Any] = {"linear_before_reset": 1} if self.cell == "gru" else {}
        nodes = [
            helper.make_node(
                self.cell.upper(),
                ["x", "W", "R", "B", "", *(f"{state}_in" for state in states)],
                ["", *(f"{state}_out" for state in states)],
                name="cell",
                hidden_size=H,
                **attributes,
            ),
            helper.make_node("Squeeze", ["h_out", "first_axis"], ["h_row"], name="squeeze"),
            helper.make_node("Gemm", ["h_row", "D", "d"], ["logits"], name="head", transB=1),
            helper.make_node("Softmax", ["logits"], ["scores"], name="softmax", axis=-1),
        ]
        cell_weights = {name: self.weights[name][None] for name in ("W", "R", "B")}  # one direction
        constants = cell_weights | {name: self.weights[name] for name in ("D", "d")} | {"first_axis": np.array([0])}
        graph = helper.make_graph(
            nodes,
            self.name,
            [port("x", 1, 1, INPUTS), *(port(f"{state}_in", 1, 1, H) for state in states)],
            [port("scores", 1, CLASSES), *(port(f"{state}_out", 1, 1, H) for state in states)],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def samples(steps: int) -> Float32:
    """Input of the benchmark, (steps, inputs), normally distributed as normalised sensor channels are."""
    return np.random.default_rng(1).standard_normal((steps, INPUTS), dtype=np.float32)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))
