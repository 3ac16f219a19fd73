"""Conv and ConvTranspose: windows of frames and of features, then matrix products.

Along time a window of frames comes from a History; along features the window is picked from the value itself. The
product is a Dense, for many groups a GroupedDense. Source: the ONNX operators of the same names.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.blocks import Sliding, windows_of_blocks
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.layout import merged
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.dimension import Extent
from edgernn.importers.onnx.streams.sequence import frames_of, is_blocks, is_time, join, materialize_padding, windows
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Axis,
    Constant,
    Role,
    Signal,
    check_step_shape,
    extent_of,
    features,
    has_role,
    is_features,
)
from edgernn.program.operations import Dense, GroupedDense

Array = NDArray[Any]
MAX_PRODUCTS = 8  # groups that are a Dense each; more are one GroupedDense


def sliding(call: Call, x: Signal, kernel: tuple[int, ...]) -> list[Sliding]:
    """The attributes that Conv and the poolings share, for each spatial axis."""
    node, rank = call.node, len(kernel)
    if not kernel or x.rank != rank + 2 or min(kernel) < 1:
        raise node.malformed(f"has a kernel of shape {kernel} for an input of {x.rank} axes")
    dilations = node.integers("dilations") or [1] * rank
    strides = node.integers("strides") or [1] * rank
    pads = node.integers("pads") or [0] * (2 * rank)
    if len(dilations) != rank or len(strides) != rank or len(pads) != 2 * rank or min(*dilations, *strides) < 1:
        raise node.malformed(f"has strides {strides}, dilations {dilations} and pads {pads} for {rank} spatial axes")
    auto_pad = node.word("auto_pad", "NOTSET")
    if auto_pad not in {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}:
        raise node.malformed(f"has auto_pad = {auto_pad!r}")
    slidings = []
    for i, (size, dilation, stride) in enumerate(zip(kernel, dilations, strides, strict=True)):
        both = (pads[i], pads[rank + i]) if auto_pad == "NOTSET" else (0, 0)
        if auto_pad.startswith("SAME"):
            total = _same_padding(extent_of(x.axes[2 + i]), (size - 1) * dilation + 1, stride)
            less = total // 2
            both = (less, total - less) if auto_pad == "SAME_UPPER" else (total - less, less)
        slidings.append(Sliding(size, dilation, stride, both))
    return slidings


def _same_padding(extent: Extent, span: int, stride: int) -> int:
    """Padding with which there is a window for each `stride` elements."""
    if stride == 1:
        return span - 1
    if not isinstance(extent, int):
        raise NeedsWindowError("a convolution with stride and auto_pad = SAME pads by the length of the sequence")
    return max(0, (-(-extent // stride) - 1) * stride + span - extent)


def check_spatial_axes(call: Call, x: Signal) -> int | None:
    """Which axis is time, None where none is; channels and others must be features."""
    if has_role(x.axes[1], Role.TIME) or not is_features(x.axes[1]):
        raise WrongAxisError(f"{call.node!r} has time or the batch where its channels should be")
    times = [axis for axis in range(2, x.rank) if not is_features(x.axes[axis])]
    if not times:
        return None
    if len(times) > 1 or has_role(x.axes[times[0]], Role.BATCH) or has_role(x.axes[0], Role.TIME):
        raise WrongAxisError(f"{call.node!r} runs over the batch, or over time twice")
    if not is_time(x.axes[times[0]]) and not is_blocks(x.axes[times[0]]):
        raise NeedsWindowError(f"{call.node!r} runs over an axis that mixes time with features")
    call.builder.findings.ran_over_time = True
    return times[0]


def unfolded(call: Call, x: Signal, slidings: list[Sliding], fill: float) -> tuple[Signal, list[Axis]]:
    """All windows of x: axes (batch, channels, spatial..., kernel...), and the spatial axes by themselves.

    Along features, what lies outside is an element that holds `fill`; along time, History pads.
    """
    time = check_spatial_axes(call, x)
    rank = len(slidings)
    if time is None:
        x = materialize_padding(call.builder, x)
        axes, elements = x.axes, x.elements[np.newaxis]  # (1, batch, channels, spatial...)
    else:
        slide = slidings[time - 2]
        if is_time(x.axes[time]):
            x = frames_of(
                call.builder, x, slide.kernel, dilation=slide.dilation, stride=slide.stride, pads=slide.pads, fill=fill
            )
        else:
            x = windows_of_blocks(call.builder, x, time, slide, fill, repr(call.node))
        axes, elements = x.axes[1:], x.elements  # (taps, batch, channels, spatial...)
    outside = sum(call.builder.size_of(base) for base in x.bases)  # the place of what lies outside
    spatial, kernel_axes = list(axes[2:]), [0] * rank  # where each kernel axis is; the taps are the first
    for i, slide in enumerate(slidings):
        if 2 + i == time:
            continue
        width = elements.shape[3 + i]
        count = windows(width, slide.span, slide.stride, slide.pads)
        assert isinstance(count, int)
        if count < 1:
            raise call.node.malformed(f"has a window of {slide.span} elements on an axis of {width}")
        places = slide.stride * np.arange(count)[:, None] + slide.dilation * np.arange(slide.kernel) - slide.pads[0]
        inside = (places >= 0) & (places < width)  # (count, kernel)
        check_step_shape((elements.size // width, *places.shape), repr(call.node))
        picked = elements.take(np.where(inside, places, 0), 3 + i)
        mask = inside.reshape(inside.shape + (1,) * (rank - 1 - i + elements.ndim - 3 - rank))
        elements = np.moveaxis(np.where(mask, picked, outside), 4 + i, -1)
        spatial[i], kernel_axes[i] = features(count), elements.ndim - 1
    if time is None:
        elements = elements[0].transpose([*range(2 + rank), *(axis - 1 for axis in kernel_axes)])
    else:
        elements = elements.transpose([*range(1, 3 + rank), *kernel_axes])
    bases = x.bases
    if (elements == outside).any():
        padding = call.builder.constant(Constant.of(np.full(1, fill, np.float32), f"{call.output}:padding"), x.timing)
        bases = (*bases, *padding.bases)
    all_axes = (axes[0], axes[1], *spatial, *(features(slide.kernel) for slide in slidings))
    return Signal(all_axes, elements, bases=bases, timing=x.timing), spatial


def conv(call: Call) -> Results:
    """Conv."""
    return (convolved(call, call.sequence(0), _weights(call), _bias(call)),)


def _weights(call: Call) -> Array:
    W = call.array(1, "W")
    if W.ndim < 3 or W.dtype.kind != "f" or not W.size:
        raise call.node.malformed(f"has W of shape {W.shape} and type {W.dtype}")
    kernel = call.node.integers("kernel_shape")
    if kernel is not None and tuple(kernel) != W.shape[2:]:
        raise call.node.malformed(f"has kernel_shape {kernel}, but W of shape {W.shape}")
    return W


def _bias(call: Call) -> Array | None:
    return call.array(2, "B") if call.has(2) else None


def convolved(call: Call, x: Signal, W: Array, B: Array | None) -> Signal:
    """The convolution of x (batch, channels, spatial...) with W (outputs, channels / group, kernel...)."""
    group = call.node.integer("group", 1)
    slidings = sliding(call, x, W.shape[2:])
    channels = x.elements.shape[1]
    if group < 1 or W.shape[1] * group != channels or W.shape[0] % group or (B is not None and B.shape != W.shape[:1]):
        raise call.node.malformed(f"has W of shape {W.shape} and group {group} for {channels} channels")
    patches, spatial = unfolded(call, x, slidings, 0.0)
    return products(call, patches, spatial, W, B, group, call.output)


def products(
    call: Call, patches: Signal, spatial: list[Axis], W: Array, B: Array | None, group: int, output: str
) -> Signal:
    """Patches (batch, channels, spatial..., kernel...) times W (outputs, channels / group, kernel...)."""
    rank, outputs = len(spatial), W.shape[0]
    inner = patches.elements
    # taps before channels: that is how a History has them
    kernel = tuple(range(2 + rank, 2 + 2 * rank))
    rows = inner.transpose(0, *range(2, 2 + rank), *kernel, 1)  # (batch, spatial..., kernel..., channels)
    outside = rows.shape[: 1 + rank]
    taps = prod(rows.shape[1 + rank : -1])
    weights = np.moveaxis(W.reshape(group, outputs // group, W.shape[1], taps), 3, 2)  # (group, outputs, taps, inputs)
    rows = rows.reshape(*outside, taps, group, W.shape[1])
    biases = None if B is None else B.reshape(group, outputs // group)
    axes = (patches.axes[0], *spatial)
    if group == 1 or (group <= MAX_PRODUCTS and W.shape[1] > 1):
        parts = [
            _dense(
                call,
                patches,
                axes,
                rows[..., g, :],
                weights[g],
                None if biases is None else biases[g],
                output if group == 1 else call.builder.unique(f"{output}:group{g}"),
            )
            for g in range(group)
        ]
        result = parts[0] if group == 1 else join(call.builder, parts, 1 + rank, (*axes, features(outputs)))
    else:
        result = _grouped(call, patches, axes, rows, weights, biases, output)
    order = [0, 1 + rank, *range(1, 1 + rank)]
    return result.moved(tuple(result.axes[i] for i in order), result.elements.transpose(order))


def _dense(
    call: Call, x: Signal, axes: tuple[Axis, ...], rows: Array, W: Array, B: Array | None, output: str
) -> Signal:
    """rows (batch, spatial..., taps, inputs) times W (outputs, taps, inputs) -> (batch, spatial..., outputs)."""
    builder = call.builder
    outside, width = rows.shape[:-2], rows.shape[-2] * rows.shape[-1]
    part = Signal((features(prod(outside)), features(width)), rows.reshape(-1, width), bases=x.bases, timing=x.timing)
    shape = (width,) if prod(outside) == 1 else (prod(outside), width)
    builder.emit(
        Dense(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(part, shape),),
            outputs=(output,),
            sources=builder.sources,
            W=builder.weight(f"{call.node.name}.W", W.reshape(len(W), width)),
            B=None if B is None else builder.weight(f"{call.node.name}.B", B),
        ),
        x.timing,
    )
    return Signal.of(output, (*axes, features(len(W))), x.timing)


def _grouped(
    call: Call, x: Signal, axes: tuple[Axis, ...], rows: Array, W: Array, B: Array | None, output: str
) -> Signal:
    """rows (batch, spatial..., taps, group, inputs), W (group, outputs, taps, inputs), as `_dense`."""
    builder = call.builder
    group, outputs, taps, inputs = W.shape
    outside = rows.shape[:-3]
    columns = np.moveaxis(rows, -1, -2).reshape(prod(outside), taps * inputs, group)  # (rows, taps * inputs, group)
    part = Signal(tuple(map(features, columns.shape)), columns, bases=x.bases, timing=x.timing)
    weights = W.reshape(group, outputs, taps * inputs).transpose(1, 2, 0)  # (outputs, taps * inputs, group)
    builder.emit(
        GroupedDense(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(part, columns.shape if prod(outside) > 1 else columns.shape[1:]),),
            outputs=(output,),
            sources=builder.sources,
            W=builder.weight(f"{call.node.name}.W", weights),
            B=None if B is None else builder.weight(f"{call.node.name}.B", B.T),
        ),
        x.timing,
    )
    y = Signal.of(output, (*axes, features(outputs), features(group)), x.timing)  # its channels are group-major
    elements = y.elements.swapaxes(-1, -2).reshape(*outside, group * outputs)
    return y.moved((*axes, features(group * outputs)), elements)


def conv_transpose(call: Call) -> Results:
    """ConvTranspose; along time it gives several frames in each step."""
    node, x, W = call.node, call.sequence(0), _weights(call)
    group, rank = node.integer("group", 1), W.ndim - 2
    slidings = sliding(call, x, W.shape[2:])
    more = node.integers("output_padding") or [0] * rank
    if node.has("output_shape") or node.word("auto_pad", "NOTSET") != "NOTSET":
        raise node.unsupported("has output_shape or auto_pad: export it with pads and output_padding")
    if group < 1 or W.shape[0] != x.elements.shape[1] or W.shape[0] % group or len(more) != rank:
        raise node.malformed(f"has W of shape {W.shape}, group {group} and output_padding {more}")
    time = check_spatial_axes(call, x)
    inputs, outputs = W.shape[0] // group, W.shape[1]
    # as the weights of Conv: (outputs, inputs, kernel...), each group's outputs together, kernel turned round
    W = W.reshape(group, inputs, outputs, *W.shape[2:]).swapaxes(1, 2).reshape(group * outputs, inputs, *W.shape[2:])
    flipped = [
        Sliding(slide.kernel, slide.dilation, 1, _turned(slide, extra))
        for slide, extra in zip(slidings, more, strict=True)
    ]
    steps = 1
    for i, slide in enumerate(slidings):
        if 2 + i == time:
            W, flipped[i], steps = _interleaved(call, W, i, slide, more[i])
        else:
            W = np.flip(W, 2 + i)
            x = _stuffed(call, x, 2 + i, slide.stride)
    patches, spatial = unfolded(call, x, flipped, 0.0)
    bias = _bias(call)
    if bias is not None:
        bias = np.repeat(bias.reshape(group, 1, outputs), steps, 1).reshape(-1)
    y = products(call, patches, spatial, W, bias, group, call.output)
    return (y if time is None else _in_time(y, time, group, steps),)


def _turned(slide: Sliding, extra: int) -> tuple[int, int]:
    """Padding of the convolution that a transposed one is, on an input with zeros between its elements."""
    return slide.span - 1 - slide.pads[0], slide.span - 1 - slide.pads[1] + extra


def _stuffed(call: Call, x: Signal, axis: int, stride: int) -> Signal:
    """The stream with ``stride - 1`` zeros between neighbours along features."""
    if stride == 1:
        return x
    x = materialize_padding(call.builder, x)
    width = x.elements.shape[axis]
    zero = call.builder.constant(Constant.of(np.zeros(1, np.float32), f"{call.output}:zero"), x.timing)
    shape = (*x.elements.shape[:axis], (width - 1) * stride + 1, *x.elements.shape[axis + 1 :])
    elements = np.full(shape, sum(call.builder.size_of(base) for base in x.bases))
    elements[(slice(None),) * axis + (slice(None, None, stride),)] = x.elements
    axes = (*x.axes[:axis], features(shape[axis]), *x.axes[axis + 1 :])
    return Signal(axes, elements, bases=(*x.bases, *zero.bases), timing=x.timing)


def _interleaved(call: Call, W: Array, place: int, slide: Sliding, extra: int) -> tuple[Array, Sliding, int]:
    """A transposed convolution along time, of stride s, as one that makes s frames of each.

    Output frame ``m * s + i`` gathers what the input frames j with ``s * j + dilation * k = m * s + i + pad`` give.
    """
    s, d, pad = slide.stride, slide.dilation, slide.pads[0]
    rest = slide.span - s - sum(slide.pads) + extra
    if rest % s:
        raise NeedsWindowError(f"{call.node!r} makes a sequence whose length is no multiple of its stride {s}")
    newest = (s - 1 + pad) // s  # j - m
    oldest = -((slide.span - 1 - pad) // s)
    taps = newest - oldest + 1
    axis = 2 + place
    moved = np.moveaxis(W, axis, 0)  # (kernel, outputs, inputs, ...)
    result = np.zeros((s, taps, *moved.shape[1:]), W.dtype)
    for i in range(s):
        for tap in range(taps):
            k, left = divmod(i + pad - s * (oldest + tap), d)
            if left == 0 and 0 <= k < slide.kernel:
                result[i, tap] = moved[k]
    group = call.node.integer("group", 1)
    outputs = W.shape[0] // group
    result = np.moveaxis(result, 1, axis + 1)  # (s, outputs, inputs, ..., taps, ...)
    result = result.reshape(s, group, outputs, *result.shape[2:]).swapaxes(0, 1)  # (group, s, outputs, ...)
    result = result.reshape(group * s * outputs, *result.shape[3:])
    before = -oldest
    return result, Sliding(taps, 1, 1, (before, rest // s + taps - 1 - before)), s


def _in_time(y: Signal, time: int, group: int, steps: int) -> Signal:
    """Channels (group, steps, outputs) with the steps taken into the axis of time."""
    batch, channels, *others = y.elements.shape
    outputs = channels // (group * steps)
    elements = y.elements.reshape(batch, group, steps, outputs, *others)
    elements = np.moveaxis(elements, 2, time + 2)  # behind the axis of time
    spatial = [*others]
    spatial[time - 2] *= steps
    elements = elements.reshape(batch, group * outputs, *spatial)
    axes = [y.axes[0], features(group * outputs), *y.axes[2:]]
    axes[time] = merged((*axes[time], *features(steps)))
    return y.moved(tuple(axes), elements)
