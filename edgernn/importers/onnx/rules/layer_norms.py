"""Normalization over the features of a frame; over time they need a window.

Source: ONNX LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization, LpNormalization,
MeanVarianceNormalization, LRN; SimplifiedLayerNormalization and the skip forms of onnxruntime.
"""

from __future__ import annotations

from math import prod

import numpy as np

from edgernn.importers.onnx.rules import over_time
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import emit_dense
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary, number
from edgernn.importers.onnx.rules.layout import with_axis_from_end, with_last_axis
from edgernn.importers.onnx.rules.reductions import require_features, rows_of, square
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor, features, width_of
from edgernn.program.operations import LayerNorm


def layer_normalization(call: Call) -> Results:
    """LayerNormalization over all axes from `axis` on."""
    node = call.node
    node.ignore("stash_type")
    axis, epsilon = node.integer("axis", -1), node.number("epsilon", 1e-5) or 0.0
    if any(node.outputs[1:]):
        raise node.unsupported("gives its mean or deviation, which is for training: export in evaluation mode")
    bias = call.tensor(2) if call.has(2) else None
    return (normalized(call, call.stream(0), axis, call.tensor(1), bias, epsilon, call.output),)


def normalized(
    call: Call,
    x: Signal,
    axis: int,
    scale: Tensor | None,
    bias: Tensor | None,
    epsilon: float,
    output: str,
    centred: bool = True,
) -> Signal:
    """Layer normalisation over all axes from `axis` on, in one operation where scale and bias are numbers of a row.

    Without `centred` it is division by the root mean square.
    """
    axis, builder = x.reversed_axis(axis), call.builder
    require_features(call, x, list(range(axis, x.rank)))
    tail = x.elements.shape[axis:]
    width = prod(tail)
    vectors: list[str | None] = []
    later: list[tuple[str, Tensor]] = []
    for function, part in (("Mul", scale), ("Add", bias)):
        is_row = isinstance(part, Constant) and part.elements.dtype.kind == "f" and part.rank <= len(tail)
        if part is None or (is_row and not later):
            row = None if part is None else np.broadcast_to(part.elements, tail).ravel()
            vectors.append(None if row is None else builder.weight(f"{call.node.name}.{function}", row))
        else:
            vectors.append(None)
            later.append((function, part))
    rows = x.moved((*x.axes[:axis], features(width)), x.elements.reshape(*x.elements.shape[:axis], width))
    name = call.inner("normal") if later else output
    builder.emit(
        LayerNorm(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(rows, rows_of(rows)),),
            outputs=(name,),
            sources=builder.sources,
            scale=vectors[0],
            bias=vectors[1],
            epsilon=epsilon,
            centred=centred,
        ),
        x.timing,
    )
    y: Tensor = Signal.of(name, x.axes, x.timing)
    for place, (function, part) in enumerate(later, start=1):
        y = emit_pair(call, function, y, part, output if place == len(later) else call.inner(function))
    assert isinstance(y, Signal)
    return y


def rms_normalization(call: Call) -> Results:
    """RMSNormalization, which onnxruntime also calls SimplifiedLayerNormalization: division by the root mean square."""
    node = call.node
    node.ignore("stash_type")
    axis, epsilon = node.integer("axis", -1), node.number("epsilon", 1e-5) or 0.0
    if any(node.outputs[1:]):
        raise node.unsupported("gives its deviation, which is for training: export in evaluation mode")
    return (normalized(call, call.stream(0), axis, call.tensor(1), None, epsilon, call.output, centred=False),)


def _channels(call: Call, index: int, name: str, x: Signal, count: int) -> Constant:
    """Numbers for each channel, which axis 1 holds."""
    array = call.array(index, name)
    if array.shape != (count,):
        raise call.node.malformed(f"has {name} of shape {array.shape} for {count} channels or groups")
    return Constant.of(array.reshape(count, *(1,) * (x.rank - 2)))


def instance_normalization(call: Call) -> Results:
    """InstanceNormalization: each channel over its own numbers."""
    x = call.stream(0)
    if x.rank < 3:
        raise call.node.malformed(f"has an input of {x.rank} axes, it must have at least 3")
    require_features(call, x, [1])
    scale, bias = (_channels(call, i, name, x, width_of(x.axes[1])) for i, name in ((1, "scale"), (2, "B")))
    return (normalized(call, x, 2, scale, bias, call.node.number("epsilon", 1e-5) or 0.0, call.output),)


