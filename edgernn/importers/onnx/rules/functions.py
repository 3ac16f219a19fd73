"""Elementwise operators: activations, and arithmetic of two or more tensors with broadcasting.

Source: the ONNX operators of the same names.
"""

from __future__ import annotations

import numpy as np

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.deviations import deviations, squared
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary, number
from edgernn.importers.onnx.rules.over_time import weighted
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Signal,
    Tensor,
    TimeSoftmax,
)
from edgernn.program.operations import UNARY_FUNCTIONS

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
    weights, values = (a, b) if isinstance(a, TimeSoftmax) else (b, a)
    if not isinstance(weights, TimeSoftmax) or not isinstance(values, Signal) or not values.is_known:
        raise NeedsWindowError(f"{call.node!r} multiplies a softmax over time with something other than frames")
    return weighted(call, weights, values)
