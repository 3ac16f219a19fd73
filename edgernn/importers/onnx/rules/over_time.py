"""What runs over all frames so far: means and other reductions, attention pooling, running sums.

Source: ONNX ReduceMean, ReduceSum, ReduceMax, ReduceMin, CumSum; Softmax over time where a sum over time follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.deviations import Deviations
from edgernn.importers.onnx.rules.elementwise import emit_pair
from edgernn.importers.onnx.rules.running import Function, running_reduction
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.sequence import frames_of, is_time, latched, materialize_padding
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Role, Signal, TimeSoftmax, features, has_role, width_of
from edgernn.program.operations import Reduce, RunningSoftmax


def reduced(call: Call, x: Signal, axes: list[int], function: Function, keep_axes: bool) -> Signal:
    """A reduction over any axes of x, features and time."""
    times = [axis for axis in axes if has_role(x.axes[axis], Role.TIME)]
    inner = [axis for axis in axes if axis not in times and x.axes[axis]]
    if any(has_role(x.axes[axis], Role.BATCH) for axis in axes):
        raise call.node.unsupported("reduces over the batch: export the model so that samples stay apart")
    if isinstance(x, Deviations) and x.is_squared and times:
        x = _squares(call, x)
    if isinstance(x, TimeWeighted):
        return _attention(call, x, axes, function, keep_axes)
    x = materialize_padding(call.builder, x)
    if inner:
        output = call.builder.unique(f"{call.output}:frame") if times else call.output
        x = over_features(call, x, inner, function, output)
    for axis in times:
        x = over_all_frames(call, x, axis, function, call.output)
    return x if keep_axes else _without(x, axes)


def _without(x: Signal, axes: list[int]) -> Signal:
    """The stream without axes that are 1."""
    kept = [axis for axis in range(x.rank) if axis not in axes]
    return x.moved(tuple(x.axes[axis] for axis in kept), x.elements.squeeze(tuple(axes)))


def over_features(call: Call, x: Signal, axes: list[int], function: str, output: str) -> Signal:
    """A reduction over axes of features, which stay as axes of 1.

    Where they lie beside each other, the value is read as it is: (numbers before, reduced, behind).
    """
    builder = call.builder
    kept = tuple(() if i in axes else axis for i, axis in enumerate(x.axes))
    over = [i for i in range(x.rank) if i in axes and x.elements.shape[i] > 1]
    if not over:
        return x.moved(kept, x.elements)
    between = [i for i in range(over[0], over[-1]) if i not in axes and x.elements.shape[i] > 1]
    others = [i for i in range(x.rank) if i not in over]
    elements = x.elements.transpose(over + others) if between else x.elements
    before = 1 if between else prod(x.elements.shape[: over[0]])
    rows = elements.reshape(before, prod(x.elements.shape[i] for i in over), -1)
    shape = rows.shape[int(before == 1) : 3 - int(rows.shape[2] == 1)]
    builder.emit(
        Reduce(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(x.moved(tuple(map(features, rows.shape)), rows), shape),),
            outputs=(output,),
            sources=builder.sources,
            function=function,  # type: ignore[arg-type]
            axis=int(before > 1),
        ),
        x.timing,
    )
    return Signal.of(output, kept, x.timing)


def over_all_frames(call: Call, x: Signal, axis: int, function: Function, output: str) -> Signal:
    """A reduction over time so far; the axis stays as one of 1, and the result belongs to the whole sequence."""
    if not is_time(x.axes[axis]):
        inside = [factor for factor in x.axes[axis] if factor.role is not Role.TIME]
        if len(x.axes[axis]) != 2 or has_role(tuple(inside), Role.BATCH):
            raise NeedsWindowError(f"{call.node!r} reduces over time and the batch together")
        apart = x.moved((*x.axes[:axis], tuple(inside), *x.axes[axis + 1 :]), x.elements)
        frames = over_features(call, apart, [axis], function, call.builder.unique(f"{output}:frame"))
        time = tuple(factor for factor in x.axes[axis] if factor.role is Role.TIME)
        x = frames.moved((*x.axes[:axis], time, *x.axes[axis + 1 :]), frames.elements)
    running = running_reduction(call, x, function, output if _is_plain(x) else call.builder.unique(f"{output}:running"))
    per_sequence = _as_per_sequence(call, running, axis)
    if function == "Mean":
        call.builder.findings.running_means[per_sequence.bases[0]] = (x, running)
    return per_sequence


def _squares(call: Call, x: Deviations) -> Signal:
    """What has the mean, or the sum, of squared deviations, for each frame."""
    builder, frames = call.builder, x.frames()
    means = frames_of(builder, x.mean, 2, pads=(1, 0))  # a first one that is multiplied with 0
    parts = [Signal(x.axes, part, bases=means.bases, timing=means.timing) for part in means.elements]
    before, after = (emit_pair(call, "Sub", frames, part, call.inner("deviation")) for part in parts)
    square = emit_pair(call, "Mul", before, after, call.inner("square"))
    assert isinstance(square, Signal)
    return square


def _is_plain(x: Signal) -> bool:
    return x.timing.period == 1 and not x.timing.tail_steps


def _as_per_sequence(call: Call, running: Signal, axis: int) -> Signal:
    per_sequence = running.timing.as_per_sequence()
    last = running.timed(per_sequence) if _is_plain(running) else latched(call.builder, running, per_sequence)
    return last.moved((*last.axes[:axis], (), *last.axes[axis + 1 :]), last.elements)


def cumulative_sum(call: Call, axis: int) -> Results:
    """CumSum over time, of which only the plain form streams."""
    x = call.stream(0)
    if call.node.integer("reverse", 0) or call.node.integer("exclusive", 0) or not is_time(x.axes[axis]):
        raise NeedsWindowError(f"{call.node!r} sums from the end, or without the newest frame")
    return (running_reduction(call, x, "Sum", call.output),)


# ---- attention pooling: a softmax over time, then a weighted sum over time


@dataclass(frozen=True, eq=False)
class TimeWeighted(Signal):
    """Frames, each to be multiplied with its share of a softmax over time, of the score that `scores` holds.

    `scores` has the axes of the frames; along those where it is 1, a score serves all.
    """

    is_known: ClassVar[bool] = False

    scores: Signal | None = None


def weighted(call: Call, weights: TimeSoftmax, values: Signal) -> TimeWeighted:
    """The product of a softmax over time and frames."""
    scores = replace(weights.scores(), timing=weights.timing)
    scores, values = aligned(call.builder, (scores, values), repr(call.node))
    rank = max(scores.rank, values.rank)
    axes = []
    padded = [((),) * (rank - x.rank) + x.axes for x in (scores, values)]
    for own, other in zip(*padded, strict=True):
        if own != other and own and other:
            raise call.node.malformed("weights frames of another shape than its scores")
        axes.append(own or other)
    widths = tuple(map(width_of, axes))
    scores, values = (
        x.moved(tuple(axes), np.broadcast_to(x.elements.reshape((1,) * (rank - x.rank) + x.elements.shape), widths))
        for x in (scores, values)
    )
    return TimeWeighted(values.axes, values.elements, bases=values.bases, timing=values.timing, scores=scores)


def weighted_product(call: Call, weights: TimeSoftmax, values: Signal) -> Signal:
    """``weights @ values`` of shares (..., n, time) and frames (..., time, m)."""
    shares = weights.moved((*weights.axes, ()), weights.elements[..., np.newaxis])
    axes = (*values.axes[:-2], (), *values.axes[-2:])
    frames = values.moved(axes, np.expand_dims(values.elements, -3))
    product = weighted(call, shares, frames)
    return reduced(call, product, [product.rank - 2], "Sum", False)


def _attention(call: Call, x: TimeWeighted, axes: list[int], function: Function, keep_axes: bool) -> Signal:
    """The weighted sum over time: one RunningSoftmax."""
    if function != "Sum" or len(axes) != 1 or not is_time(x.axes[axes[0]]):
        raise NeedsWindowError(f"{call.node!r} uses a softmax over time for something other than a sum over time")
    assert x.scores is not None
    builder = call.builder
    flat = x.scores.elements.ravel()  # a score for each number
    scores, groups = np.unique(flat, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    size, rest = divmod(flat.size, scores.size)
    if rest or (groups[order] != np.repeat(np.arange(scores.size), size)).any():
        raise NeedsWindowError(f"{call.node!r} weights frames with scores that serve different parts of them")
    shape = (scores.size, size)
    score_value = builder.value(
        Signal((features(scores.size),), scores, bases=x.scores.bases, timing=x.timing), (scores.size,)
    )
    by_group = x.elements.ravel()[order].reshape(shape)
    value = builder.value(Signal(tuple(map(features, shape)), by_group, bases=x.bases, timing=x.timing), shape)
    output = call.output if _is_plain(x) else builder.unique(f"{call.output}:running")
    builder.emit(
        RunningSoftmax(
            name=builder.unique_operation(call.node.name),
            inputs=(score_value, value),
            outputs=(output,),
            sources=builder.sources,
            largest=builder.hidden_states.add(f"{output}.largest", np.full(scores.size, -1e300)),
            total=builder.hidden_states.add(f"{output}.total", np.zeros(scores.size)),
            weighted=builder.hidden_states.add(f"{output}.weighted", np.zeros(flat.size)),
            groups=scores.size,
            size=size,
        ),
        x.timing,
    )
    places = np.empty(flat.size, np.int64)
    places[order] = np.arange(flat.size)
    pooled = Signal(x.axes, places.reshape(x.elements.shape), bases=(output,), timing=x.timing)
    per_sequence = _as_per_sequence(call, pooled, axes[0])
    return per_sequence if keep_axes else _without(per_sequence, axes)