def group_normalization(call: Call) -> Results:
    """GroupNormalization: groups of channels, each over its own; scales are of groups before operator set 21."""
    x, node = call.stream(0), call.node
    node.ignore("stash_type")
    groups = node.integer("num_groups", 0)
    if x.rank < 3:
        raise node.malformed(f"has an input of {x.rank} axes, it must have at least 3")
    require_features(call, x, list(range(1, x.rank)))
    channels = width_of(x.axes[1])
    if groups < 1 or channels % groups:
        raise node.malformed(f"has {groups} groups of {channels} channels")
    shape = (x.elements.shape[0], groups, channels // groups, *x.elements.shape[2:])
    grouped = x.moved((x.axes[0], *map(features, shape[1:])), x.elements.reshape(shape))
    count = groups if node.opset < 21 else channels
    scale, bias = (_channels(call, i, name, x, count) for i, name in ((1, "scale"), (2, "bias")))
    if count == channels:
        scale, bias = (
            Constant.of(part.elements.reshape(groups, channels // groups, *(1,) * (x.rank - 2)))
            for part in (scale, bias)
        )
    else:
        scale, bias = (Constant.of(part.elements.reshape(groups, 1, *(1,) * (x.rank - 2))) for part in (scale, bias))
    y = normalized(call, grouped, 2, scale, bias, node.number("epsilon", 1e-5) or 0.0, call.output)
    return (y.moved(x.axes, y.elements.reshape(x.elements.shape)),)


def mean_variance_normalization(call: Call) -> Results:
    """MeanVarianceNormalization: ``(x - mean) / (deviation + 1e-9)`` over `axes`."""
    x = call.stream(0)
    axes = [x.reversed_axis(axis) for axis in call.node.integers("axes") or (0, 2, 3)]
    require_features(call, x, axes)
    mean = over_time.over_features(call, x, axes, "Mean", call.inner("mean"))
    centred = emit_pair(call, "Sub", x, mean, call.inner("centred"))
    assert isinstance(centred, Signal)
    variance = over_time.over_features(call, square(call, centred), axes, "Mean", call.inner("variance"))
    deviation = emit_unary(call, variance, call.inner("deviation"), "Sqrt")
    above = emit_pair(call, "Add", deviation, number(1e-9), call.inner("above"))
    return (emit_pair(call, "Div", centred, above, call.output),)


def lp_normalization(call: Call) -> Results:
    """LpNormalization: division by the sum of magnitudes, or by the root of the sum of squares; 0 stays 0."""
    x, p = call.stream(0), call.node.integer("p", 2)
    axis = x.reversed_axis(call.node.integer("axis", -1))
    if p not in (1, 2):
        raise call.node.malformed(f"has p = {p}")
    return (divided_by_norm(call, x, axis, p),)


def divided_by_norm(call: Call, x: Signal, axis: int, p: int) -> Tensor:
    """``x / norm``, and 0 where the norm is 0; p is 1 or 2."""
    require_features(call, x, [axis])
    each = emit_unary(call, x, call.inner("magnitude"), "Abs") if p == 1 else square(call, x)
    norm: Tensor = over_time.over_features(call, each, [axis], "Sum", call.inner("sum"))
    norm = norm if p == 1 else emit_unary(call, norm, call.inner("root"), "Sqrt")
    safe = emit_pair(call, "Max", norm, number(float(np.finfo(np.float32).tiny)), call.inner("safe"))
    return emit_pair(call, "Div", x, safe, call.output)


def local_response_normalization(call: Call) -> Results:
    """LRN: ``x / (bias + alpha / size * sum of squares of neighbouring channels) ^ beta``."""
    x, node = call.stream(0), call.node
    size = node.integer("size", 0)
    alpha, beta, bias = (node.number(n, d) or 0.0 for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    require_features(call, x, [1])
    if size < 1:
        raise node.malformed(f"has size = {size}")
    channels = np.arange(width_of(x.axes[1]))
    apart = channels[None] - channels[:, None]
    near = (apart >= -((size - 1) // 2)) & (apart <= size // 2)
    squares = with_last_axis(square(call, x), 1)
    sums = emit_dense(call, squares, near * (alpha / size), np.full(len(channels), bias), call.inner("sums"))
    powers = emit_pair(call, "Pow", with_axis_from_end(sums, 1), number(beta), call.inner("powers"))
    return (emit_pair(call, "Div", x, powers, call.output),)
