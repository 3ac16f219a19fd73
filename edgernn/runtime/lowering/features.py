"""Operations over the features of a frame, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import pack_groups
from edgernn.kernels.instructions import (
    GroupedDenseInstruction,
    LayerNormInstruction,
    MatMulInstruction,
    ReduceInstruction,
    SelectInstruction,
    WhereInstruction,
)
from edgernn.program.operations import ArgMax, GroupedDense, LayerNorm, MatMul, Reduce, TopK, Where
from edgernn.runtime.lowering.table import InstructionBuilder


def _lower_grouped_dense(builder: InstructionBuilder, operation: GroupedDense) -> None:
    weights = builder.program.weights
    W = weights[operation.W]
    output_size, input_size, groups = W.shape
    B = None if operation.B is None else weights[operation.B]
    row = GroupedDenseInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        W=builder.pack(pack_groups(W, B, processor().lanes)),
        rows=builder.program.values[operation.inputs[0]].size // (input_size * groups),
        input_size=input_size,
        output_size=output_size,
        groups=groups,
    )
    builder.emit(Kernel("float32.products.grouped_dense"), row, operation.name)


def _lower_matmul(builder: InstructionBuilder, operation: MatMul) -> None:
    a, y = (builder.program.values[name].shape for name in (operation.inputs[0], operation.outputs[0]))
    row = MatMulInstruction(
        a=builder.value(operation.inputs[0]),
        b=builder.value(operation.inputs[1]),
        y=builder.value(operation.outputs[0]),
        matrices=prod(a[:-2]),
        n=a[-2],
        k=a[-1],
        m=y[-1],
    )
    builder.emit(
        Kernel("float32.products.matmul", ("transposed" if operation.transposed else "plain",)), row, operation.name
    )


def _lower_reduce(builder: InstructionBuilder, operation: Reduce) -> None:
    shape, axis = builder.program.values[operation.inputs[0]].shape, operation.axis
    row = ReduceInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        outer=prod(shape[:axis]),
        n=shape[axis],
        inner=prod(shape[axis + 1 :]),
    )
    form = "within" if row.inner == 1 else "across"
    builder.emit(Kernel("float32.reductions.reduce", (operation.function, form)), row, operation.name)


def _lower_layer_norm(builder: InstructionBuilder, operation: LayerNorm) -> None:
    weights, value = builder.program.weights, builder.program.values[operation.inputs[0]]
    size = value.shape[-1]
    scale = np.ones(size, np.float32) if operation.scale is None else weights[operation.scale]
    bias = np.zeros(size, np.float32) if operation.bias is None else weights[operation.bias]
    row = LayerNormInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        scale=builder.pack(scale),
        bias=builder.pack(bias),
        epsilon=builder.pack(np.array([operation.epsilon], np.float32)),
        rows=value.size // size,
        size=size,
        centred=int(operation.centred),
    )
    builder.emit(Kernel("float32.reductions.layer_norm"), row, operation.name)


def _lower_arg_max(builder: InstructionBuilder, operation: ArgMax) -> None:
    order = "smallest" if operation.smallest else "largest"
    row = _select_row(builder, operation, 1)
    kernel = Kernel(_select_module(builder, operation), ("arg", order, "last" if operation.last else "first"))
    builder.emit(kernel, row, operation.name)


def _lower_top_k(builder: InstructionBuilder, operation: TopK) -> None:
    order = "largest" if operation.largest else "smallest"
    kernel = Kernel(_select_module(builder, operation), ("top", order))
    builder.emit(kernel, _select_row(builder, operation, operation.k), operation.name)


def _select_module(builder: InstructionBuilder, operation: ArgMax | TopK) -> str:
    return (
        "int8.selection.top_k"
        if builder.program.values[operation.inputs[0]].dtype == "int16"
        else "float32.selection.top_k"
    )


def _select_row(builder: InstructionBuilder, operation: ArgMax | TopK, k: int) -> SelectInstruction:
    value = builder.program.values[operation.inputs[0]]
    size = value.shape[-1]
    return SelectInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        indices=builder.value(operation.outputs[-1]),
        rows=value.size // size,
        size=size,
        k=k,
    )


def _lower_where(builder: InstructionBuilder, operation: Where) -> None:
    condition, a, b = (builder.value(name) for name in operation.inputs)
    y, size = builder.value(operation.outputs[0]), builder.program.values[operation.outputs[0]].size
    builder.emit(
        Kernel("float32.selection.where", ("where",)), WhereInstruction(condition, a, b, y, size), operation.name
    )


FEATURE_LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    GroupedDense: _lower_grouped_dense,
    MatMul: _lower_matmul,
    Reduce: _lower_reduce,
    LayerNorm: _lower_layer_norm,
    ArgMax: _lower_arg_max,
    TopK: _lower_top_k,
    Where: _lower_where,
}
