"""Pooling over windows of frames or features. Source: ONNX MaxPool, AveragePool, LpPool and the global ones."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.blocks import Sliding
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.convolution import check_spatial_axes, sliding, unfolded
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary
from edgernn.importers.onnx.rules.over_time import reduced
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Axis, Constant, Signal, extent_of, features
from edgernn.program.operations import Reduce

LOWEST = float(np.nextafter(np.finfo(np.float32).min, np.float32(0)))  # a state at the very end would count as diverged
Function = Literal["Sum", "Max"]


def max_pool(call: Call) -> Results:
    """MaxPool: the largest number of each window."""
    if len(call.node.outputs) > 1 and call.graph.reads(call.node.outputs[1]):
        raise call.node.unsupported("gives the places of the maxima: leave its output Indices out")
    call.node.ignore("storage_order")
    x = call.sequence(0)
    slidings = _slidings(call, x)
    y = _pooled(call, x, slidings, "Max", LOWEST, call.output)
    return (y,)


def average_pool(call: Call) -> Results:
    """AveragePool: the mean of each window, with or without the padding."""
    x = call.sequence(0)
    slidings = _slidings(call, x)
    padded = any(any(slide.pads) for slide in slidings)
    with_padding = bool(call.node.integer("count_include_pad", 0))
    if with_padding and padded and call.node.integer("ceil_mode", 0):
        raise call.node.unsupported("counts padding and has ceil_mode: what it divides by differs between runtimes")
    if padded and not with_padding:
        x = materialize_padding(call.builder, x)  # frames of a Pad before count
    total = _pooled(call, x, slidings, "Sum", 0.0, call.builder.unique(f"{call.output}:sum"))
    if not padded or with_padding:
        size = prod(slide.kernel for slide in slidings)
        return (emit_pair(call, "Mul", total, Constant.of(np.array(1 / size, np.float32)), call.output),)
    return (emit_pair(call, "Div", total, _counts(call, x, slidings), call.output),)


def _counts(call: Call, x: Signal, slidings: list[Sliding]) -> Signal | Constant:
    """How many elements of each window are no padding: a constant along features, along time a sum of ones."""
    time = check_spatial_axes(call, x)
    shape = (1, 1, *x.elements.shape[2:])
    ones = Constant.of(np.ones(shape, np.float32), f"{call.output}:ones")
    stream = call.builder.constant(ones, x.timing.real)
    axes = tuple(x.axes[i] if i == time else axis for i, axis in enumerate(stream.axes))
    stream = replace(stream, axes=axes, timing=x.timing)
    return _pooled(call, stream, slidings, "Sum", 0.0, call.builder.unique(f"{call.output}:count"))


def lp_pool(call: Call) -> Results:
    """LpPool with p = 1 or 2."""
    p = call.node.integer("p", 2)
    x = call.stream(0)
    slidings = _slidings(call, x)
    if p not in (1, 2):
        raise call.node.unsupported(f"has p = {p}: only 1 and 2 are supported")
    inner = call.builder.unique(f"{call.output}:powers")
    powers = emit_unary(call, x, inner, "Abs") if p == 1 else emit_pair(call, "Mul", x, x, inner)
    assert isinstance(powers, Signal)
    if p == 1:
        return (_pooled(call, powers, slidings, "Sum", 0.0, call.output),)
    total = _pooled(call, powers, slidings, "Sum", 0.0, call.builder.unique(f"{call.output}:sum"))
    return (emit_unary(call, total, call.output, "Sqrt"),)


def global_pool(call: Call) -> Results:
    """GlobalAveragePool and GlobalMaxPool: over all spatial axes, of time so far."""
    x = call.sequence(0)
    function: Literal["Mean", "Max"] = "Max" if "Max" in call.node.operator else "Mean"
    return (reduced(call, x, list(range(2, x.rank)), function, keep_axes=True),)


def _slidings(call: Call, x: Signal) -> list[Sliding]:
    kernel = call.node.integers("kernel_shape")
    if kernel is None:
        raise call.node.malformed("has no kernel_shape")
    slidings = sliding(call, x, tuple(kernel))
    if not call.node.integer("ceil_mode", 0):
        return slidings
    return [_with_ceiling(call, x.axes[2 + i], slide) for i, slide in enumerate(slidings)]


def _with_ceiling(call: Call, axis: Axis, slide: Sliding) -> Sliding:
    """More padding behind, so that the last elements have a window too; one that begins in padding is left out."""
    before, after = slide.pads
    extent = extent_of(axis)
    if not isinstance(extent, int):
        if slide.stride > 1 and after + slide.stride > slide.span:
            raise NeedsWindowError(f"{call.node!r} has ceil_mode with a stride that is longer than its window")
        return replace(slide, pads=(before, after + slide.stride - 1))
    count = -(-(extent + before + after - slide.span) // slide.stride) + 1
    if (count - 1) * slide.stride >= extent + before:
        count -= 1
    return replace(slide, pads=(before, max(after, (count - 1) * slide.stride + slide.span - extent - before)))


def _pooled(call: Call, x: Signal, slidings: list[Sliding], function: Function, fill: float, output: str) -> Signal:
    """A reduction of each window: axes (batch, channels, spatial...)."""
    patches, spatial = unfolded(call, x, slidings, fill)
    rank = len(slidings)
    kernel = tuple(range(2 + rank, 2 + 2 * rank))
    elements: NDArray[Any] = patches.elements.transpose(*kernel, *range(2 + rank))
    outside = elements.shape[rank:]
    elements = elements.reshape(prod(elements.shape[:rank]), -1)  # (window, everything else)
    windows = Signal(tuple(map(features, elements.shape)), elements, bases=patches.bases, timing=patches.timing)
    builder = call.builder
    builder.emit(
        Reduce(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(windows, elements.shape),),
            outputs=(output,),
            sources=builder.sources,
            function=function,
        ),
        patches.timing,
    )
    y = np.arange(prod(outside)).reshape(outside)
    return Signal((*patches.axes[:2], *spatial), y, bases=(output,), timing=patches.timing)
