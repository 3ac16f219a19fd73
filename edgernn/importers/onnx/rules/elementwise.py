"""Operators on each element: activations, and arithmetic of two or more tensors with broadcasting.

Source: the ONNX operators of the same names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.builder import without_leading_ones
from edgernn.importers.onnx.constants import fold_pair
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.time_axis import WrongAxisError
from edgernn.importers.onnx.values import Axis, Constant, Role, Stream, Tensor, has_role, is_features, width_of
from edgernn.operations import UNARY_FUNCTIONS, Binary, Shape, Unary

# how ONNX calls the constants of an activation, where it does not call them alpha and beta
CONSTANT_NAMES = {"Selu": ("alpha", "gamma")}


def unary(call: Call) -> Results:
    """An activation or function of one tensor, with its constants alpha and beta."""
    function = call.node.operator
    names = CONSTANT_NAMES.get(function, ("alpha", "beta"))
    constants = [
        None if default is None else call.node.number(name, default)
        for name, default in zip(names, UNARY_FUNCTIONS[function], strict=True)
    ]
    return (emit_unary(call, call.stream(0), call.output, function, *constants),)


def gelu(call: Call) -> Results:
    """Gelu, exact or by tanh."""
    approximate = call.node.word("approximate", "none")
    if approximate not in {"none", "tanh"}:
        raise call.node.malformed(f"has approximate = {approximate!r}")
    function = "GeluTanh" if approximate == "tanh" else "Gelu"
    return (emit_unary(call, call.stream(0), call.output, function),)


def swish(call: Call) -> Results:
    """Swish, ``x * sigmoid(alpha * x)``."""
    x, alpha = call.stream(0), call.node.number("alpha", 1.0)
    scaled = x if alpha == 1.0 else emit_pair(call, "Mul", x, _number(alpha), _inner_name(call, "scaled"))
    gate = emit_unary(call, scaled, _inner_name(call, "gate"), "Sigmoid")
    return (emit_pair(call, "Mul", x, gate, call.output),)


def prelu(call: Call) -> Results:
    """PRelu, ``max(x, 0) + slope * min(x, 0)``; with one slope for all it is LeakyRelu."""
    x, slope = call.stream(0), call.constant(1, "slope")
    slopes = call.array(1, "slope")
    if slopes.size and (slopes == slopes.flat[0]).all() and slope.rank <= x.rank:
        return (emit_unary(call, x, call.output, "LeakyRelu", float(slopes.flat[0])),)
    positive = emit_pair(call, "Max", x, _number(0.0), _inner_name(call, "positive"))
    negative = emit_pair(call, "Min", x, _number(0.0), _inner_name(call, "negative"))
    sloped = emit_pair(call, "Mul", negative, slope, _inner_name(call, "sloped"))
    return (emit_pair(call, "Add", positive, sloped, call.output),)


def _number(value: float | None) -> Constant:
    return Constant.of(np.array(value, np.float32))


def _inner_name(call: Call, part: str) -> str:
    return call.builder.unique(f"{call.output}:{part}")


def clip(call: Call) -> Results:
    """Clip; the bounds are attributes before operator set 11."""
    if call.node.opset < 11:
        bounds = [call.node.number("min", None), call.node.number("max", None)]
    else:
        bounds = [_bound(call, index, name) for index, name in ((1, "min"), (2, "max"))]
    if bounds == [None, None]:
        return (call.tensor(0),)
    return (emit_unary(call, call.stream(0), call.output, "Clip", *bounds),)


def _bound(call: Call, index: int, name: str) -> float | None:
    if not call.has(index):
        return None
    array = call.array(index, name)
    if array.size != 1:
        raise call.node.malformed(f"has {array.size} numbers as {name}, it must be one")
    return None if np.isinf(array).any() else float(array.ravel()[0])


def emit_unary(
    call: Call, x: Tensor, output: str, function: str, alpha: float | None = None, beta: float | None = None
) -> Stream:
    assert isinstance(x, Stream)
    call.builder.emit(
        Unary(
            name=call.builder.unique_operation(call.node.name),
            inputs=(call.builder.value_of_any_shape(x),),
            outputs=(output,),
            sources=(call.node.name,),
            function=function,
            alpha=alpha,
            beta=beta,
        )
    )
    return Stream.of(output, x.axes, whole=x.whole)


def binary(call: Call) -> Results:
    """Arithmetic of two tensors, or of any number of them for Min, Max and Sum."""
    function = {"Sum": "Add"}.get(call.node.operator, call.node.operator)
    result = call.tensor(0)
    for index in range(1, len(call.inputs)):
        is_last = index == len(call.inputs) - 1
        output = call.output if is_last else call.builder.unique(f"{call.output}:{index}")
        result = emit_pair(call, function, result, call.tensor(index), output)
    return (result,)


def emit_pair(call: Call, function: str, a: Tensor, b: Tensor, output: str) -> Tensor:
    """Emit one Binary with NumPy's broadcasting; of two constants, compute it."""
    if isinstance(a, Constant) and isinstance(b, Constant):
        return fold_pair(call.node, function, a, b)
    axes = _broadcast(call, a, b)
    inputs, constant, constant_side = [], None, "right"
    for operand, side in ((a, "left"), (b, "right")):
        if isinstance(operand, Constant):
            numbers = _one_frame(call, operand, axes)
            shape = _operand_shape(numbers.shape, axes)
            constant, constant_side = call.builder.weight(f"{call.node.name}.constant", numbers.reshape(shape)), side
        elif isinstance(operand, Stream):
            inputs.append(call.builder.value(operand, _operand_shape(operand.elements.shape, axes)))
    call.builder.emit(
        Binary(
            name=call.builder.unique_operation(call.node.name),
            inputs=tuple(inputs),
            outputs=(output,),
            sources=(call.node.name,),
            function=function,  # type: ignore[arg-type]
            constant=constant,
            constant_side=constant_side,  # type: ignore[arg-type]
        )
    )
    return Stream.of(output, axes, whole=any(isinstance(operand, Stream) and operand.whole for operand in (a, b)))


