"""Streams that meet: delayed, held or packed into blocks until their frames come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.dimension import Dimension, Extent, is_less
from edgernn.importers.onnx.streams.sequence import delayed, is_blocks, is_time, latched, materialize_padding, packed
from edgernn.importers.onnx.streams.timing import NeedsWindowError, Timing
from edgernn.importers.onnx.streams.values import Role, Signal, width_of


def aligned(builder: ProgramBuilder, streams: Sequence[Signal], where: str) -> list[Signal]:
    """The streams with the same timing, those that come earlier delayed; `where` names who joins them.

    Raises
    ------
    NeedsWindowError
        They cannot meet in a stream.
    """
    streams = [materialize_padding(builder, stream) for stream in streams]
    for base in (base for stream in streams for base in stream.bases):
        builder.state_inputs.check_readable(base)
    timings = [stream.timing for stream in streams]
    if len(set(timings)) < 2:
        return streams
    if any(timing.time_invariant for timing in timings):
        return _with_still(builder, streams, where)
    if not any(timing.per_sequence for timing in timings) and len({timing.period for timing in timings}) > 1:
        streams = _at_one_rate(builder, streams, where)
        timings = [stream.timing for stream in streams]
    if len({timing.per_sequence for timing in timings}) > 1:
        raise NeedsWindowError(
            f"{where} combines what belongs to the whole sequence, as a last frame does, with every frame, so it needs "
            "the end of the sequence before its beginning"
        )
    if timings[0].per_sequence:
        return _aligned_wholes(builder, streams)
    period, latest = timings[0].period, max(timing.first for timing in timings)
    extra = min(timing.extra for timing in timings)
    meeting = []
    for stream in streams:
        frames, rest = divmod(latest - stream.timing.first, period)
        shifted = delayed(builder, stream, frames)
        if rest:
            shifted = latched(builder, shifted, replace(shifted.timing, first=latest))
        meeting.append(shifted.timed(replace(shifted.timing, extra=extra)))
    return _of_one_length(meeting)


def _with_still(builder: ProgramBuilder, streams: Sequence[Signal], where: str) -> list[Signal]:
    """Streams, some of which are the same for all frames, so that they come whenever the others do."""
    moving = aligned(builder, [stream for stream in streams if not stream.timing.time_invariant], where)
    timing, waiting = moving[0].timing, iter(moving)
    return [
        next(waiting)
        if not stream.timing.time_invariant
        else latched(builder, stream, timing)
        if timing.tail_steps
        else stream.timed(timing)
        for stream in streams
    ]


def _at_one_rate(builder: ProgramBuilder, streams: Sequence[Signal], where: str) -> list[Signal]:
    """Sequences of as many frames, some in blocks: all in blocks as long as the longest, which come together."""
    period = max(stream.timing.period for stream in streams)
    steps = set()  # from one frame to the next
    for stream in streams:
        time = stream.find(Role.TIME)
        axis = () if time is None else stream.axes[time]
        if not is_time(axis) and not is_blocks(axis):
            raise NeedsWindowError(f"{where} joins sequences whose frames come at different rates")
        steps.add((stream.timing.period, width_of(axis)))
    if len({Fraction(apart, size) for apart, size in steps}) > 1 or any(period % apart for apart, _ in steps):
        raise NeedsWindowError(f"{where} joins sequences whose frames come at different rates")
    together = []
    for stream in streams:
        time = stream.find(Role.TIME)
        assert time is not None
        count = period // stream.timing.period
        together.append(stream if count == 1 else packed(builder, stream, time, count))
    return together


def _of_one_length(streams: Sequence[Signal]) -> list[Signal]:
    """Streams whose lengths must be equal where the graph is defined, as those of all but odd numbers of steps are."""
    lengths = [
        factor.extent for stream in streams for axis in stream.axes for factor in axis if factor.role is Role.TIME
    ]
    if not lengths or not all(_may_equal(lengths[0], length) for length in lengths):
        return list(streams)
    return [
        replace(
            stream,
            axes=tuple(
                tuple(replace(factor, extent=lengths[0]) if factor.role is Role.TIME else factor for factor in axis)
                for axis in stream.axes
            ),
        )
        for stream in streams
    ]


def _may_equal(a: Extent, b: Extent) -> bool:
    """Whether extents are equal for some lengths of the sequence, as T // 2 and (T + 1) // 2 are."""
    return a == b or (isinstance(a - b, Dimension) and is_less(a, b) is not True and is_less(b, a) is not True)


def _aligned_wholes(builder: ProgramBuilder, streams: Sequence[Signal]) -> list[Signal]:
    timing = Timing(
        first=max(stream.timing.first for stream in streams),
        per_sequence=True,
        tail=max(stream.timing.tail for stream in streams),
    )
    return [
        stream.timed(timing) if bool(stream.timing.tail) == bool(timing.tail) else latched(builder, stream, timing)
        for stream in streams
    ]
