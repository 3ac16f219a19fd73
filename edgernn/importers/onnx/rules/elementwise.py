"""Operators on each element: activations, and arithmetic of two or more tensors with broadcasting.

Source: the ONNX operators of the same names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.constants import fold_pair
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.counting import counted
from edgernn.importers.onnx.rules.deviations import deviations, squared
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
    Stream,
    Tensor,
    TimeSoftmax,
    has_role,
    is_features,
    width_of,
)
from edgernn.program.operations import UNARY_FUNCTIONS, Binary, Shape, Unary

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
    scaled = x if alpha == 1.0 else emit_pair(call, "Mul", x, number(alpha), call.inner("scaled"))
    gate = emit_unary(call, scaled, call.inner("gate"), "Sigmoid")
    return (emit_pair(call, "Mul", x, gate, call.output),)


def prelu(call: Call) -> Results:
    """PRelu, ``max(x, 0) + slope * min(x, 0)``; with one slope for all it is LeakyRelu."""
    x, slope = call.stream(0), call.constant(1, "slope")
    slopes = call.array(1, "slope")
    if slopes.size and (slopes == slopes.flat[0]).all() and slope.rank <= x.rank:
        return (emit_unary(call, x, call.output, "LeakyRelu", float(slopes.flat[0])),)
    positive = emit_pair(call, "Max", x, number(0.0), call.inner("positive"))
    negative = emit_pair(call, "Min", x, number(0.0), call.inner("negative"))
    sloped = emit_pair(call, "Mul", negative, slope, call.inner("sloped"))
    return (emit_pair(call, "Add", positive, sloped, call.output),)


def number(value: float | None) -> Constant:
    return Constant.of(np.array(value, np.float32))


def mean(call: Call) -> Results:
    """Mean of any number of tensors."""
    count = len(call.inputs)
    (total,) = binary(call.renamed(call.inner("sum"), "Sum")) if count > 1 else (call.tensor(0),)
    return (emit_pair(call, "Mul", total, number(1 / count), call.output),)


def tan(call: Call) -> Results:
    """Tan, the sine over the cosine."""
    x = call.stream(0)
    sine, cosine = (emit_unary(call, x, call.inner(name), name) for name in ("Sin", "Cos"))
    return (emit_pair(call, "Div", sine, cosine, call.output),)


def shrink(call: Call) -> Results:
    """Shrink: x + bias below -lambd, x - bias above lambd, else 0."""
    x, bias, lambd = call.stream(0), call.node.number("bias", 0.0) or 0.0, call.node.number("lambd", 0.5) or 0.0
    parts: list[Tensor] = []
    for comparison, bound, shift in (("Less", -lambd, bias), ("Greater", lambd, -bias)):
        beyond = emit_pair(call, comparison, x, number(bound), call.inner(comparison))
        shifted = emit_pair(call, "Add", x, number(shift), call.inner("shifted"))
        parts.append(emit_pair(call, "Mul", beyond, shifted, call.inner("part")))
    return (emit_pair(call, "Add", parts[0], parts[1], call.output),)


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
    """Emit one Unary; of integers it gives integers."""
    assert isinstance(x, Stream)
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
    return Stream.of(output, x.axes, x.timing)


def binary(call: Call) -> Results:
    """Arithmetic of two tensors, or of any number of them for Min, Max and Sum."""
    function = {"Sum": "Add"}.get(call.node.operator, call.node.operator)
    pair = (call.tensor(0), call.tensor(1)) if len(call.inputs) == 2 else ()
    if function == "Mul" and any(isinstance(operand, TimeSoftmax) for operand in pair):
        return (_weighted(call, *pair),)
    if pair and function in ("Sub", "Mul", "Pow"):
        of_mean = deviations(call.builder, *pair) if function == "Sub" else squared(*pair)
        if of_mean is not None:
            return (of_mean,)
    result = call.tensor(0)
    for index in range(1, len(call.inputs)):
        is_last = index == len(call.inputs) - 1
        output = call.output if is_last else call.builder.unique(f"{call.output}:{index}")
        result = emit_pair(call, function, result, call.tensor(index), output)
    return (result,)


def _weighted(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """A softmax over time times frames."""
    from edgernn.importers.onnx.rules.over_time import weighted

    weights, values = (a, b) if isinstance(a, TimeSoftmax) else (b, a)
    if not isinstance(weights, TimeSoftmax) or not isinstance(values, Stream) or not values.is_known:
        raise NeedsWindowError(f"{call.node!r} multiplies a softmax over time with something other than frames")
    return weighted(call, weights, values)


def emit_pair(call: Call, function: str, a: Tensor, b: Tensor, output: str) -> Tensor:
    """Emit one Binary with NumPy's broadcasting; of two constants, compute it."""
    if isinstance(a, Constant) and isinstance(b, Constant):
        return fold_pair(call.node, function, a, b)
    if any(isinstance(operand, Stream) and is_integer(call.builder, operand) for operand in (a, b)):
        return _emit_integer_pair(call, function, a, b, output)
    if isinstance(a, Stream) and isinstance(b, Constant):
        a = materialize_padding(call.builder, a)
        b = counted(call, b, a)
    elif isinstance(b, Stream) and isinstance(a, Constant):
        b = materialize_padding(call.builder, b)
        a = counted(call, a, b)
    if isinstance(a, Stream) and isinstance(b, Stream):
        a, b = aligned(call.builder, (a, b), repr(call.node))
    timing = next(operand.timing for operand in (a, b) if isinstance(operand, Stream))
    axes = broadcast(call, a, b)
    inputs, constant, constant_side = [], None, "right"
    for operand, side in ((a, "left"), (b, "right")):
        if isinstance(operand, Constant):
            numbers = one_frame(call, finite(call, operand), axes)
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
        ),
        timing,
    )
    return Stream.of(output, axes, timing)


def _emit_integer_pair(call: Call, function: str, a: Tensor, b: Tensor, output: str) -> Tensor:
    """A Binary of integers, computed in float32, which is exact to 24 bits; the quotient is rounded towards zero."""
    first, second = (floats(call, operand) if isinstance(operand, Stream) else operand for operand in (a, b))
    if function in COMPARISONS or not all(is_integer(call.builder, operand) for operand in (a, b)):
        return emit_pair(call, function, first, second, output)
    y = emit_pair(call, function, first, second, call.inner("float"))
    assert isinstance(y, Stream)
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
