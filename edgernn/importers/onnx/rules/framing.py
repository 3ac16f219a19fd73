"""Frames cut out of a sequence by their positions, in a pattern that goes on: as windows, blocks, or each repeated.

A Reshape of (time, features) to (time / 8, 8 features) stacks frames; a Gather at (0, 1, 2, 3), (2, 3, 4, 5), ... cuts
windows; a Split into all frames, and a Concat with each of them twice, doubles the rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.dimension import Extent, divide, product
from edgernn.importers.onnx.streams.sequence import frames_of, is_time, materialize_padding, packed
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Axis,
    Factor,
    Role,
    Signal,
    Tensor,
    check_step_shape,
    extent_of,
    features,
)


@dataclass(frozen=True, eq=False)
class FrameAt(Signal):
    """One frame, by its position, of a sequence that has been split into all of them."""

    is_known: ClassVar[bool] = False

    sequence: Signal
    axis: int
    position: int

    def unknown(self) -> NeedsWindowError:
        return NeedsWindowError("frames are taken by their positions in time; in a stream only the last ones can be")


def split_frames(call: Call, x: Tensor, axis: int, sizes: list[int] | None, parts: int) -> tuple[Tensor, ...] | None:
    """All frames of a sequence of frozen length one by one; None where it is split otherwise."""
    is_all = parts > 1 and extent_of(x.axes[axis]) == parts and sizes in (None, [1] * parts)
    if not is_all or not isinstance(x, Signal) or not is_time(x.axes[axis]):
        return None
    x = materialize_padding(call.builder, x)
    axes = (*x.axes[:axis], (), *x.axes[axis + 1 :])
    return tuple(
        FrameAt(axes, x.elements, bases=x.bases, timing=x.timing, sequence=x, axis=axis, position=i)
        for i in range(parts)
    )


def joined_frames(call: Call, tensors: list[Tensor], axis: int) -> Signal | None:
    """A sequence of which each frame is there so many times; None where something else is joined."""
    frames = [tensor for tensor in tensors if isinstance(tensor, FrameAt)]
    if not frames or len(frames) < len(tensors):
        return None
    x = frames[0].sequence
    count, rest = divmod(len(frames), int(extent_of(x.axes[frames[0].axis])))  # type: ignore[arg-type]
    positions = [frame.position if frame.sequence is x and frame.axis == axis else -1 for frame in frames]
    if rest or positions != np.repeat(np.arange(len(frames) // max(count, 1)), max(count, 1)).tolist():
        raise frames[0].unknown()
    return repeated(call, x, axis, count)


def repeated(call: Call, x: Signal, axis: int, count: int) -> Signal:
    """Each frame so many times, in blocks."""
    time, *inside = x.axes[axis]
    size = x.elements.shape[axis] * count
    elements = np.repeat(x.elements, count, axis)
    check_step_shape(elements.shape, repr(call.node))
    assert len(inside) < 2
    return x.moved((*x.axes[:axis], (time, *features(size)), *x.axes[axis + 1 :]), elements)


def cut_windows(call: Call, x: Tensor, axis: int, places: NDArray[Any]) -> Signal | None:
    """Frames at positions (windows, frames) of a frozen length, where they are windows that slide to the end."""
    is_sequence = isinstance(x, Signal) and is_time(x.axes[axis]) and call.options.is_sure
    if not is_sequence or places.ndim != 2 or min(places.shape) < 2:
        return None
    assert isinstance(x, Signal)
    extent = extent_of(x.axes[axis])
    stride, dilation = int(places[1, 0] - places[0, 0]), int(places[0, 1] - places[0, 0])
    count, taps = places.shape
    span = (taps - 1) * dilation + 1
    expected = stride * np.arange(count)[:, None] + dilation * np.arange(taps)
    if not isinstance(extent, int) or min(stride, dilation) < 1 or (places != expected).any():
        return None
    if count != (extent - span) // stride + 1:
        return None
    frames = frames_of(call.builder, x, taps, dilation=dilation, stride=stride)  # (taps, *axes of x)
    axes = (*frames.axes[1 : 2 + axis], frames.axes[0], *frames.axes[2 + axis :])
    return frames.moved(axes, np.moveaxis(frames.elements, 0, 1 + axis))


def stackings(call: Call, x: Tensor, targets: list[Extent], factors: Axis) -> Iterator[tuple[int, Axis, list[Extent]]]:
    """Numbers of frames that a Reshape may stack to one, what its factors then are, and its targets without -1."""
    times = [i for i, axis in enumerate(x.axes) if is_time(axis)]
    if not isinstance(x, Signal) or len(times) != 1 or sum(factor.role is Role.TIME for factor in factors) != 1:
        return
    (time,) = x.axes[times[0]]
    if isinstance(time.extent, int) and not call.options.is_sure:
        return
    inner = product(factor.extent for axis in x.axes[times[0] + 1 :] for factor in axis)
    for target in targets:
        count = divide(target, inner) if isinstance(target, int) and target > 1 else None
        if not isinstance(count, int) or count < 2 or (isinstance(time.extent, int) and time.extent % count):
            continue
        blocks = (Factor(Role.TIME, time.extent // count), Factor(Role.FEATURE, count))
        split = tuple(part for factor in factors for part in (blocks if factor == time else (factor,)))
        others = product(target for target in targets if target != -1)
        inferred = divide(product(factor.extent for factor in split), others) if -1 in targets else 1
        if inferred is not None:
            yield count, split, [inferred if target == -1 else target for target in targets]


def stacked(builder: ProgramBuilder, x: Signal, count: int) -> Signal:
    """A sequence with so many frames stacked to one."""
    (axis,) = (i for i, axis in enumerate(x.axes) if is_time(axis))
    return packed(builder, materialize_padding(builder, x), axis, count)
