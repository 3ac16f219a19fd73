"""Constants along a free length: known at every frame, with no end, as ones of the shape of the sequence are.

A rule that treats each frame by itself may declare that it takes such a constant (`TAKES_TIME_CONSTANTS` in rules/),
and then it becomes a weight. To every other rule it is given as frames that come step by step, so that a running sum
counts, a causal convolution ramps at the edge, and a recurrence runs by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.dimension import Dimension, Extent
from edgernn.importers.onnx.streams.timing import CountsStepsError, NeedsWindowError, Timing
from edgernn.importers.onnx.streams.values import Constant, Role, Signal, Tensor, has_role


def is_time_constant(tensor: Tensor | None) -> bool:
    """Whether a tensor is a constant with an axis of time."""
    return isinstance(tensor, Constant) and any(has_role(axis, Role.TIME) for axis in tensor.axes)


def time_extents(tensor: Tensor) -> list[Extent]:
    """The lengths of time along the axes of a tensor."""
    return [factor.extent for axis in tensor.axes for factor in axis if factor.role is Role.TIME]


def has_frames_beside(constant: Tensor, tensors: Sequence[Tensor | None]) -> bool:
    """Whether a sequence of the same length is among the tensors, so that each frame meets the same constant."""
    lengths = time_extents(constant)
    return any(isinstance(x, Signal) and x.is_known and time_extents(x) == lengths for x in tensors)


def as_frames(builder: ProgramBuilder, constant: Constant) -> Signal:
    """A constant along time as a sequence of equal frames, each at the first step at which the sequence has it.

    Raises
    ------
    NeedsWindowError
        It has a number for each two frames, or its length is no length of a stream.
    """
    lengths = time_extents(constant)
    if len(lengths) != 1:
        raise CountsStepsError("a constant has a number for each two frames of the sequence")
    if constant.elements.dtype == object:
        raise NeedsWindowError("the length of the sequence is repeated for each of its frames, before it is known")
    timing = timing_of(lengths[0])
    numbers = constant.elements.astype(np.float64, copy=False).ravel()
    early = -(timing.first // timing.period) if timing.first < 0 else 0  # frames before the first step
    if early and numbers.size and (numbers == numbers[0]).all() and np.isfinite(numbers[0]):
        padded = replace(timing, pad_begin=early, fill=float(numbers[0]))
        return replace(builder.constant(constant, padded.real), timing=padded)
    if early:
        timing = replace(timing, first=timing.first + early * timing.period)
    return builder.constant(constant, timing)


def timing_of(length: Extent) -> Timing:
    """When the frames of a sequence of that length come, the first of them before the stream begins if need be."""
    counted = length.counted if isinstance(length, Dimension) else None
    if counted is None or counted[1] != 1:
        raise NeedsWindowError(f"a constant is {length} frames long, and a stream has no such length")
    (period, extra), _, more = counted
    extra += more * period
    return Timing(period - 1 - extra, period, extra)
