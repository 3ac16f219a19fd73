"""Integer reductions, over features and over time, and norms, in C."""

from __future__ import annotations

import numpy as np

from edgernn.program.operations import (
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
)
from edgernn.program.program import Program
from firmware_export.emitters.c_loops import rows
from firmware_export.emitters.calls import Emitter, arguments, scale_word
from firmware_export.packing import scale_words
from firmware_export.step import StepWriter


def softmax(step: StepWriter, operation: Int8Softmax) -> list[str]:
    """Softmax over the last axis."""
    step.need("softmax_int8")
    x, y, e = step.place(operation.inputs[0]), step.place(operation.outputs[0]), step.temporary(operation)
    shape = step.value(operation.inputs[0]).shape
    scale = scale_word(operation)
    n = shape[-1]
    return rows(shape, lambda at: f"edgernn_softmax_int8({x}{at(n)}, {n}, {scale}, {y}{at(n)}, (uint16_t *)({e}));")


def softmax_temporaries(program: Program, operation: Int8Softmax) -> list[tuple[str, int]]:
    """Exponentials of one row."""
    return [("int16", program.values[operation.inputs[0]].shape[-1])]


def log_softmax(step: StepWriter, operation: Int8LogSoftmax) -> list[str]:
    """Logarithm of the softmax over the last axis."""
    step.need("log_softmax_int8")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape = step.value(operation.inputs[0]).shape
    multipliers = np.array([operation.multiplier, operation.output_multiplier])
    scale, output = scale_words(multipliers, np.array([operation.shift, operation.output_shift])).tolist()
    n = shape[-1]
    return rows(shape, lambda at: f"edgernn_log_softmax_int8({x}{at(n)}, {n}, {scale}, {output}, {y}{at(n)});")


def reduce(step: StepWriter, operation: Int8Reduce) -> list[str]:
    """One axis, with those before and behind it as one each."""
    step.need("reduce_int8")
    begin, y = arguments(step, operation, "x outer n inner"), step.place(operation.outputs[0])
    if operation.accumulates:
        return [f"edgernn_reduce_sum_int8({begin}, {scale_word(operation)}, {y});"]
    return [f"edgernn_reduce_most_int8({begin}, {int(operation.function == 'Min')}, {y});"]


def running_reduce(step: StepWriter, operation: Int8RunningReduce) -> list[str]:
    """All frames so far."""
    step.need("running_int8")
    if operation.function == "Mean":
        return [f"edgernn_running_mean_int8({arguments(step, operation, 'x size total count mean_bits y')});"]
    if operation.function == "Sum":
        return [f"edgernn_running_sum_int8({arguments(step, operation, 'x size total count sum_shift scale y')});"]
    begin, y = arguments(step, operation, "x size total count"), step.place(operation.outputs[0])
    return [f"edgernn_running_most_int8({begin}, {int(operation.function == 'Min')}, {y});"]


def running_softmax(step: StepWriter, operation: Int8RunningSoftmax) -> list[str]:
    """All frames so far, by their scores."""
    step.need("running_softmax_int8")
    of = arguments(step, operation, "scores x groups size scale mean_bits reference total weighted y")
    return [f"edgernn_running_softmax_int8({of});"]


def layer_norm(step: StepWriter, operation: Int8LayerNorm) -> list[str]:
    """A call for each row."""
    step.need("layer_norm_int8")
    weights = step.program.weights
    scale = scale_words(weights[operation.multiplier], weights[operation.shift])
    numbers = np.stack([scale, weights[operation.B]], axis=1).astype(np.int32)  # (features, 2)
    constants = step.table(f"{operation.name}_constants", numbers, f"{operation.name}: scales and biases")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape = step.value(operation.inputs[0]).shape
    n = shape[-1]
    epsilon = f"{operation.epsilon}u"
    if operation.epsilon >= 1 << 16:
        epsilon = f"((uint64_t){operation.epsilon >> 32}u << 32) | {operation.epsilon & 0xFFFFFFFF}u"
    settings = f"{epsilon}, {operation.norm_bits}, {int(operation.centred)}"
    return rows(shape, lambda at: f"edgernn_layer_norm_int8({x}{at(n)}, {n}, {settings}, {constants}, {y}{at(n)});")


OPERATIONS: dict[type, Emitter] = {
    Int8Softmax: Emitter(softmax, softmax_temporaries),
    Int8LogSoftmax: Emitter(log_softmax),
    Int8Reduce: Emitter(reduce),
    Int8RunningReduce: Emitter(running_reduce),
    Int8RunningSoftmax: Emitter(running_softmax),
    Int8LayerNorm: Emitter(layer_norm),
}
