"""What happens to a stream along its time: windows of frames, padding, delays, the last frame, branches that meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.cached import Continued
from edgernn.importers.onnx.streams.dimension import Extent
from edgernn.importers.onnx.streams.timing import Timing
from edgernn.importers.onnx.streams.values import Axis, Factor, Role, Signal, features
from edgernn.program.operations import DelayLine, Rearrange


def frames_of(
    builder: ProgramBuilder,
    x: Signal,
    taps: int,
    *,
    dilation: int = 1,
    stride: int = 1,
    pads: tuple[int, int] = (0, 0),
    fill: float = 0.0,
    delay: int = 0,
) -> Signal:
    """Windows of `taps` frames along time, `dilation` frames apart, one every `stride` frames of the padded sequence.

    The axes of the result are the taps, oldest first, and those of x. A window comes with its newest frame, or `delay`
    frames after it.
    """
    if isinstance(x, Continued) and not delay and pads == (0, 0):
        return x.windows(taps, dilation, stride, next(i for i in range(x.rank) if is_time(x.axes[i])))
    if not x.is_known or (x.timing.is_padded and x.timing.fill != fill and pads != (0, 0)):
        x = materialize_padding(builder, x)
    timing = x.timing.padded(*pads, fill)
    fill = timing.fill if timing.is_padded else fill
    real, period, span = timing.real, timing.period, (taps - 1) * dilation + 1
    first = timing.first + period * (span - 1)
    delay = max(delay, -((first - real.first) // period))
    is_padded = timing.is_padded
    axes = tuple(
        tuple(
            Factor(Role.TIME, windows(factor.extent, span, stride, pads)) if factor.role is Role.TIME else factor
            for factor in axis
        )
        for axis in x.axes
    )
    timing = Timing(first + period * delay, period * stride, timing.extra + period * (stride - span))
    if span + delay == 1 and not is_padded:  # each frame by itself, or every so many
        return replace(x, axes=((), *axes), elements=np.expand_dims(x.elements, 0), timing=timing)
    value = builder.value(x.timed(real))
    name = builder.unique(f"{value}:history")
    ring, position = builder.hidden_states.add_ring(name, span + delay, builder.values[value], fill)
    builder.emit(
        DelayLine(
            name=builder.unique_operation(name),
            inputs=(value,),
            outputs=(name,),
            sources=builder.sources,
            ring=ring,
            position=position,
            length=span + delay,
            taps=taps,
            dilation=dilation,
            fill=fill,
            read=timing.schedule,
            size=builder.values[value].size,
            dtype=builder.values[value].dtype,
        ),
        real,
    )
    return Signal.of(name, (features(taps), *axes), timing)


def windows(extent: Extent, span: int, stride: int, pads: tuple[int, int]) -> Extent:
    """How many windows of `span` elements there are along an axis."""
    return (extent + (sum(pads) - span)) // stride + 1


def is_time(axis: Axis) -> bool:
    """Whether an axis is time and nothing else."""
    return len(axis) == 1 and axis[0].role is Role.TIME


def is_blocks(axis: Axis) -> bool:
    """Whether an axis is time in blocks of several frames, which come together."""
    return [factor.role for factor in axis] == [Role.TIME, Role.FEATURE]


def packed(builder: ProgramBuilder, x: Signal, axis: int, count: int) -> Signal:
    """A sequence, or one of blocks, in blocks that are `count` times as long; what is left at its end is lost."""
    frames = frames_of(builder, x, count, stride=count)  # (count, *axes of x)
    time, *inside = frames.axes[1 + axis]
    size = frames.elements.shape[1 + axis]
    elements = np.moveaxis(frames.elements, 0, axis)  # the frames before those of a block
    elements = elements.reshape(*x.elements.shape[:axis], count * size, *x.elements.shape[axis + 1 :])
    assert len(inside) < 2
    axes = (*frames.axes[1 : 1 + axis], (time, *features(count * size)), *frames.axes[2 + axis :])
    return frames.moved(axes, elements)


def with_length(x: Signal, axis: int, extent: Extent, timing: Timing) -> Signal:
    """The stream with another length, of blocks if it has such, and timing of its time axis."""
    axes = (*x.axes[:axis], (Factor(Role.TIME, extent), *x.axes[axis][1:]), *x.axes[axis + 1 :])
    return replace(x, axes=axes, timing=timing)


def padded(builder: ProgramBuilder, x: Signal, axis: int, pads: tuple[int, int], fill: float) -> Signal:
    """The stream with frames, or blocks, of padding before and behind along its time; negative numbers take them away.

    Frames that are taken away at the end are the newest at each step, so the others come that much later.
    """
    if x.timing.is_padded and (x.timing.fill != fill or min(pads) < 0):
        x = materialize_padding(builder, x)
    if pads[1] < 0:
        x = delayed(builder, x, x.timing.padded(*pads, fill).frames_early)
    return with_length(x, axis, x.axes[axis][0].extent + sum(pads), x.timing.padded(*pads, fill))


def materialize_padding(builder: ProgramBuilder, x: Signal) -> Signal:
    """The stream with its padding made real frames."""
    if not x.is_known:
        raise x.unknown()
    if not x.timing.is_padded:
        return x
    frames = frames_of(builder, x, 1, fill=x.timing.fill)
    return _only_tap(frames, x)


def delayed(builder: ProgramBuilder, x: Signal, frames: int) -> Signal:
    """The stream, so many frames later."""
    if frames == 0:
        return x
    return _only_tap(frames_of(builder, x, 1, delay=frames), x)


def _only_tap(frames: Signal, x: Signal) -> Signal:
    return replace(frames, axes=frames.axes[1:], elements=frames.elements[0])


def latched(builder: ProgramBuilder, x: Signal, timing: Timing) -> Signal:
    """What came last, at other steps: it is kept in a state."""
    value = builder.value(x)
    name = builder.unique(f"{value}:held")
    size, dtype = builder.values[value].size, builder.values[value].dtype
    region = builder.hidden_states.add(name, np.zeros(size, dtype))
    builder.write_state(f"hold {value}", region, value, size, x.timing, dtype=dtype)
    builder.read_state(f"read {name}", region, name, size, timing, latched=True, dtype=dtype)
    return Signal.of(name, x.axes, timing)


def last_frame(builder: ProgramBuilder, x: Signal, axis: int, keep_axis: bool) -> Signal:
    """The newest frame of a sequence, which belongs to the whole of it."""
    x = materialize_padding(builder, x)
    timing = x.timing.as_per_sequence()
    if x.timing.period > 1 or timing.tail:
        x = latched(builder, x, timing)
    axes = (*x.axes[:axis], *([()] if keep_axis else []), *x.axes[axis + 1 :])
    return replace(x, axes=axes, elements=x.elements if keep_axis else x.elements.squeeze(axis), timing=timing)


def join(builder: ProgramBuilder, streams: Sequence[Signal], place: int, axes: tuple[Axis, ...]) -> Signal:
    """Streams of one timing one after the other along an axis; the result has the axes `axes`."""
    bases: list[str] = []
    parts = []
    for stream in streams:
        offset = sum(builder.size_of(base) for base in bases)
        bases.extend(stream.bases)
        parts.append(stream.elements + offset)
    return Signal(axes, np.concatenate(parts, place), bases=tuple(bases), timing=streams[0].timing)


def as_per_sequence(builder: ProgramBuilder, x: Signal) -> Signal:
    """The last of what comes with each frame, which belongs to the whole sequence."""
    timing = x.timing.as_per_sequence()
    return latched(builder, x, timing) if x.timing.period > 1 or timing.tail else x.timed(timing)


def out_of_reach(builder: ProgramBuilder, x: Signal, axis: int, count: int | None, why: str) -> Signal:
    """Frames that a stream does not have any more, or not yet: only their shape is right.

    `count` frames stand in place of the axis of time; None for one frame without that axis.
    """
    x = materialize_padding(builder, x)
    source = builder.value(x)
    name = builder.unique(f"{source}:out_of_reach")
    frames = 1 if count is None else count
    indices = np.tile(np.arange(builder.values[source].size), frames)
    builder.emit(
        Rearrange(
            name=builder.unique_operation(name),
            inputs=(source,),
            outputs=(name,),
            sources=builder.sources,
            shape=(indices.size,),
            indices=builder.weight(f"{name}.indices", indices, "int32"),
        ),
        x.timing,
    )
    builder.deferred_errors.add(name, why)
    axes = (*x.axes[:axis], *([] if count is None else [features(count)]), *x.axes[axis + 1 :])
    return Signal.of(name, axes, x.timing.as_per_sequence())
