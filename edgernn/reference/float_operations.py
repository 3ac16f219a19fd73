"""Runs the float operations that compute for `edgernn.reference.runner.ReferenceRunner`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    AnyOperation,
    ArgMax,
    Binary,
    Dense,
    FloatOperation,
    GroupedDense,
    Gru,
    LayerNorm,
    Lookup,
    Lstm,
    MatMul,
    RecurrentOperation,
    Reduce,
    Rnn,
    RunningReduce,
    RunningSoftmax,
    Softmax,
    StateRegion,
    TopK,
    Unary,
    Where,
)
from edgernn.program.program import Program
from edgernn.reference import float32
from edgernn.reference.integer_operations import region

Array = NDArray[Any]


class FloatOperations:
    """The float operations of one program; `weights` are the program's, in the number type of the reference."""

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self._program = program
        self._weights = weights

    def run(self, operation: FloatOperation, inputs: list[Array], state: dict[str, Array]) -> tuple[Array, ...]:
        """The outputs of an operation."""
        match operation:
            case Dense():
                return (float32.dense(inputs[0], self._weights[operation.W], self._optional(operation.B)),)
            case GroupedDense():
                return (float32.grouped_dense(inputs[0], self._weights[operation.W], self._optional(operation.B)),)
            case MatMul():
                return (inputs[0] @ (inputs[1].swapaxes(-1, -2) if operation.transposed else inputs[1]),)
            case Rnn() | Gru() | Lstm():
                return (self._run_cell(operation, inputs[0], state),)
            case Unary():
                return (float32.unary(inputs[0], operation.function, operation.alpha, operation.beta),)
            case Binary():
                operands = list(inputs)
                if operation.constant is not None:
                    operands.insert(0 if operation.constant_side == "left" else 1, self._weights[operation.constant])
                return (float32.binary(operands[0], operands[1], operation.function),)
            case Where():
                return (np.where(inputs[0] != 0, inputs[1], inputs[2]),)
            case Softmax():
                return (float32.softmax(inputs[0], operation.logarithm),)
            case Reduce():
                y = float32.REDUCE[operation.function](inputs[0], axis=operation.axis)
                return (np.asarray(y).reshape(self._program.values[operation.outputs[0]].shape),)
            case RunningReduce():
                total, count = self._region(state, operation, "total"), self._region(state, operation, "count")
                return (float32.running_reduce(inputs[0], total, count, operation.function),)
            case RunningSoftmax():
                regions = (self._region(state, operation, name) for name in ("largest", "total", "weighted"))
                return (float32.running_softmax(inputs[0], inputs[1], *regions),)
            case LayerNorm():
                scale, bias = self._optional(operation.scale), self._optional(operation.bias)
                return (float32.layer_norm(inputs[0], scale, bias, operation.epsilon, operation.centred),)
            case ArgMax():
                index = float32.arg_max(inputs[0], operation.last, operation.smallest)
                return (index.reshape(self._program.values[operation.outputs[0]].shape),)
            case TopK():
                return float32.top_k(inputs[0], operation.k, operation.largest)
            case Lookup():
                table = self._weights[operation.table]
                ids = np.where(inputs[0] < 0, inputs[0] + len(table), inputs[0])
                return (table[np.clip(ids, 0, len(table) - 1)],)

    def _optional(self, name: str | None) -> Array | None:
        return None if name is None else self._weights[name]

    def _region(self, state: dict[str, Array], operation: AnyOperation, name: str) -> Array:
        place: StateRegion = getattr(operation, name)
        return region(state, place, operation.state_sizes(self._program.weights)[name])

    def _run_cell(self, operation: RecurrentOperation, x: Array, state: dict[str, Array]) -> Array:
        W, R, B = self._weights[operation.W], self._weights[operation.R], self._optional(operation.B)
        h = region(state, operation.h, R.shape[1])
        activations = [(gate.function, gate.alpha, gate.beta) for gate in operation.activations]
        match operation:
            case Gru():
                h[...] = float32.gru(x, h, W, R, B, activations, operation.linear_before_reset, operation.clip)
            case Lstm():
                c = region(state, operation.c, R.shape[1])
                P = self._optional(operation.P)
                h[...], c[...] = float32.lstm(x, h, c, W, R, B, P, activations, operation.clip, operation.input_forget)
            case _:
                h[...] = float32.rnn(x, h, W, R, B, activations, operation.clip)
        return h.copy()
