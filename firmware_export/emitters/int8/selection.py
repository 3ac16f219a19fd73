"""Integer comparisons and choices, in C."""

from __future__ import annotations

import numpy as np

from edgernn.program.operations import (
    Int8Compare,
    Int8Where,
)
from edgernn.program.operations.int8.selection import TRUTH
from firmware_export.emitters.c_loops import COperand, elementwise
from firmware_export.emitters.calls import Emitter
from firmware_export.packing import scale_words
from firmware_export.step import StepWriter

COMPARISONS = {"Equal": "==", "Less": "<", "LessOrEqual": "<=", "Greater": ">", "GreaterOrEqual": ">="}


LOGIC = {"And": "&", "Or": "|", "Xor": "^"}


def compare(step: StepWriter, operation: Int8Compare) -> list[str]:
    """Two values with broadcasting."""
    a, b = (f"({step.place(name)})[{{{letter}}}]" for name, letter in zip(operation.inputs, "ab", strict=True))
    if operation.function in LOGIC:
        holds = f"({a} != 0) {LOGIC[operation.function]} ({b} != 0)"
    else:
        step.need("rescale")
        scales = scale_words(np.array(operation.multipliers), np.array(operation.shifts)).tolist()
        left, right = (f"edgernn_rescale({side}, {scale})" for side, scale in zip((a, b), scales, strict=True))
        holds = f"{left} {COMPARISONS[operation.function]} {right}"
    operands = [COperand(letter, step.value(name).shape) for name, letter in zip(operation.inputs, "ab", strict=True)]
    y = step.place(operation.outputs[0])
    return elementwise(step.value(operation.outputs[0]).shape, operands, f"({y})[{{y}}] = ({holds}) ? {TRUTH} : 0;")


def where(step: StepWriter, operation: Int8Where) -> list[str]:
    """Each element of one of two values."""
    condition, a, b = (f"({step.place(name)})[{{y}}]" for name in operation.inputs)
    y, size = step.place(operation.outputs[0]), step.value(operation.outputs[0]).size
    return elementwise((size,), [], f"({y})[{{y}}] = {condition} != 0 ? {a} : {b};")


OPERATIONS: dict[type, Emitter] = {
    Int8Compare: Emitter(compare),
    Int8Where: Emitter(where),
}
