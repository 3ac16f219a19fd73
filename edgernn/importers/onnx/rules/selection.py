"""Slicing and joining: Slice, Gather, Split, Concat.

Along time, frames can be left out at the ends or by a stride, and the last ones can be taken: they are the newest while
the sequence goes on.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgernn.importers.onnx.rules.blocks import Sliding, windows_of_blocks
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.framing import cut_windows, joined_frames, split_frames
from edgernn.importers.onnx.rules.iterations import frame_of_iteration
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams import sequence
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.cached import Continued, continued
from edgernn.importers.onnx.streams.dimension import Dimension, Extent, extents_array
from edgernn.importers.onnx.streams.sequence import is_blocks, is_time, join, with_length
from edgernn.importers.onnx.streams.timing import CountsStepsError, NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Axis,
    Constant,
    Role,
    Signal,
    Tensor,
    check_constant_shape,
    check_step_shape,
    extent_of,
    features,
    has_role,
    is_features,
    width_of,
)
from edgernn.program.operations import Lookup

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
    node = call.node
    if step == 0:
        raise node.malformed("has a step of 0")
    if isinstance(start, Dimension) and start.is_of_iteration and end - start == 1:
        return frame_of_iteration(call, x, axis, start, keep_axis=True)
    if is_features(x.axes[axis]):
        if isinstance(x, Constant) and any(isinstance(edge, Dimension) and edge.is_time for edge in (start, end)):
            raise CountsStepsError(f"{node!r} takes as much of a table as the sequence is long: that counts time steps")
        if isinstance(start, Dimension) or isinstance(end, Dimension):
            raise node.unsupported("slices features by the length of the sequence")
        indices = range(*slice(start, end, step).indices(width_of(x.axes[axis])))
        if not indices:
            if not isinstance(x, Constant):
                raise node.malformed("selects nothing")
            return x.moved(_with_axis(x, axis, features(0)), x.elements.take([], axis))
        kept = slice(indices[0], None if indices[-1] + step < 0 else indices[-1] + step, step)
        elements = x.elements[(slice(None),) * axis + (kept,)]
        return x.moved(_with_axis(x, axis, features(len(indices))), elements)
    return _slice_time(call, x, axis, start, end, step)


def _slice_time(call: Call, x: Tensor, axis: int, start: Extent, end: Extent, step: int) -> Tensor:
    """Frames from `start` up to `end`; of a frozen length, what is nearer to the end counts from there."""
    extent = extent_of(x.axes[axis])
    start_counts_back, end_counts_back = (isinstance(edge, int) and -FAR < edge < 0 for edge in (start, end))
    start, stop = _position(start, extent), _position(end, extent)
    if step == 1 and start == 0 and stop == extent and not (start_counts_back and extent == 1):
        return x
    pad_end = extent - stop  # frames left out at the end
    if isinstance(x, Signal) and is_blocks(x.axes[axis]) and isinstance(start, int) and isinstance(pad_end, int):
        if step != 1:
            raise _refusal(call, x.axes[axis])
        slide = Sliding(1, 1, 1, (-start, -pad_end))
        cut = windows_of_blocks(call.builder, x, axis, slide, 0.0, repr(call.node))
        return cut.moved(cut.axes[1:], cut.elements[0])
    if step < 1 or not is_time(x.axes[axis]) or not isinstance(x, Signal):
        raise _refusal(call, x.axes[axis])
    if isinstance(x, Continued):
        return _slice_continued(x, axis, start, stop)
    last = stop - start  # frames that are taken
    if not isinstance(pad_end, int) or (isinstance(extent, int) and 2 * pad_end > extent and not end_counts_back):
        if isinstance(last, int) and last > 0 and step == 1:
            why = str(_refusal(call, x.axes[axis]))
            return sequence.out_of_reach(call.builder, x, axis, last, why)
        raise _refusal(call, x.axes[axis])
    x = sequence.materialize_padding(call.builder, x)
    x = sequence.padded(call.builder, x, axis, (0, -pad_end), 0.0)
    if last == 1:
        return last_frame(call, x, axis, keep_axis=True)
    if start_counts_back or isinstance(start, Dimension) or (isinstance(extent, int) and 2 * start > extent):
        if not isinstance(last, int) or step > 1:
            raise _refusal(call, x.axes[axis])
        return _last_frames(call, x, axis, last)
    length = -(-last // step) if isinstance(last, int) else (last + (step - 1)) // step
    return with_length(x, axis, length, x.timing.padded(-start, 0, 0.0).strided(step))


def _slice_continued(x: Continued, axis: int, start: Extent, stop: Extent) -> Tensor:
    """Of a sequence behind frames of a state: what stays in the state, or the sequence without these frames."""
    extent = extent_of(x.axes[axis])
    if stop == extent and extent - start == x.pad_begin:
        kept = x.frames_kept(axis)
        return kept.timed(kept.timing.as_per_sequence())
    if stop == extent and start == x.pad_begin:
        return x.frame(axis)
    raise x.unknown()


def _last_frames(call: Call, x: Signal, axis: int, count: int) -> Tensor:
    """The newest frames of a sequence, as features."""
    frames = sequence.frames_of(call.builder, x, count)  # taps, then the axes of x
    newest = sequence.last_frame(call.builder, frames, 1 + axis, keep_axis=False)
    order = [*range(1, axis + 1), 0, *range(axis + 1, newest.rank)]
    return newest.moved(tuple(newest.axes[i] for i in order), newest.elements.transpose(order))


def _position(index: Extent, extent: Extent) -> Extent:
    """A start or end counted from the beginning, within the extent."""
    if isinstance(index, int):
        if index >= FAR:
            return extent
        if index < 0:
            return 0 if index <= -FAR else _position_within(extent + index, extent)
    elif isinstance(extent + index, int):  # the length of a shorter sequence, counted from the end
        index = extent + index
    return _position_within(index, extent)


def _position_within(index: Extent, extent: Extent) -> Extent:
    if isinstance(index, int) and isinstance(extent, int):
        return min(max(index, 0), extent)
    return index


def last_frame(call: Call, x: Tensor, axis: int, keep_axis: bool) -> Tensor:
    """The newest frame of a sequence; of a constant that is the same throughout, any."""
    if not is_time(x.axes[axis]):
        raise _refusal(call, x.axes[axis])
    if isinstance(x, Signal):
        return sequence.last_frame(call.builder, x, axis, keep_axis)
    axes = (*x.axes[:axis], *([()] if keep_axis else []), *x.axes[axis + 1 :])
    return x.moved(axes, x.elements if keep_axis else x.elements.squeeze(axis))


def _refusal(call: Call, axis: Axis) -> Exception:
    """Why a part of the time or batch axis cannot be taken."""
    node = call.node
    if not has_role(axis, Role.TIME):
        return WrongAxisError(f"{node!r} selects along the batch axis: export the model so that samples stay apart")
    if not is_time(axis):
        return NeedsWindowError(f"{node!r} selects along an axis that mixes time with other axes")
    return NeedsWindowError(
        f"{node!r} takes frames by their position in time; in a stream only those at its end can be taken"
    )


def gather(call: Call) -> Results:
    """Gather by constant positions, or by ids that come in each step."""
    data, node = call.tensor(0), call.node
    axis = data.reversed_axis(node.integer("axis", 0))
    if not isinstance(call.tensor(1), Constant):
        return (_lookup(call, data, axis),)
    indices = call.constant(1, "indices").elements
    (first, *_) = indices.reshape(-1)[:1].tolist() or [0]
    if isinstance(first, Dimension) and first.is_of_iteration and indices.size == 1:
        return (frame_of_iteration(call, data, axis, first, keep_axis=indices.ndim == 1),)
    if is_features(data.axes[axis]):
        return (_gather_features(call, data, axis),)
    windows = cut_windows(call, data, axis, indices)
    if windows is not None:
        return (windows,)
    if indices.ndim > 1:
        raise _refusal(call, data.axes[axis])
    (index, *others) = call.extents(1, "indices") or [0]
    if not others:
        keep_axis = indices.ndim == 1
        if is_time(data.axes[axis]):
            frame = _slice_time(call, data, axis, index, index + 1 if index != -1 else FAR, 1)
            if not has_role(frame.axes[axis], Role.TIME):
                return (frame if keep_axis else _without_axis(frame, axis),)
        if not has_role(data.axes[axis], Role.TIME) and index == 0 and not keep_axis:
            return (_without_axis(data, axis),)
    raise _refusal(call, data.axes[axis])


def _lookup(call: Call, data: Tensor, axis: int) -> Tensor:
    """Rows of a constant table for the ids that a step brings."""
    builder, ids = call.builder, call.stream(1)
    if not isinstance(data, Constant) or data.elements.dtype.kind != "f" or not all(map(is_features, data.axes)):
        raise call.node.unsupported(
            "looks up entries of what varies itself, by ids that vary: only tables are supported"
        )
    table = np.moveaxis(data.elements, axis, 0)
    value = builder.value(ids, (ids.elements.size,))
    if builder.values[value].dtype != "int32":
        raise call.node.malformed("looks up entries by numbers that are no integers")
    builder.emit(
        Lookup(
            name=builder.unique_operation(call.node.name),
            inputs=(value,),
            outputs=(call.output,),
            sources=builder.sources,
            table=builder.weight(f"{call.node.name}.table", table.reshape(len(table), -1)),
        ),
        ids.timing,
    )
    others = (*data.axes[:axis], *data.axes[axis + 1 :])
    rows = Signal.of(call.output, (*ids.axes, *others), ids.timing)
    order = [*range(ids.rank, ids.rank + axis), *range(ids.rank), *range(ids.rank + axis, rows.rank)]
    return rows.moved(tuple(rows.axes[i] for i in order), rows.elements.transpose(order))


def _without_axis(x: Tensor, axis: int) -> Tensor:
    return x.moved((*x.axes[:axis], *x.axes[axis + 1 :]), x.elements.squeeze(axis))


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
    width, parts = width_of(x.axes[axis]), len(node.outputs)
    sizes = call.integers(1, "split") if call.has(1) else node.integers("split")
    if node.integer("num_outputs", parts) != parts:
        raise node.malformed(f"has {parts} outputs, but its attribute num_outputs says otherwise")
    if not is_features(x.axes[axis]):
        frames = split_frames(call, x, axis, sizes, parts)
        if frames is None:
            raise _refusal(call, x.axes[axis])
        return frames
    if sizes is None:
        size = -(-width // parts)
        sizes = [size] * (parts - 1) + [width - size * (parts - 1)]
    if len(sizes) != parts or sum(sizes) != width or min(sizes) < 0:
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
    if any(tensor.rank != tensors[0].rank for tensor in tensors):
        raise call.node.malformed("joins tensors with different numbers of axes")
    frames = joined_frames(call, tensors, axis)
    if frames is not None:
        return (frames,)
    if any(isinstance(tensor, Signal) and is_time(tensor.axes[axis]) for tensor in tensors):
        return (_join_state(call, tensors, axis) or _join_padding(call, tensors, axis),)
    streams = [tensor for tensor in tensors if isinstance(tensor, Signal)]
    if streams:
        joined = iter(aligned(call.builder, streams, repr(call.node)))
        tensors = [next(joined) if isinstance(tensor, Signal) else tensor for tensor in tensors]
    for tensor in tensors:
        if not is_features(tensor.axes[axis]):
            raise WrongAxisError(f"{call.node!r} joins tensors along time or batch: only features can be joined")
    others = [_common(call, [_with_axis(tensor, axis, ()) for tensor in tensors], i) for i in range(tensors[0].rank)]
    width = sum(width_of(tensor.axes[axis]) for tensor in tensors)
    axes = (*others[:axis], features(width), *others[axis + 1 :])
    shape = tuple(width_of(part) for part in axes)
    if not streams:
        check_constant_shape(shape, repr(call.node))
        elements = np.concatenate([tensor.elements for tensor in tensors], axis)
        return (
            Constant(axes, extents_array(elements) if elements.dtype == object and elements.ndim == 1 else elements),
        )
    check_step_shape(shape, repr(call.node))
    timing = next(tensor.timing for tensor in tensors if isinstance(tensor, Signal))
    parts = [call.builder.as_stream(tensor, timing) for tensor in tensors]
    return (join(call.builder, parts, axis, axes),)


def _common(call: Call, all_axes: list[tuple[Axis, ...]], place: int) -> Axis:
    """The axis that all have at a place; a constant may have one element for all frames or samples."""
    axes = [axes[place] for axes in all_axes]
    roles = [axis for axis in axes if not is_features(axis)]
    kept = roles[0] if roles else axes[0]
    for axis in axes:
        if axis != kept and (axis or is_features(kept)):
            raise call.node.unsupported(f"joins tensors whose other axes differ: {axis} and {kept}")
    return kept


def _join_state(call: Call, tensors: list[Tensor], axis: int) -> Signal | None:
    """A sequence behind frames that a state input holds; None where it is something else."""
    if len(tensors) != 2:
        return None
    past, x = tensors
    is_past = isinstance(past, Signal) and is_features(past.axes[axis]) and call.builder.state_inputs.can_bind(past)
    if not is_past or not isinstance(past, Signal) or not isinstance(x, Signal):
        return None
    x = sequence.materialize_padding(call.builder, x)
    others = [_common(call, [_with_axis(tensor, axis, ()) for tensor in tensors], i) for i in range(x.rank)]
    if tuple(others) != _with_axis(x, axis, ()):
        raise call.node.unsupported("joins frames of a state to a sequence with other axes")
    return continued(call.builder, past, x, axis)


def _join_padding(call: Call, tensors: list[Tensor], axis: int) -> Tensor:
    """A sequence between constants that hold one number throughout: it is padded along time."""
    streams = [i for i, tensor in enumerate(tensors) if isinstance(tensor, Signal)]
    x = tensors[streams[0]]
    constants = [tensor for tensor in tensors if isinstance(tensor, Constant)]
    numbers = np.concatenate([np.zeros(0), *(constant.elements.ravel() for constant in constants)])
    is_padding = numbers.size and all(is_features(constant.axes[axis]) for constant in constants)
    if len(streams) > 1 or not isinstance(x, Signal) or not is_padding or not (numbers == numbers[0]).all():
        raise NeedsWindowError(f"{call.node!r} joins sequences one after the other along time")
    before, after = (
        sum(width_of(tensor.axes[axis]) for tensor in part)
        for part in (tensors[: streams[0]], tensors[streams[0] + 1 :])
    )
    return sequence.padded(call.builder, x, axis, (before, after), float(numbers[0]))


def _with_axis(x: Tensor, axis: int, new: Axis) -> tuple[Axis, ...]:
    return (*x.axes[:axis], new, *x.axes[axis + 1 :])
