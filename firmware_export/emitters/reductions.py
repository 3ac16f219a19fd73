"""Float reductions, over features and over time, and norms, in C."""

from __future__ import annotations

from edgernn.program.operations import (
    LayerNorm,
    Reduce,
    RunningReduce,
    RunningSoftmax,
    Softmax,
)
from firmware_export.emitters.c_loops import count, rows
from firmware_export.emitters.calls import Emitter, arguments
from firmware_export.literals import float_literal
from firmware_export.step import StepWriter

JOINS = {
    "Sum": "edgernn_add",
    "Mean": "edgernn_add",
    "Max": "edgernn_larger",
    "Min": "edgernn_smaller",
    "Prod": "edgernn_multiply",
}


def softmax(step: StepWriter, operation: Softmax) -> list[str]:
    """Softmax over the last axis."""
    step.need("softmax_float")
    x, y, shape = (
        step.place(operation.inputs[0]),
        step.place(operation.outputs[0]),
        step.value(operation.inputs[0]).shape,
    )
    return rows(
        shape,
        lambda at: (
            f"edgernn_softmax_float({x}{at(shape[-1])}, {shape[-1]}, {int(operation.logarithm)}, {y}{at(shape[-1])});"
        ),
    )


def reduce(step: StepWriter, operation: Reduce) -> list[str]:
    """One axis, with those before and behind it as one each."""
    step.need("reduce_float")
    n = step.value(operation.inputs[0]).shape[operation.axis]
    factor, divisor = 1.0, 1.0
    if operation.function == "Mean":
        factor = 2.0 ** -(n - 1).bit_length()  # the largest power of two that is not above 1 / extent
        divisor = factor * n
    literals = f"{float_literal(factor)}, {float_literal(divisor)}"
    begin, y = arguments(step, operation, "x outer n inner"), step.place(operation.outputs[0])
    return [f"edgernn_reduce_float({begin}, {JOINS[operation.function]}, {literals}, {y});"]


def running_reduce(step: StepWriter, operation: RunningReduce) -> list[str]:
    """All frames so far: a sum, or the largest or smallest number."""
    if operation.function in {"Max", "Min"}:
        kernel, last = "most", JOINS[operation.function]
    else:
        kernel, last = "sum", str(int(operation.function == "Mean"))
    step.need(f"running_{kernel}_float")
    begin, y = arguments(step, operation, "x size total count"), step.place(operation.outputs[0])
    return [f"edgernn_running_{kernel}_float({begin}, {last}, {y});"]


def running_softmax(step: StepWriter, operation: RunningSoftmax) -> list[str]:
    """The online softmax of each group."""
    step.need("running_softmax_float")
    of = arguments(step, operation, "scores x groups size largest total weighted y")
    return [f"edgernn_running_softmax_float({of});"]


def layer_norm(step: StepWriter, operation: LayerNorm) -> list[str]:
    """A call for each row."""
    step.need("layer_norm_float")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape = step.value(operation.inputs[0]).shape
    tables = [
        "0" if name is None else step.table(name, step.program.weights[name], f"{operation.name}: {field}")
        for name, field in ((operation.scale, "scale"), (operation.bias, "bias"))
    ]
    size = count(shape[-1], f"{operation.name}: its last axis")
    constants = f"{size}, {tables[0]}, {tables[1]}, {float_literal(operation.epsilon)}, {int(operation.centred)}"
    return rows(shape, lambda at: f"edgernn_layer_norm_float({x}{at(shape[-1])}, {constants}, {y}{at(shape[-1])});")


OPERATIONS: dict[type, Emitter] = {
    Softmax: Emitter(softmax),
    Reduce: Emitter(reduce),
    LayerNorm: Emitter(layer_norm),
    RunningReduce: Emitter(running_reduce),
    RunningSoftmax: Emitter(running_softmax),
}
