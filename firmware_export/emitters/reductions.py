"""Operations that make one number of many: over features, over time; norms; the largest and where it is."""

from __future__ import annotations

from math import prod

from edgernn.program.operations import ArgMax, LayerNorm, Reduce, RunningReduce, RunningSoftmax, TopK
from firmware_export.emitters.loops import count, rows
from firmware_export.literals import C_TYPES, float_literal
from firmware_export.step import StepWriter

JOINS = {
    "Sum": "edgernn_add",
    "Mean": "edgernn_add",
    "Max": "edgernn_larger",
    "Min": "edgernn_smaller",
    "Prod": "edgernn_multiply",
}


def reduce(step: StepWriter, operation: Reduce) -> list[str]:
    """One axis, with those before and behind it as one each."""
    step.need("reduce_float")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape, axis = step.value(operation.inputs[0]).shape, operation.axis
    extents = (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
    sizes = ", ".join(count(extent, f"{operation.name}: an axis") for extent in extents)
    factor, divisor = 1.0, 1.0
    if operation.function == "Mean":
        factor = 2.0 ** -(shape[axis] - 1).bit_length()  # the largest power of two that is not above 1 / extent
        divisor = factor * shape[axis]
    literals = f"{float_literal(factor)}, {float_literal(divisor)}"
    return [f"edgernn_reduce_float({x}, {sizes}, {JOINS[operation.function]}, {literals}, {y});"]


def running_reduce(step: StepWriter, operation: RunningReduce) -> list[str]:
    """All frames so far: a sum, or the largest or smallest number."""
    arguments = [
        step.place(operation.inputs[0]),
        count(operation.size, f"{operation.name}: its size"),
        step.state(operation.total),
        step.state(operation.count),
    ]
    if operation.function in {"Max", "Min"}:
        kernel, last = "most", JOINS[operation.function]
    else:
        kernel, last = "sum", str(int(operation.function == "Mean"))
    step.need(f"running_{kernel}_float")
    y = step.place(operation.outputs[0])
    return [f"edgernn_running_{kernel}_float({', '.join(arguments)}, {last}, {y});"]


def running_softmax(step: StepWriter, operation: RunningSoftmax) -> list[str]:
    """The online softmax of each group."""
    step.need("running_softmax_float")
    arguments = [
        *(step.place(name) for name in operation.inputs),
        *(count(size, f"{operation.name}: an axis") for size in (operation.groups, operation.size)),
        *(step.state(region) for region in (operation.largest, operation.total, operation.weighted)),
        step.place(operation.outputs[0]),
    ]
    return [f"edgernn_running_softmax_float({', '.join(arguments)});"]


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


def arg_max(step: StepWriter, operation: ArgMax) -> list[str]:
    """An index for each row."""
    number = C_TYPES[step.value(operation.inputs[0]).dtype]
    step.need(f"arg_max.{number}")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    shape = step.value(operation.inputs[0]).shape
    size = count(shape[-1], f"{operation.name}: its last axis")
    arguments = f"{size}, {int(operation.last)}, {int(operation.smallest)}"
    return rows(shape, lambda at: f"*({y}{at(1)}) = edgernn_arg_max_{number}({x}{at(shape[-1])}, {arguments});")


def top_k(step: StepWriter, operation: TopK) -> list[str]:
    """Numbers and indices for each row."""
    number = C_TYPES[step.value(operation.inputs[0]).dtype]
    step.need(f"top_k.{number}")
    x, (y, indices) = step.place(operation.inputs[0]), (step.place(name) for name in operation.outputs)
    shape, k = step.value(operation.inputs[0]).shape, operation.k
    size = count(shape[-1], f"{operation.name}: its last axis")
    return rows(
        shape,
        lambda at: (
            f"edgernn_top_k_{number}({x}{at(shape[-1])}, {size}, {k}, {int(operation.largest)}, {y}{at(k)}, "
            f"{indices}{at(k)});"
        ),
    )
