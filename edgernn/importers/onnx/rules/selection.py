"""Operators that pick or join parts of tensors: Slice, Gather, Split, Concat.

Along time only the last frame can be taken: it is the newest one while the sequence goes on.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgernn.importers.onnx.dimension import Dimension, Extent, extents_array
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.time_axis import WrongAxisError
from edgernn.importers.onnx.values import (
    Axis,
    Constant,
    Role,
    Stream,
    Tensor,
    check_constant_shape,
    check_step_shape,
    extent_of,
    features,
    has_role,
    is_features,
    width_of,
)

FAR = (1 << 31) - 1  # exporters write this, or 2^63 - 1, for "to the end"


def slice_(call: Call) -> Results:
    """Slice; axes, starts and ends are attributes before operator set 10."""
    x, node = call.tensor(0), call.node
    if node.opset < 10:
        starts: list[Extent] = [*(node.integers("starts") or [])]
        ends: list[Extent] = [*(node.integers("ends") or [])]
        axes, steps = node.integers("axes"), None
    else:
        starts, ends = call.extents(1, "starts"), call.extents(2, "ends")
        axes = call.integers(3, "axes") if call.has(3) else None
        steps = call.integers(4, "steps") if call.has(4) else None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.malformed("has starts, ends, axes and steps of different lengths")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        x = _slice_axis(call, x, x.reversed_axis(axis), start, end, step)
    return (x,)


def _slice_axis(call: Call, x: Tensor, axis: int, start: Extent, end: Extent, step: int) -> Tensor:
    node, extent = call.node, extent_of(x.axes[axis])
    if step == 0:
        raise node.malformed("has a step of 0")
    if is_features(x.axes[axis]):
        if isinstance(start, Dimension) or isinstance(end, Dimension):
            raise node.unsupported("slices features by the length of the sequence")
        indices = range(*slice(start, end, step).indices(width_of(x.axes[axis])))
        if not indices:
            raise node.malformed("selects nothing")
        kept = slice(indices[0], None if indices[-1] + step < 0 else indices[-1] + step, step)
        elements = x.elements[(slice(None),) * axis + (kept,)]
        return x.moved(_with_axis(x, axis, features(len(indices))), elements)
    first, stop = _position(start, extent), _position(end, extent)
    if step == 1 and first == 0 and stop == extent:
        return x
    if step == 1 and stop == extent and first == extent + -1:
        return last_frame(call, x, axis, keep_axis=True)
    raise _refusal(call, x.axes[axis])


def _position(index: Extent, extent: Extent) -> Extent:
    """A start or end counted from the beginning, within the extent."""
    if isinstance(index, int):
        if index >= FAR:
            return extent
        if index < 0:
            return 0 if index <= -FAR else _position_within(extent + index, extent)
    return _position_within(index, extent)


def _position_within(index: Extent, extent: Extent) -> Extent:
    if isinstance(index, int) and isinstance(extent, int):
        return min(max(index, 0), extent)
    return index


def last_frame(call: Call, x: Tensor, axis: int, keep_axis: bool) -> Tensor:
    """The newest frame of a sequence; of a constant that is the same throughout, any."""
    if not all(factor.role is Role.TIME for factor in x.axes[axis]):
        raise _refusal(call, x.axes[axis])
    axes = (*x.axes[:axis], *([()] if keep_axis else []), *x.axes[axis + 1 :])
    elements = x.elements if keep_axis else x.elements.squeeze(axis)
    if isinstance(x, Stream):
        return Stream(axes, elements, bases=x.bases, whole=True)
    return x.moved(axes, elements)


def _refusal(call: Call, axis: Axis) -> Exception:
    """Why a part of the time or batch axis cannot be taken."""
    node = call.node
    if not has_role(axis, Role.TIME):
        return WrongAxisError(f"{node!r} selects along the batch axis: export the model so that samples stay apart")
    if not all(factor.role is Role.TIME for factor in axis):
        return node.unsupported("selects along an axis that mixes time with other axes: export them apart")
    pickers = [
        reader for reader in call.graph.consumers(node.inputs[0]) if reader.operator in {"Slice", "Gather", "Split"}
    ]
    parts = sum(len(reader.outputs) for reader in pickers)
    if parts > 1:
        return node.unsupported(
            f"is one of {parts} parts that the graph cuts {node.inputs[0]} into along time: a recurrence written out "
            "step by step for one length. Export it as a recurrent operator: torch.onnx.export(..., dynamo=False) "
            "writes nn.RNN as RNN; in Keras set unroll=False, and use Dense without TimeDistributed"
        )
    return node.unsupported(
        "takes frames by their position in time; of a stream only the last frame can be taken: take index -1"
    )


def gather(call: Call) -> Results:
    """Gather by constant positions."""
    data, node = call.tensor(0), call.node
    axis = data.reversed_axis(node.integer("axis", 0))
    if not isinstance(call.tensor(1), Constant):
        raise node.unsupported(
            "looks up entries by ids that vary in time; embeddings are not supported: feed the looked-up vectors"
        )
    indices = call.constant(1, "indices").elements
    if is_features(data.axes[axis]):
        return (_gather_features(call, data, axis),)
    (index, *others) = call.extents(1, "indices") or [0]
    extent = extent_of(data.axes[axis])
    if not others and indices.ndim <= 1:
        keep_axis = indices.ndim == 1
        if has_role(data.axes[axis], Role.TIME) and index in (-1, extent + -1):
            return (last_frame(call, data, axis, keep_axis),)
        if not has_role(data.axes[axis], Role.TIME) and index == 0 and not keep_axis:
            return (data.moved((*data.axes[:axis], *data.axes[axis + 1 :]), data.elements.squeeze(axis)),)
    raise _refusal(call, data.axes[axis])


def _gather_features(call: Call, data: Tensor, axis: int) -> Tensor:
    indices, width = call.array(1, "indices"), width_of(data.axes[axis])
    if indices.dtype.kind not in "iu" or indices.size == 0 or (indices < -width).any() or (indices >= width).any():
        raise call.node.malformed(f"gathers entries that do not exist on an axis of {width}")
    shape = (*data.elements.shape[:axis], *indices.shape, *data.elements.shape[axis + 1 :])
    (check_constant_shape if isinstance(data, Constant) else check_step_shape)(shape, repr(call.node))
    axes = (*data.axes[:axis], *(features(extent) for extent in indices.shape), *data.axes[axis + 1 :])
    return data.moved(axes, data.elements.take(indices.ravel(), axis).reshape(shape))


def split(call: Call) -> Results:
    """Split; sizes are an attribute before operator set 13."""
    x, node = call.tensor(0), call.node
    axis = x.reversed_axis(node.integer("axis", 0))
    if not is_features(x.axes[axis]):
        raise _refusal(call, x.axes[axis])
    width, parts = width_of(x.axes[axis]), len(node.outputs)
    sizes = call.integers(1, "split") if call.has(1) else node.integers("split")
    if node.integer("num_outputs", parts) != parts:
        raise node.malformed(f"has {parts} outputs, but its attribute num_outputs says otherwise")
    if sizes is None:
        size = -(-width // parts)
        sizes = [size] * (parts - 1) + [width - size * (parts - 1)]
    if len(sizes) != parts or sum(sizes) != width or min(sizes) < 1:
        raise node.malformed(f"splits an axis of {width} into {sizes}")
    stops = np.cumsum([0, *sizes])
    return tuple(
        x.moved(_with_axis(x, axis, features(int(b - a))), x.elements[(slice(None),) * axis + (slice(a, b),)])
        for a, b in pairwise(stops)
    )


def concat(call: Call) -> Results:
    """Concat of constants, or of streams."""
    tensors = [call.tensor(i) for i in range(len(call.inputs))]
    if not tensors:
        raise call.node.malformed("has no inputs")
    axis = tensors[0].reversed_axis(call.node.integer("axis", 1))
    for tensor in tensors:
        if tensor.rank != tensors[0].rank:
            raise call.node.malformed("joins tensors with different numbers of axes")
        if not is_features(tensor.axes[axis]):
            raise WrongAxisError(f"{call.node!r} joins tensors along time or batch: only features can be joined")
        for own, other in zip(_with_axis(tensor, axis, ()), _with_axis(tensors[0], axis, ()), strict=True):
            if own != other:
                raise call.node.unsupported(
                    f"joins tensors whose other axes differ ({_shown(tensors[0])} and {_shown(tensor)}); a last frame "
                    "or state cannot be joined with every frame"
                )
    width = sum(width_of(tensor.axes[axis]) for tensor in tensors)
    axes = _with_axis(tensors[0], axis, features(width))
    shape = tuple(width_of(part) for part in axes)
    if all(isinstance(tensor, Constant) for tensor in tensors):
        check_constant_shape(shape, repr(call.node))
        elements = np.concatenate([tensor.elements for tensor in tensors], axis)
        return (
            Constant(axes, extents_array(elements) if elements.dtype == object and elements.ndim == 1 else elements),
        )
    check_step_shape(shape, repr(call.node))
    return (_join(call, [call.stream(i) for i in range(len(tensors))], axis, axes),)


def _join(call: Call, streams: list[Stream], axis: int, axes: tuple[Axis, ...]) -> Stream:
    bases: list[str] = []
    parts = []
    for stream in streams:
        offset = sum(call.builder.size_of(base) for base in bases)
        bases.extend(stream.bases)
        parts.append(stream.elements + offset)
    if len({stream.whole for stream in streams}) > 1:
        raise call.node.unsupported("joins a last frame or state with every frame: the model needs a window")
    return Stream(axes, np.concatenate(parts, axis), bases=tuple(bases), whole=streams[0].whole)


def _with_axis(x: Tensor, axis: int, new: Axis) -> tuple[Axis, ...]:
    return (*x.axes[:axis], new, *x.axes[axis + 1 :])


def _shown(x: Tensor) -> str:
    return f"({', '.join(str(extent) for extent in x.extents)})"
