"""Runs the integer operations of an int8 Program for `edgernn.reference.runner.ReferenceRunner`."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from numpy.typing import NDArray

from edgernn.program.operations import (
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Compare,
    Int8Dense,
    Int8FineGate,
    Int8GroupedDense,
    Int8Gru,
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Lstm,
    Int8MatMul,
    Int8Operation,
    Int8RecurrentOperation,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
    Int8Unary,
    Int8Where,
    Int32StateUpdate,
    IntegerFunction,
    Quantize,
    StateMatrix,
    StateRegion,
)
from edgernn.program.program import Program
from edgernn.reference import int8
from edgernn.reference import int8_products as products
from edgernn.reference import int8_reductions as reductions
from edgernn.reference import int8_selection as selection
from edgernn.reference import int8_wide as int32_state

Array = NDArray[Any]


class IntegerOperations:
    """The integer operations of one program. With `raw`, inputs are sensor counts and outputs stay integers.

    `weights` are the program's, as int64 and float arrays.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self._program = program
        self._weights = weights
        self._rows_of: dict[tuple[str, str], int8.Rows] = {}
        self.raw = False

    def run(
        self, operation: Int8Operation | Quantize | Dequantize, inputs: list[Array], state: dict[str, Array]
    ) -> Array:
        """The one output of an operation."""
        weights = self._weights
        match operation:
            case Quantize():
                if self.raw and operation.counts is not None:
                    return int8.quantize_counts(inputs[0], weights[operation.counts])
                return int8.quantize(inputs[0], weights[operation.mean], weights[operation.inverse])
            case Dequantize():
                scale = self._program.values[operation.inputs[0]].scale
                assert scale is not None
                return inputs[0] if self.raw else int8.dequantize(inputs[0], scale)
            case Int8Dense():
                return int8.dense(inputs[0], self._rows(operation, "W"), weights[operation.B], operation.operand_bits)
            case Int8Affine():
                constants = (weights[operation.multiplier], weights[operation.shift], weights[operation.B])
                return int8.affine(inputs[0], *constants)
            case Int8Binary():
                return int8.binary(operation.function, inputs[0], inputs[1], operation.multipliers, operation.shifts)
            case Int8Unary():
                return int8.activate(inputs[0], self._function(operation.function))
            case Int8Softmax():
                return int8.softmax(inputs[0], operation.multiplier, operation.shift)
            case Int8LogSoftmax():
                output = (operation.output_multiplier, operation.output_shift)
                return int8.log_softmax(inputs[0], operation.multiplier, operation.shift, *output)
            case Int8GroupedDense() | Int8MatMul():
                return self._run_product(operation, inputs)
            case Int8Reduce(function=function, axis=axis):
                y = reductions.reduce(inputs[0], function, axis, operation.multiplier, operation.shift)
                return y.reshape(self._program.values[operation.outputs[0]].shape)
            case Int8RunningReduce():
                return self._run_running_reduce(operation, inputs[0], state)
            case Int8RunningSoftmax():
                return self._run_running_softmax(operation, inputs, state)
            case Int8LayerNorm():
                constants = (weights[operation.multiplier], weights[operation.shift], weights[operation.B])
                settings = (operation.epsilon, operation.norm_bits, operation.centred)
                return reductions.layer_norm(inputs[0], *settings, *constants)
            case Int8FineGate():
                return int32_state.fine_gate(inputs[0], operation.complement)
            case Int8Compare():
                return selection.compare(
                    operation.function, inputs[0], inputs[1], operation.multipliers, operation.shifts
                )
            case Int8Where():
                return selection.where(*inputs)
            case Int32StateUpdate():
                raise AssertionError("run by run_int32_state_update")
            case _:
                return self._run_cell(operation, inputs[0], state)

    def run_int32_state_update(
        self, operation: Int32StateUpdate, inputs: list[Array], state: dict[str, Array]
    ) -> tuple[Array, Array]:
        """The new state and its high half."""
        h = region(state, operation.region, prod(operation.shape)).reshape(operation.shape).copy()
        for term in operation.terms:
            if isinstance(term.matrix, StateMatrix):
                is_int32 = self._program.values[operation.inputs[term.x]].dtype == "int32"
                W, m, s, B = (self._weights[name] for name in term.matrix.names())
                h = int32_state.add_matrix(h, inputs[term.x].ravel(), int32_state.Matrix(W, m, s, B), is_int32)
                continue
            x = inputs[term.x].reshape(operation.shape)
            x = x if term.minus is None else x - inputs[term.minus].reshape(operation.shape)
            if term.gate is not None:
                h = int32_state.add_product(h, x, inputs[term.gate].reshape(operation.shape), term.negative)
            elif term.factor is not None:
                h = int32_state.add_product(h, x, self._weights[term.factor].reshape(operation.shape), term.negative)
            else:
                h = int32_state.add_shifted(h, x, term.shift, term.negative)
        h = h.clip(min=0) if operation.floor else h
        return h, h >> 16

    def _run_product(self, operation: Int8GroupedDense | Int8MatMul, inputs: list[Array]) -> Array:
        if isinstance(operation, Int8MatMul):
            a, b = inputs
            multiplier, shift = operation.multiplier, operation.shift
            return products.matmul(a, b, operation.transposed, multiplier, shift, operation.operand_bits)
        names = (operation.W, operation.W_multiplier, operation.W_shift, operation.B)
        W, multipliers, shifts, B = (self._weights[name] for name in names)
        return products.grouped_dense(inputs[0], W, multipliers, shifts, B, operation.operand_bits)

    def _run_running_reduce(self, operation: Int8RunningReduce, x: Array, state: dict[str, Array]) -> Array:
        total, count = region(state, operation.total, operation.size), region(state, operation.count, 1)
        match operation.function:
            case "Mean":
                return reductions.running_mean(x, total, count, operation.mean_bits)
            case "Sum":
                settings = (operation.sum_shift, operation.multiplier, operation.shift)
                return reductions.running_sum(x, total, count, *settings)
            case _:
                return reductions.running_extreme(x, total, count, operation.function)

    def _run_running_softmax(
        self, operation: Int8RunningSoftmax, inputs: list[Array], state: dict[str, Array]
    ) -> Array:
        groups, size = operation.groups, operation.size
        reference, total = region(state, operation.reference, groups), region(state, operation.total, groups)
        weighted = region(state, operation.weighted, groups * size).reshape(groups, size)
        settings = (operation.multiplier, operation.shift, operation.mean_bits)
        return reductions.running_softmax(inputs[0], inputs[1], reference, total, weighted, *settings)

    def _run_cell(self, operation: Int8RecurrentOperation, x: Array, state: dict[str, Array]) -> Array:
        W, R, B = self._rows(operation, "W"), self._rows(operation, "R"), self._weights[operation.B]
        functions = [self._function(function) for function in operation.activations]
        clip, bits, size = operation.clip, operation.operand_bits, R.weights.shape[1]
        h = region(state, operation.h, size)
        match operation:
            case Int8Gru(linear_before_reset=linear_before_reset, int32_state=int32_state):
                h[...] = int8.gru(x, h, W, R, B, functions, linear_before_reset, clip, bits, int32_state)
                return h >> 16 if int32_state else h.copy()
            case Int8Lstm():
                c = region(state, operation.c, size)
                h[...], c[...] = int8.lstm(
                    x,
                    h,
                    c,
                    W,
                    R,
                    B,
                    self._peepholes(operation),
                    functions,
                    operation.input_forget,
                    clip,
                    bits,
                    operation.candidate_shift,
                    operation.cell_shift,
                    operation.int32_state,
                )
            case _:
                h[...] = int8.rnn(x, h, W, R, B, functions[0], clip, bits)
        return h.copy()

    def _rows(self, operation: Int8Dense | Int8RecurrentOperation, field: str) -> int8.Rows:
        key = (operation.name, field)
        if key not in self._rows_of:
            names = (getattr(operation, field + suffix) for suffix in ("", "_multiplier", "_shift"))
            self._rows_of[key] = int8.Rows(*(self._weights[name] for name in names))
        return self._rows_of[key]

    def _function(self, function: IntegerFunction) -> int8.Function:
        table = None if function.table is None else self._weights[function.table]
        return int8.Function(function.function, function.low, function.high, table)

    def _peepholes(self, operation: Int8Lstm) -> tuple[Array, Array] | None:
        if operation.P_multiplier is None or operation.P_shift is None:
            return None
        return self._weights[operation.P_multiplier], self._weights[operation.P_shift]


def region(state: dict[str, Array], place: StateRegion, size: int) -> Array:
    """A view of a region's elements, flat."""
    return state[place.slot].reshape(-1)[place.offset : place.offset + size]
