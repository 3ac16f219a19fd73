"""Recurrent cells. Weights, gates and equations are those of the ONNX operators RNN, GRU and LSTM, one direction.

``W`` is (gates * hidden_size, input_size), ``R`` is (gates * hidden_size, hidden_size), ``B`` holds the input biases
and then the recurrence biases, (2 * gates * hidden_size,). Gate order: GRU ``z r h``, LSTM ``i o f c``. The output of a
step is the new hidden state h, (hidden_size,).
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, ClassVar

import msgspec

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Operand, Operands, Sizes, State, StateRegion, Weight
from edgernn.program.operations.elementwise import UNARY_FUNCTIONS

GATE_FUNCTIONS = (*UNARY_FUNCTIONS, "Affine", "ScaledTanh")  # the last two exist only inside ONNX's cells


class GateFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gate's activation: an ONNX name (``Sigmoid``, ``Tanh``, ``Relu``, ...) with its constants, where it has any."""

    function: str
    alpha: float | None = None
    beta: float | None = None


SIGMOID = GateFunction("Sigmoid")
TANH = GateFunction("Tanh")


class RecurrentOperation(Operation, frozen=True, kw_only=True):
    """What the three cells share: weights W, R, B, the state h, activations, and the clipping of gate inputs."""

    input_ports: ClassVar[Operands] = (Operand("x", ("input_size",)),)
    output_ports: ClassVar[Operands] = (Operand("y", ("hidden_size",)),)

    gates: ClassVar[int] = 1
    functions: ClassVar[int] = 1

    W: Annotated[str, Weight(("gates * hidden_size", "input_size"))]
    R: Annotated[str, Weight(("gates * hidden_size", "hidden_size"))]
    B: Annotated[str | None, Weight(("2 * gates * hidden_size",))] = None
    h: Annotated[StateRegion, State("float32", ("hidden_size",))]
    activations: tuple[GateFunction, ...]
    clip: float | None = None

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if len(self.activations) != self.functions:
            raise self.malformed(f"has {len(self.activations)} activations, needs {self.functions}")
        for gate in self.activations:
            if gate.function not in GATE_FUNCTIONS:
                raise self.malformed(f"activation {gate.function} is not one of {', '.join(GATE_FUNCTIONS)}")
            if any(constant is not None and not isfinite(constant) for constant in (gate.alpha, gate.beta)):
                raise self.malformed("alpha and beta must be finite")
        if self.clip is not None and not 0.0 < self.clip < 1e30:
            raise self.malformed(f"clip is {self.clip}, it must be above 0 and finite")

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return int(weights[self.W].size + weights[self.R].size)


class Rnn(RecurrentOperation, frozen=True, kw_only=True):
    """Elman cell: ``h = f(W x + R h + Wb + Rb)``."""

    activations: tuple[GateFunction, ...] = (TANH,)


class Gru(RecurrentOperation, frozen=True, kw_only=True):
    """Gated recurrent unit, both forms of the reset gate.

    ``z = f(Wz x + Rz h + Wbz + Rbz)``, ``r`` likewise; ``n = g(Wh x + r * (Rh h + Rbh) + Wbh)`` where
    `linear_before_reset`, else ``n = g(Wh x + Rh (r * h) + Rbh + Wbh)``; ``h = (1 - z) * n + z * h``.
    """

    gates: ClassVar[int] = 3
    functions: ClassVar[int] = 2

    activations: tuple[GateFunction, ...] = (SIGMOID, TANH)
    linear_before_reset: bool


class Lstm(RecurrentOperation, frozen=True, kw_only=True):
    """Long short-term memory.

    ``i = f(Wi x + Ri h + Pi * c + b)``, ``f`` likewise, ``c = f * c + i * g(Wc x + Rc h + b)``,
    ``o = f(Wo x + Ro h + Po * c + b)`` with the new c, ``h = o * h_function(c)``. P holds the peepholes of i, o and f,
    (3 * hidden_size,). With `input_forget`, ``f = 1 - i``.
    """

    gates: ClassVar[int] = 4
    functions: ClassVar[int] = 3

    c: Annotated[StateRegion, State("float32", ("hidden_size",))]
    P: Annotated[str | None, Weight(("3 * hidden_size",))] = None
    activations: tuple[GateFunction, ...] = (SIGMOID, TANH, TANH)
    input_forget: bool = False