def _broadcast(call: Call, a: Tensor, b: Tensor) -> tuple[Axis, ...]:
    """The axes of the result."""
    streams = [operand for operand in (a, b) if isinstance(operand, Stream)]
    if len({operand.find(Role.TIME) is None for operand in streams}) > 1:
        raise call.node.unsupported(
            "combines a last frame or last state with every frame, so it needs the end of the sequence: take the last "
            "frame of both sides"
        )
    rank = max(a.rank, b.rank)
    own, others = (((),) * (rank - operand.rank) + operand.axes for operand in (a, b))
    return tuple(_broadcast_axis(call, a, b, mine, other) for mine, other in zip(own, others, strict=True))


def _broadcast_axis(call: Call, a: Tensor, b: Tensor, own: Axis, other: Axis) -> Axis:
    if own == other or not other:
        return own
    if not own:
        return other
    for axis, fixed in ((own, b), (other, a)):  # a constant with a number for each frozen frame, or sample of the batch
        if isinstance(fixed, Constant) and not is_features(axis) and width_of(axis) == 1:
            return axis
    if is_features(own) and is_features(other):
        raise call.node.malformed(f"combines an axis of {width_of(own)} with one of {width_of(other)}")
    raise WrongAxisError(
        f"{call.node!r} combines time or batch with another axis, so frames meet each other: that is not supported"
    )


def _one_frame(call: Call, constant: Constant, axes: tuple[Axis, ...]) -> NDArray[Any]:
    """The constant's numbers aligned with `axes`; along time and batch they must all be equal."""
    numbers = constant.elements.reshape((1,) * (len(axes) - constant.rank) + constant.elements.shape)
    for i, axis in enumerate(axes):
        if numbers.shape[i] > 1 and not is_features(axis):
            first = numbers.take([0], i)
            if not (numbers == first).all():
                along = "time" if has_role(axis, Role.TIME) else "the batch"
                raise call.node.unsupported(
                    f"has a constant that differs along {along}: a stream has no position in time; export the model "
                    "without positions"
                )
            numbers = first
    if numbers.dtype.kind not in "fiu":
        raise call.node.unsupported(f"combines a signal with a constant of type {numbers.dtype}")
    return numbers


def _operand_shape(widths: Shape, axes: tuple[Axis, ...]) -> Shape:
    """The shape of an operand's value: aligned with the result's axes, those of time and batch left out."""
    aligned = (1,) * (len(axes) - len(widths)) + tuple(widths)
    inside = tuple(width for width, axis in zip(aligned, axes, strict=True) if is_features(axis) or width_of(axis) > 1)
    return without_leading_ones(inside)
