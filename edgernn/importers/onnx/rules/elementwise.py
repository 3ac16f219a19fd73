"""Operations on each element as rules emit them: functions of one tensor, arithmetic of two with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.constants import fold_pair
from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.rules.counting import counted
from edgernn.importers.onnx.rules.masks import finite
from edgernn.importers.onnx.rules.number_types import COMPARISONS, converted, floats, is_integer
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.builder import without_leading_ones
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Axis,
    Constant,
    Role,
    Signal,
    Tensor,
    has_role,
    is_features,
    width_of,
)
from edgernn.program.operations import Binary, Shape, Unary


def number(value: float | None) -> Constant:
    return Constant.of(np.array(value, np.float32))


def emit_unary(
    call: Call, x: Tensor, output: str, function: str, alpha: float | None = None, beta: float | None = None
) -> Signal:
    """Emit one Unary; of integers it gives integers."""
    assert isinstance(x, Signal)
    x = materialize_padding(call.builder, x)
    if is_integer(call.builder, x):
        y = emit_unary(call, floats(call, x), call.inner("float"), function, alpha, beta)
        return converted(call, y, "int32", output)
    call.builder.emit(
        Unary(
            name=call.builder.unique_operation(call.node.name),
            inputs=(call.builder.value_of_any_shape(x),),
            outputs=(output,),
            sources=(call.node.name,),
            function=function,
            alpha=alpha,
            beta=beta,
        ),
        x.timing,
    )
    return Signal.of(output, x.axes, x.timing)


def emit_pair(call: Call, function: str, a: Tensor, b: Tensor, output: str) -> Tensor:
    """Emit one Binary with NumPy's broadcasting; of two constants, compute it."""
    if isinstance(a, Constant) and isinstance(b, Constant):
        return fold_pair(call.node, function, a, b)
    if any(isinstance(operand, Signal) and is_integer(call.builder, operand) for operand in (a, b)):
        return _emit_integer_pair(call, function, a, b, output)
    if isinstance(a, Signal) and isinstance(b, Constant):
        a = materialize_padding(call.builder, a)
        b = counted(call, b, a)
    elif isinstance(b, Signal) and isinstance(a, Constant):
        b = materialize_padding(call.builder, b)
        a = counted(call, a, b)
    if isinstance(a, Signal) and isinstance(b, Signal):
        a, b = aligned(call.builder, (a, b), repr(call.node))
    timing = next(operand.timing for operand in (a, b) if isinstance(operand, Signal))
    axes = broadcast(call, a, b)
    inputs, constant, constant_side = [], None, "right"
    for operand, side in ((a, "left"), (b, "right")):
        if isinstance(operand, Constant):
            numbers = one_frame(call, finite(call, operand), axes)
            shape = _operand_shape(numbers.shape, axes)
            constant, constant_side = call.builder.weight(f"{call.node.name}.constant", numbers.reshape(shape)), side
        elif isinstance(operand, Signal):
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
        ),
        timing,
    )
    return Signal.of(output, axes, timing)


def _emit_integer_pair(call: Call, function: str, a: Tensor, b: Tensor, output: str) -> Tensor:
    """A Binary of integers, computed in float32, which is exact to 24 bits; the quotient is rounded towards zero."""
    first, second = (floats(call, operand) if isinstance(operand, Signal) else operand for operand in (a, b))
    if function in COMPARISONS or not all(is_integer(call.builder, operand) for operand in (a, b)):
        return emit_pair(call, function, first, second, output)
    y = emit_pair(call, function, first, second, call.inner("float"))
    assert isinstance(y, Signal)
    return converted(call, y, "int32", output)


def broadcast(call: Call, a: Tensor, b: Tensor) -> tuple[Axis, ...]:
    """The axes of the result."""
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


def one_frame(call: Call, constant: Constant, axes: tuple[Axis, ...]) -> NDArray[Any]:
    """The constant's numbers aligned with `axes`; along time and batch they must all be equal."""
    numbers = constant.elements.reshape((1,) * (len(axes) - constant.rank) + constant.elements.shape)
    for i, axis in enumerate(axes):
        if numbers.shape[i] > 1 and not is_features(axis):
            first = numbers.take([0], i)
            if not (numbers == first).all():
                along = "time" if has_role(axis, Role.TIME) else "the batch"
                raise NeedsWindowError(
                    f"{call.node!r} has a constant that differs along {along}, and a stream has no position in time"
                )
            numbers = first
    if numbers.dtype.kind not in "fiub":
        raise call.node.unsupported(f"combines a signal with a constant of type {numbers.dtype}")
    return numbers


def _operand_shape(widths: Shape, axes: tuple[Axis, ...]) -> Shape:
    """The shape of an operand's value: aligned with the result's axes, those of time and batch left out."""
    aligned = (1,) * (len(axes) - len(widths)) + tuple(widths)
    inside = tuple(width for width, axis in zip(aligned, axes, strict=True) if is_features(axis) or width_of(axis) > 1)
    return without_leading_ones(inside)
