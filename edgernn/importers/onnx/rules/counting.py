"""Constants that count the frames of a sequence, and its length, as signals: a stream counts as it goes.

A running mean is written as a running sum over 1, 2, 3, ..., and an unbiased variance multiplies by T / (T - 1).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.rules.running import running_reduction
from edgernn.importers.onnx.streams.dimension import Dimension
from edgernn.importers.onnx.streams.sequence import as_per_sequence, is_time
from edgernn.importers.onnx.streams.timing import Timing
from edgernn.importers.onnx.streams.values import Axis, Constant, Signal, Tensor
from edgernn.program.operations import Binary, RunningReduce, Unary

MIN_COUNT = 4  # numbers that are seen to count


def counted(call: Call, constant: Constant, x: Signal) -> Tensor:
    """The constant that meets x, as a signal where it counts the frames of x, or is a length; else as it is."""
    if constant.elements.dtype == object:
        return _length(call, constant, x)
    axes = x.axes[max(0, x.rank - constant.rank) :]
    times = [i for i, axis in enumerate(axes, start=constant.rank - len(axes)) if is_time(axis)]
    numbers = constant.elements
    if len(times) != 1 or numbers.size < MIN_COUNT or numbers.size != numbers.shape[times[0]]:
        return constant
    row = numbers.ravel().astype(float)
    for is_reciprocal in (False, True):
        with np.errstate(divide="ignore"):
            counts = np.rint(1 / row) if is_reciprocal else row
        start, step = counts[0], counts[1] - counts[0]
        exact = start + step * np.arange(row.size)
        with np.errstate(divide="ignore"):
            expected = 1 / exact if is_reciprocal else exact
        if step and np.isfinite(counts).all() and (expected.astype(numbers.dtype) == numbers.ravel()).all():
            if not call.options.any_length and not ((start, step) == (1.0, 1.0) and _is_running_sum(call, x)):
                return constant
            time = x.axes[x.rank - constant.rank + times[0]]
            all_axes = tuple(time if i == times[0] else () for i in range(constant.rank))
            return _count(call, all_axes, x.timing, step, start - step, is_reciprocal)
    return constant


def _is_running_sum(call: Call, x: Signal) -> bool:
    writers = (by for by in call.builder.operations if isinstance(by, RunningReduce) and by.outputs == x.bases)
    return not x.per_sequence and any(by.function == "Sum" for by in writers)


def _length(call: Call, constant: Constant, x: Signal) -> Tensor:
    """A number of frames of the sequence so far, in proportion and so many more; there is none before it is above 0."""
    extent = constant.elements.ravel()[0] if constant.elements.size == 1 else None
    if not isinstance(extent, Dimension) or extent.counted is None or x.timing.tail or not x.per_sequence:
        return constant
    unknown, times, more = extent.counted
    axes: tuple[Axis, ...] = ((),) * constant.rank
    timing = Timing(unknown.period - 1 - unknown.extra, unknown.period, unknown.extra)  # each when it is complete
    length = as_per_sequence(call.builder, _count(call, axes, timing, times, more, False))
    least = -((more - 1) // times) if times > 0 else 1  # frames of which it is one at least
    waited = unknown.period * max(0, least - 1)
    return length.timed(replace(length.timing, first=length.timing.first + waited))


def _count(
    call: Call, axes: tuple[Axis, ...], timing: Timing, step: float, start: float, is_reciprocal: bool
) -> Signal:
    """``start + step n`` for the n-th frame, counted from 1."""
    builder = call.builder
    one = builder.constant(Constant.of(np.ones(1, np.float32), f"{call.output}:one"), timing)
    y = running_reduction(call, one, "Sum", call.inner("count"))
    for function, number, neutral in (("Mul", step, 1.0), ("Add", start, 0.0)):
        if number == neutral:
            continue
        name = call.inner("counted")
        builder.emit(
            Binary(
                name=builder.unique_operation(call.node.name),
                inputs=(builder.value(y, (1,)),),
                outputs=(name,),
                sources=builder.sources,
                function=function,  # type: ignore[arg-type]
                constant=builder.weight(f"{call.node.name}.count", np.full(1, number, np.float32)),
            ),
            timing,
        )
        y = Signal.of(name, ((),), timing)
    if is_reciprocal:
        name = call.inner("share")
        builder.emit(
            Unary(
                name=builder.unique_operation(call.node.name),
                inputs=(builder.value(y, (1,)),),
                outputs=(name,),
                sources=builder.sources,
                function="Reciprocal",
            ),
            timing,
        )
        y = Signal.of(name, ((),), timing)
    return y.moved(axes, y.elements.reshape((1,) * len(axes)))
