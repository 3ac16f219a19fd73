"""Softmax, LogSoftmax and BatchNormalization over the features of a frame."""

from __future__ import annotations

import numpy as np

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_pair, number
from edgernn.importers.onnx.rules.layout import with_axis_from_end, with_last_axis
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.builder import without_leading_ones
from edgernn.importers.onnx.streams.sequence import is_time
from edgernn.importers.onnx.streams.values import (
    Constant,
    Role,
    Signal,
    Tensor,
    TimeSoftmax,
    features,
    has_role,
    is_features,
    width_of,
)
from edgernn.program.operations import Softmax


def softmax(call: Call) -> Results:
    """Softmax and LogSoftmax; before operator set 13 they run over all axes from `axis` on."""
    x, node = call.stream(0), call.node
    flattens, logarithm = node.opset < 13, node.operator == "LogSoftmax"
    axis = x.reversed_axis(node.integer("axis", 1 if flattens else -1))
    if is_time(x.axes[axis]) and not logarithm and not (flattens and x.elements[(0,) * axis].size > 1):
        return (TimeSoftmax(x.axes, x.elements, bases=x.bases, timing=x.timing),)
    for over in x.axes[axis:] if flattens else x.axes[axis : axis + 1]:
        if not is_features(over):
            name = "time" if has_role(over, Role.TIME) else "the batch"
            raise WrongAxisError(f"{node!r} runs over {name}, so it needs the whole sequence: run it over features")
    if flattens:
        widths = x.elements.shape[:axis]
        rows = x.moved((*x.axes[:axis], features(x.elements[(0,) * axis].size)), x.elements.reshape(*widths, -1))
        y = emit_softmax(call, rows, call.output, logarithm)
        return (y.moved(x.axes, y.elements.reshape(x.elements.shape)),)
    return (with_axis_from_end(emit_softmax(call, with_last_axis(x, axis), call.output, logarithm), axis),)


def emit_softmax(call: Call, x: Signal, output: str, logarithm: bool = False) -> Signal:
    """Softmax over the last axis."""
    inside = tuple(width_of(axis) for axis in x.axes[:-1] if is_features(axis) or width_of(axis) > 1)
    call.builder.emit(
        Softmax(
            name=call.builder.unique_operation(call.node.name),
            inputs=(call.builder.value(x, without_leading_ones((*inside, width_of(x.axes[-1])))),),
            outputs=(output,),
            sources=(call.node.name,),
            logarithm=logarithm,
        ),
        x.timing,
    )
    return Signal.of(output, x.axes, x.timing)


def batch_normalization(call: Call) -> Results:
    """BatchNormalization at inference: a factor and a term for each channel, which axis 1 holds."""
    x, node = call.stream(0), call.node
    node.ignore("momentum")
    if node.integer("training_mode", 0) or len([name for name in node.outputs if name]) > 1:
        raise node.unsupported("is in training mode: export the model in evaluation mode (model.eval())")
    if x.rank < 2:
        raise node.malformed(f"needs channels on axis 1, but has {x.rank} axes")
    if any(isinstance(call.tensor(i), Signal) for i in range(1, 5)):
        return (_by_signals(call, x),)
    if not is_features(x.axes[1]):
        raise WrongAxisError(f"{node!r} normalises axis 1, which is not features: transpose before the layer")
    names = ("scale", "B", "input_mean", "input_var")
    scale, bias, mean, variance = (call.array(i, name).astype(np.float64) for i, name in enumerate(names, start=1))
    factor = scale / np.sqrt(variance + (node.number("epsilon", 1e-5) or 0.0))
    shape = (-1,) + (1,) * (x.rank - 2)
    scaled = call.builder.unique(f"{call.output}:scaled")
    product = emit_pair(call, "Mul", x, Constant.of(factor.reshape(shape)), scaled)
    return (emit_pair(call, "Add", product, Constant.of((bias - mean * factor).reshape(shape)), call.output),)


def _by_signals(call: Call, x: Signal) -> Tensor:
    """BatchNormalization by a mean and variance that are computed in the graph, as Keras normalises layers."""
    parts = []
    for i in range(1, 5):
        part = call.tensor(i)
        shape = (*part.elements.shape, *(1,) * (x.rank - 2))
        parts.append(part.moved((*part.axes, *((),) * (x.rank - 2)), part.elements.reshape(shape)))
    scale, bias, mean, variance = parts
    centred = emit_pair(call, "Sub", x, mean, call.inner("centred"))
    above = emit_pair(call, "Add", variance, number(call.node.number("epsilon", 1e-5)), call.inner("above"))
    root = emit_pair(call, "Pow", above, number(0.5), call.inner("root"))
    quotient = emit_pair(call, "Div", centred, root, call.inner("quotient"))
    scaled = emit_pair(call, "Mul", quotient, scale, call.inner("scaled"))
    return emit_pair(call, "Add", scaled, bias, call.output)
