"""Integer reductions, over features and over time, and layer normalisation."""

from __future__ import annotations

from math import prod

import numpy as np

from edgernn.program.operations import Int8LayerNorm, Int8Reduce, Int8RunningReduce, Int8RunningSoftmax
from firmware_export.emitters.loops import count, rows
from firmware_export.packing import scale_words
from firmware_export.step import StepWriter


def _scale(operation: Int8Reduce | Int8RunningReduce | Int8RunningSoftmax) -> int:
    return int(scale_words(np.array([operation.multiplier]), np.array([operation.shift]))[0])


def reduce(step: StepWriter, operation: Int8Reduce) -> list[str]:
    """One axis, with those before and behind it as one each."""
    step.need("reduce_int8")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape, axis = step.value(operation.inputs[0]).shape, operation.axis
    extents = (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
    sizes = ", ".join(count(extent, f"{operation.name}: an axis") for extent in extents)
    if operation.accumulates:
        return [f"edgernn_reduce_sum_int8({x}, {sizes}, {_scale(operation)}, {y});"]
    return [f"edgernn_reduce_most_int8({x}, {sizes}, {int(operation.function == 'Min')}, {y});"]


def running_reduce(step: StepWriter, operation: Int8RunningReduce) -> list[str]:
    """All frames so far."""
    step.need("running_int8")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    size = count(operation.size, f"{operation.name}: its size")
    begin = f"{x}, {size}, {step.state(operation.total)}, {step.state(operation.count)}"
    match operation.function:
        case "Mean":
            return [f"edgernn_running_mean_int8({begin}, {operation.mean_bits}, {y});"]
        case "Sum":
            return [f"edgernn_running_sum_int8({begin}, {operation.sum_shift}, {_scale(operation)}, {y});"]
        case _:
            return [f"edgernn_running_most_int8({begin}, {int(operation.function == 'Min')}, {y});"]


def running_softmax(step: StepWriter, operation: Int8RunningSoftmax) -> list[str]:
    """All frames so far, by their scores."""
    step.need("running_softmax_int8")
    arguments = [
        *(step.place(name) for name in operation.inputs),
        *(count(size, f"{operation.name}: an axis") for size in (operation.groups, operation.size)),
        str(_scale(operation)),
        str(operation.mean_bits),
        *(step.state(region) for region in (operation.reference, operation.total, operation.weighted)),
        step.place(operation.outputs[0]),
    ]
    return [f"edgernn_running_softmax_int8({', '.join(arguments)});"]


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
