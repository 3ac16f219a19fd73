"""Float operations on each element by itself, as instructions."""

from __future__ import annotations

from math import prod

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    ElementwiseInstruction,
)
from edgernn.program.operations import (
    UNARY_FUNCTIONS,
    Binary,
    Convert,
    Shape,
    Unary,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering, gather

GATE_DEFAULTS = {**UNARY_FUNCTIONS, "Affine": (1.0, 0.0), "ScaledTanh": (1.0, 1.0)}
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def function_constants(function: str, alpha: float | None, beta: float | None) -> tuple[float, float]:
    """Alpha and beta of a function, its defaults where they are absent."""
    if function == "Clip":
        return -MAX_FLOAT32 if alpha is None else alpha, MAX_FLOAT32 if beta is None else beta
    default_alpha, default_beta = GATE_DEFAULTS[function]
    return (default_alpha or 0.0) if alpha is None else alpha, (default_beta or 0.0) if beta is None else beta


def _lower_unary(builder: InstructionBuilder, operation: Unary) -> None:
    constants = function_constants(operation.function, operation.alpha, operation.beta)
    row = builder.fill(
        ElementwiseInstruction,
        operation,
        a=builder.value(operation.inputs[0]),
        b=builder.pack(np.array(constants, np.float32)),
    )
    builder.emit(Kernel("float32.elementwise", ("unary", operation.function)), row, operation.name)


def _lower_binary(builder: InstructionBuilder, operation: Binary) -> None:
    output = builder.program.values[operation.outputs[0]]
    sides = [("arena", broadcast(builder, name, output.shape, operation.name)) for name in operation.inputs]
    if operation.constant is not None:
        constant = np.broadcast_to(builder.program.weights[operation.constant], output.shape)
        sides.insert(0 if operation.constant_side == "left" else 1, ("weights", builder.pack(constant)))
    (a_place, a), (b_place, b) = sides
    row = ElementwiseInstruction(a=a, b=b, y=builder.value(operation.outputs[0]), size=output.size)
    builder.emit(Kernel("float32.elementwise", ("binary", operation.function, a_place, b_place)), row, operation.name)


def broadcast(builder: InstructionBuilder, name: str, shape: Shape, operation_name: str, item_bytes: int = 4) -> int:
    """Offset of a value repeated to `shape`; the value's own where nothing is repeated."""
    value = builder.program.values[name]
    if value.size == prod(shape):
        return builder.value(name)
    indices = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape).ravel()
    target = builder.arena.take(item_bytes * indices.size)
    gather(builder, builder.value(name) + item_bytes * indices, target, operation_name, item_bytes)
    return target


def _lower_convert(builder: InstructionBuilder, operation: Convert) -> None:
    value = builder.program.values[operation.inputs[0]]
    if value.dtype == operation.dtype:
        builder.alias(operation.outputs[0], operation.inputs[0])
        return
    row = builder.fill(ElementwiseInstruction, operation, a=builder.value(operation.inputs[0]), b=0)
    builder.emit(Kernel("float32.elementwise", ("convert", operation.dtype)), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    Unary: _lower_unary,
    Binary: _lower_binary,
    Convert: _lower_convert,
}
