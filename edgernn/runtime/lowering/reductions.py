"""Float reductions, over features and over time, and norms, as instructions."""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import (
    LayerNormInstruction,
    ReduceInstruction,
    RunningReduceInstruction,
    RunningSoftmaxInstruction,
    SoftmaxInstruction,
)
from edgernn.program.operations import (
    Attribute,
    LayerNorm,
    Reduce,
    RunningReduce,
    RunningSoftmax,
    Softmax,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering, direct


def _lower_softmax(builder: InstructionBuilder, operation: Softmax) -> None:
    row = builder.fill(SoftmaxInstruction, operation)
    form = "logarithm" if operation.logarithm else "plain"
    lanes = min(processor().lanes, max(4, 1 << (row.size - 1).bit_length()))
    length = "short" if row.size <= lanes else "long"
    builder.emit(Kernel("float32.reductions.softmax", (form, length, str(lanes))), row, operation.name)


def _lower_reduce(builder: InstructionBuilder, operation: Reduce) -> None:
    row = builder.fill(ReduceInstruction, operation)
    form = "within" if row.inner == 1 else "across"
    builder.emit(Kernel("float32.reductions.reduce", (operation.function, form)), row, operation.name)


def _lower_layer_norm(builder: InstructionBuilder, operation: LayerNorm) -> None:
    size = builder.program.values[operation.inputs[0]].shape[-1]
    row = builder.fill(
        LayerNormInstruction,
        operation,
        scale=builder.pack_or(operation.scale, np.ones(size, np.float32)),
        bias=builder.pack_or(operation.bias, np.zeros(size, np.float32)),
        epsilon=builder.pack(np.array([operation.epsilon], np.float32)),
    )
    builder.emit(Kernel("float32.reductions.layer_norm"), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    Softmax: _lower_softmax,
    Reduce: _lower_reduce,
    LayerNorm: _lower_layer_norm,
    RunningReduce: direct("float32.reductions.running", RunningReduceInstruction, Attribute("function")),
    RunningSoftmax: direct("float32.reductions.running", RunningSoftmaxInstruction, "Softmax"),
}
