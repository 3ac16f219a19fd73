"""Integer reductions, over features and over time, and norms, as instructions."""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.instructions import (
    Int8LayerNormInstruction,
    Int8LogSoftmaxInstruction,
    Int8ReduceInstruction,
    Int8RunningInstruction,
    Int8RunningSoftmaxInstruction,
    Int8SoftmaxInstruction,
)
from edgernn.kernels.int8.products.packing import (
    pack_pairs,
)
from edgernn.program.operations import (
    Dequantize,
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
)
from edgernn.runtime.lowering.int8 import elementwise
from edgernn.runtime.lowering.int8.products import factor
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering


def lower_int8_softmax(builder: InstructionBuilder, operation: Int8Softmax, way_out: Dequantize | None = None) -> None:
    """Emit a softmax and, where its result goes nowhere else, the way out of the integers."""
    value = builder.program.values[operation.inputs[0]]
    scale = builder.program.values[operation.outputs[0]].scale
    row = builder.fill(
        Int8SoftmaxInstruction,
        operation,
        y=builder.value((way_out or operation).outputs[0]),
        scratch=builder.arena.take(4 * value.shape[-1]),
        table=builder.pack(pack_pairs(int8_tables.EXP2)),
        shift=min(operation.shift - 1, 31),
        scale=builder.pack(np.array([scale], np.float32)),
    )
    lanes = elementwise.lanes_of(row.size)
    options = ("short" if row.size <= lanes else "long", str(lanes), elementwise.table_form())
    builder.emit(Kernel("int8.reductions.softmax", (*options, "float32" if way_out else "int16")), row, operation.name)
    if way_out:
        builder.emit_raw(Kernel("int8.reductions.softmax", (*options, "int32")), row)


def _lower_log_softmax(builder: InstructionBuilder, operation: Int8LogSoftmax) -> None:
    row = builder.fill(
        Int8LogSoftmaxInstruction,
        operation,
        powers=builder.pack(np.array(int8_tables.EXP2, np.int64)),
        logarithms=builder.pack(np.array(int8_tables.LOG2, np.int64)),
    )
    builder.emit(Kernel("int8.reductions.log_softmax"), row, operation.name)


def _lower_reduce(builder: InstructionBuilder, operation: Int8Reduce) -> None:
    row = builder.fill(Int8ReduceInstruction, operation, factor=factor(operation))
    function = "sum" if operation.accumulates else operation.function
    form = "last" if row.inner == 1 else "inner"
    builder.emit(Kernel("int8.reductions.reduce", (function, form)), row, operation.name)


def _lower_running_reduce(builder: InstructionBuilder, operation: Int8RunningReduce) -> None:
    bits = operation.mean_bits if operation.function == "Mean" else operation.sum_shift
    row = builder.fill(Int8RunningInstruction, operation, bits=bits)
    builder.emit(Kernel("int8.reductions.running", (operation.function,)), row, operation.name)


def _lower_running_softmax(builder: InstructionBuilder, operation: Int8RunningSoftmax) -> None:
    table = builder.pack(np.array(int8_tables.EXP2, np.int64))
    row = builder.fill(Int8RunningSoftmaxInstruction, operation, table=table)
    builder.emit(Kernel("int8.reductions.running_softmax"), row, operation.name)


def _lower_layer_norm(builder: InstructionBuilder, operation: Int8LayerNorm) -> None:
    names = (operation.multiplier, operation.shift, operation.B)
    constants = np.stack([builder.program.weights[name].astype(np.int64) for name in names], axis=1)  # (size, 3)
    row = builder.fill(Int8LayerNormInstruction, operation, constants=builder.pack(constants))
    builder.emit(Kernel("int8.reductions.layer_norm"), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    Int8Softmax: lower_int8_softmax,
    Int8LogSoftmax: _lower_log_softmax,
    Int8Reduce: _lower_reduce,
    Int8RunningReduce: _lower_running_reduce,
    Int8RunningSoftmax: _lower_running_softmax,
    Int8LayerNorm: _lower_layer_norm,
}
