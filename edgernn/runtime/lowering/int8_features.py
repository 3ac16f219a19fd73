"""Integer products beside the dense layer, reductions, normalisation and choices, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.instructions import (
    Int8ElementwiseInstruction,
    Int8FineGateInstruction,
    Int8GroupedInstruction,
    Int8LayerNormInstruction,
    Int8MatMulInstruction,
    Int8ReduceInstruction,
    Int8RunningInstruction,
    Int8RunningSoftmaxInstruction,
    Int8WhereInstruction,
    Int32MatrixInstruction,
    Int32StateInstruction,
)
from edgernn.kernels.int8.products.packing import pack_biases, pack_factors, pack_short_factors
from edgernn.program.operations import (
    Int8Compare,
    Int8FineGate,
    Int8GroupedDense,
    Int8LayerNorm,
    Int8MatMul,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Unary,
    Int8Where,
    Int32StateUpdate,
    StateMatrix,
)
from edgernn.runtime.lowering.int8 import broadcast_shorts, limits_of, table_form
from edgernn.runtime.lowering.table import InstructionBuilder


def _factor(multiplier: int, shift: int) -> int:
    """The factor of a rescaling."""
    return int(pack_factors(np.array(multiplier), np.array(shift)))


def lower_int8_grouped_dense(
    builder: InstructionBuilder, operation: Int8GroupedDense, limits: Int8Unary | None = None
) -> None:
    """Emit the products and, where their results go nowhere else, the limits of those."""
    weights, lanes = builder.program.weights, processor().lanes
    W, m, s, B = (weights[getattr(operation, field)] for field in ("W", "W_multiplier", "W_shift", "B"))
    outputs, inputs, groups = W.shape
    registers = -(-groups // lanes)
    padded = np.zeros((outputs, inputs, registers * lanes), np.int8)
    padded[:, :, :groups] = W
    constants = np.zeros((outputs, 2, registers * lanes), np.int32)
    constants[:, :, :groups] = np.stack([pack_factors(m, s), pack_biases(B)], axis=1)
    constants = constants.reshape(outputs, 2, registers, lanes).transpose(0, 2, 1, 3)
    low, high = limits_of(limits)
    row = Int8GroupedInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value((limits or operation).outputs[0]),
        W=builder.pack(padded),
        constants=builder.pack(np.ascontiguousarray(constants)),
        rows=builder.program.values[operation.inputs[0]].size // (inputs * groups),
        inputs=inputs,
        outputs=outputs,
        groups=groups,
        shifts=int((s < 17).any()),
        low=low,
        high=high,
    )
    builder.emit(Kernel("int8.products.grouped", (str(operation.operand_bits),)), row, operation.name)


def _lower_matmul(builder: InstructionBuilder, operation: Int8MatMul) -> None:
    *batch, n, k = builder.program.values[operation.inputs[0]].shape
    row = Int8MatMulInstruction(
        a=builder.value(operation.inputs[0]),
        b=builder.value(operation.inputs[1]),
        y=builder.value(operation.outputs[0]),
        factor=_factor(operation.multiplier, operation.shift),
        batch=prod(batch),
        n=n,
        k=k,
        m=builder.program.values[operation.outputs[0]].shape[-1],
    )
    order = "transposed" if operation.transposed else "plain"
    builder.emit(Kernel("int8.products.matmul", (order, str(operation.operand_bits))), row, operation.name)


def _lower_reduce(builder: InstructionBuilder, operation: Int8Reduce) -> None:
    shape, axis = builder.program.values[operation.inputs[0]].shape, operation.axis
    row = Int8ReduceInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        factor=_factor(operation.multiplier, operation.shift),
        outer=prod(shape[:axis]),
        count=shape[axis],
        inner=prod(shape[axis + 1 :]),
    )
    function = "sum" if operation.accumulates else operation.function
    builder.emit(
        Kernel("int8.reductions.reduce", (function, "last" if row.inner == 1 else "inner")), row, operation.name
    )


def _lower_running_reduce(builder: InstructionBuilder, operation: Int8RunningReduce) -> None:
    row = Int8RunningInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        total=builder.region(operation.total),
        count=builder.region(operation.count),
        size=operation.size,
        bits=operation.mean_bits if operation.function == "Mean" else operation.sum_shift,
        multiplier=operation.multiplier,
        shift=operation.shift,
    )
    builder.emit(Kernel("int8.reductions.running", (operation.function,)), row, operation.name)


def _lower_running_softmax(builder: InstructionBuilder, operation: Int8RunningSoftmax) -> None:
    row = Int8RunningSoftmaxInstruction(
        scores=builder.value(operation.inputs[0]),
        x=builder.value(operation.inputs[1]),
        y=builder.value(operation.outputs[0]),
        reference=builder.region(operation.reference),
        total=builder.region(operation.total),
        weighted=builder.region(operation.weighted),
        table=builder.pack(np.array(int8_tables.EXP2, np.int64)),
        multiplier=operation.multiplier,
        shift=operation.shift,
        bits=operation.mean_bits,
        groups=operation.groups,
        size=operation.size,
    )
    builder.emit(Kernel("int8.reductions.running_softmax"), row, operation.name)


def _lower_layer_norm(builder: InstructionBuilder, operation: Int8LayerNorm) -> None:
    value = builder.program.values[operation.inputs[0]]
    names = (operation.multiplier, operation.shift, operation.B)
    row = Int8LayerNormInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        constants=builder.pack(np.stack([builder.program.weights[name].astype(np.int64) for name in names], axis=1)),
        rows=value.size // value.shape[-1],
        size=value.shape[-1],
        epsilon=operation.epsilon,
        norm_bits=operation.norm_bits,
        centred=int(operation.centred),
    )
    builder.emit(Kernel("int8.reductions.layer_norm"), row, operation.name)


def _lower_compare(builder: InstructionBuilder, operation: Int8Compare) -> None:
    output = builder.program.values[operation.outputs[0]]
    a, b = (broadcast_shorts(builder, name, output.shape, operation.name) for name in operation.inputs)
    constants = pack_short_factors(np.array(operation.multipliers), np.array(operation.shifts))
    y = builder.value(operation.outputs[0])
    row = Int8ElementwiseInstruction(a=a, b=b, y=y, constants=builder.pack(constants), size=output.size)
    builder.emit(Kernel("int8.selection.compare", ("compare", operation.function)), row, operation.name)


def _lower_where(builder: InstructionBuilder, operation: Int8Where) -> None:
    condition, a, b = (builder.value(name) for name in operation.inputs)
    size = builder.program.values[operation.outputs[0]].size
    row = Int8WhereInstruction(condition=condition, a=a, b=b, y=builder.value(operation.outputs[0]), size=size)
    builder.emit(Kernel("int8.selection.compare", ("where",)), row, operation.name)


def _lower_fine_gate(builder: InstructionBuilder, operation: Int8FineGate) -> None:
    row = Int8FineGateInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        table=builder.pack(np.array(int8_tables.FINE_SIGMOID, np.int32)),
        size=builder.program.values[operation.inputs[0]].size,
        factor=-2 if operation.complement else 2,
    )
    builder.emit(Kernel("int8.recurrent.state_updates", ("gate", table_form())), row, operation.name)


def _lower_wide_update(builder: InstructionBuilder, operation: Int32StateUpdate) -> None:
    """A row for each term: the new state grows where it will be."""
    h, size = builder.value(operation.outputs[0]), prod(operation.shape)
    zeros = builder.arena.take(2 * size)
    begin = Int32StateInstruction(h=h, x=builder.region(operation.region), minus=zeros, fine=0, size=size)
    builder.emit(Kernel("int8.recurrent.state_updates", ("begin",)), begin, operation.name)
    for term in operation.terms:
        if isinstance(term.matrix, StateMatrix):
            _lower_state_matrix(builder, operation, term.x, term.matrix)
            continue
        kernel, fine = ("shifted", ""), 0
        if term.gate is not None:
            kernel, fine = ("product", "arena"), builder.value(operation.inputs[term.gate])
        elif term.factor is not None:
            kernel, fine = ("product", "weights"), builder.pack(builder.program.weights[term.factor])
        minus = zeros if term.minus is None else builder.value(operation.inputs[term.minus])
        x = builder.value(operation.inputs[term.x])
        row = Int32StateInstruction(h=h, x=x, minus=minus, fine=fine, size=size, shift=term.shift)
        sign = "minus" if term.negative else "plus"
        builder.emit(Kernel("int8.recurrent.state_updates", (*kernel, sign)), row, operation.name)
    row = Int32StateInstruction(h=h, x=builder.value(operation.outputs[1]), minus=zeros, fine=0, size=size)
    if operation.floor:
        builder.emit(Kernel("int8.recurrent.state_updates", ("floor",)), row, operation.name)
    builder.emit(Kernel("int8.recurrent.state_updates", ("high",)), row, operation.name)


def _lower_state_matrix(builder: InstructionBuilder, operation: Int32StateUpdate, x: int, matrix: StateMatrix) -> None:
    W, m, s, B = (builder.program.weights[name] for name in matrix.names())
    row = Int32MatrixInstruction(
        h=builder.value(operation.outputs[0]),
        x=builder.value(operation.inputs[x]),
        W=builder.pack(W),
        constants=builder.pack(np.stack([m, s, B], axis=1).astype(np.int64)),
        rows=W.shape[0],
        columns=W.shape[1],
    )
    dtype = builder.program.values[operation.inputs[x]].dtype
    builder.emit(Kernel("int8.recurrent.state_updates", ("matrix", dtype)), row, operation.name)


INT8_FEATURE_LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    Int8GroupedDense: lower_int8_grouped_dense,
    Int8MatMul: _lower_matmul,
    Int8Reduce: _lower_reduce,
    Int8RunningReduce: _lower_running_reduce,
    Int8RunningSoftmax: _lower_running_softmax,
    Int8LayerNorm: _lower_layer_norm,
    Int8Compare: _lower_compare,
    Int8Where: _lower_where,
    Int8FineGate: _lower_fine_gate,
    Int32StateUpdate: _lower_wide_update,
}
