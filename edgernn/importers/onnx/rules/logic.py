"""Comparisons, logic, choices between tensors, and remainders. True is 1.

Source: ONNX Equal, Less, LessOrEqual, Greater, GreaterOrEqual, And, Or, Xor, Not, Where, Mod.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.constants import fold_pair
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import broadcast, emit_pair, one_frame
from edgernn.importers.onnx.rules.masks import finite
from edgernn.importers.onnx.rules.number_types import converted, floats, is_integer
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.values import Axis, Constant, Signal, Tensor, is_features, width_of
from edgernn.program.operations import Shape, Where


def mod(call: Call) -> Results:
    """Mod: the remainder has the sign of the dividend with `fmod`, else that of the divisor."""
    a, b = call.tensor(0), call.tensor(1)
    is_fmod = call.node.integer("fmod", 0)
    if isinstance(a, Constant) and isinstance(b, Constant):
        return (fold_pair(call.node, "Mod" if is_fmod else "FloorMod", a, b),)
    if is_fmod:
        return (emit_pair(call, "Mod", a, b, call.output),)
    rest = emit_pair(call, "Mod", a, b, call.builder.unique(f"{call.output}:rest"))
    shifted = emit_pair(call, "Add", rest, b, call.builder.unique(f"{call.output}:shifted"))
    return (emit_pair(call, "Mod", shifted, b, call.output),)


def is_nan(call: Call) -> Results:
    """IsNaN of a softmax, as PyTorch writes it behind one: true where its mask allows nothing at all."""
    softmax = call.graph.writer(call.node.inputs[0])
    masked = softmax and softmax.operator == "Softmax" and call.graph.writer(softmax.inputs[0])
    if not masked:
        raise call.node.unsupported("is not supported: no input of a stream is NaN: leave the test out of the model")
    masks = [call.outer(name) for name in masked.inputs] if masked.operator == "Add" else []
    nowhere = [
        np.asarray(np.isneginf(mask.elements.astype(np.float64)).all(-1, keepdims=True))
        for mask in masks
        if isinstance(mask, Constant)
    ]
    return (Constant.of(np.asarray(nowhere[0]) if nowhere else np.array(False)),)


def where(call: Call) -> Results:
    """Where; a constant condition only moves numbers."""
    condition, a, b = (call.tensor(i) for i in range(3))
    a, b = (finite(call, part) if isinstance(part, Constant) else part for part in (a, b))
    if isinstance(condition, Constant):
        return (chosen_by(call, condition, a, b),)
    return (chosen(call, condition, a, b, call.output),)


def chosen_by(call: Call, condition: Constant, a: Tensor, b: Tensor) -> Tensor:
    """The choice of a constant condition: numbers are moved, and what is never chosen is not read."""
    if condition.elements.dtype != bool:
        raise call.node.malformed("has a condition that is not true or false")
    chosen, (first, second), axes = together(call, [a, b], condition)
    offset = sum(call.builder.size_of(base) for base in first.bases)
    elements = np.where(chosen, first.elements, second.elements + offset)
    return without_unused_bases(call, Signal(axes, elements, bases=(*first.bases, *second.bases), timing=first.timing))


def chosen(call: Call, condition: Tensor, a: Tensor, b: Tensor, name: str) -> Tensor:
    """The choice of a condition that varies, called `name`."""
    builder = call.builder
    is_whole_number = all(is_integer(builder, x) for x in (a, b))
    _, streams, axes = together(call, [condition, a, b])
    values = [builder.value(floats(call, x), inside(axes)) for x in streams]
    output = builder.unique(f"{name}:float") if is_whole_number else name
    builder.emit(
        Where(
            name=builder.unique_operation(call.node.name),
            inputs=tuple(values),
            outputs=(output,),
            sources=builder.sources,
        ),
        streams[0].timing,
    )
    result = Signal.of(output, axes, streams[0].timing)
    return converted(call, result, "int32", name) if is_whole_number else result


def inside(axes: tuple[Axis, ...]) -> Shape:
    """The shape of a value with these axes, those of time and batch left out."""
    return tuple(width_of(axis) for axis in axes if is_features(axis) or width_of(axis) > 1) or (1,)


def together(
    call: Call, tensors: Sequence[Tensor], beside: Constant | None = None
) -> tuple[NDArray[Any], list[Signal], tuple[Axis, ...]]:
    """All as streams of one timing and number type, broadcast to the same axes, which come last.

    A constant `beside` them takes part in the broadcasting; its numbers come first.
    """
    streams = aligned(call.builder, [x for x in tensors if isinstance(x, Signal)], repr(call.node))
    timing, waiting = streams[0].timing, iter(streams)
    everything = [next(waiting) if isinstance(x, Signal) else x for x in tensors]
    axes: tuple[Axis, ...] = ()
    for x in everything if beside is None else [beside, *everything]:
        axes = broadcast(call, Constant(axes, np.zeros(tuple(map(width_of, axes)), np.int8)), x)
    mixed = len({is_integer(call.builder, x) for x in everything}) > 1
    shape = tuple(map(width_of, axes))
    result = []
    for x in everything:
        own = Constant.of(one_frame(call, x, axes), x.name) if isinstance(x, Constant) else x
        stream = call.builder.as_stream(own, timing)
        stream = floats(call, stream) if mixed else stream
        elements = stream.elements.reshape((1,) * (len(axes) - stream.rank) + stream.elements.shape)
        result.append(stream.moved(axes, np.broadcast_to(elements, shape)))
    numbers = np.zeros(1) if beside is None else np.broadcast_to(one_frame(call, beside, axes), shape)
    return numbers, result, axes


def without_unused_bases(call: Call, x: Signal) -> Signal:
    """The stream without bases that no element is of."""
    sizes = [call.builder.size_of(base) for base in x.bases]
    bounds = np.cumsum([0, *sizes])
    owners = np.searchsorted(bounds, x.elements, side="right") - 1
    kept = np.unique(owners)
    starts = np.zeros(len(sizes), np.int64)
    starts[kept] = np.cumsum([0, *(sizes[i] for i in kept[:-1])])
    elements = x.elements - bounds[owners] + starts[owners]
    return Signal(x.axes, elements, bases=tuple(x.bases[i] for i in kept), timing=x.timing)
