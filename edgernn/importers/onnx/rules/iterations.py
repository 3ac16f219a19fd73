"""The iterations of a loop: over time they are the steps of the stream, over features those of a Repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgernn.importers.onnx.graph.graph import Body
from edgernn.importers.onnx.rules.call import Call, Iterations
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.dimension import INDEX, Dimension, Extent
from edgernn.importers.onnx.streams.sequence import as_per_sequence, is_time, materialize_padding
from edgernn.importers.onnx.streams.time_constants import as_frames, time_extents
from edgernn.importers.onnx.streams.timing import EVERY_FRAME, NeedsWindowError, Timing
from edgernn.importers.onnx.streams.values import (
    Constant,
    Factor,
    Frames,
    Role,
    Signal,
    Tensor,
    axis_of,
    extent_of,
    features,
    is_features,
    width_of,
)
from edgernn.program.operations import PutFrame, Repeat, StateRegion, TakeFrame


class Loop:
    """The iterations of a loop, over time or over features, with the tensors that go from one to the next."""

    def __init__(
        self,
        call: Call,
        body: Body,
        count: Extent,
        initial: Sequence[Tensor],
        needed: Sequence[str],
        scanned: Sequence[Signal] = (),
    ) -> None:
        self.call, self.body, self.count, self.initial, self.needed = call, body, count, initial, needed
        self.builder = call.builder
        captured = [call.outer(name) for name in body.captured]
        outer = [tensor for tensor in captured if isinstance(tensor, Signal)]
        outer += [
            as_frames(self.builder, tensor)
            for tensor in captured
            if isinstance(tensor, Constant) and time_extents(tensor) == [count]
        ]
        passed = [tensor for tensor in call.inputs if isinstance(tensor, Signal)]
        streams = [*scanned, *outer, *(tensor for tensor in passed if tensor not in initial)]
        times = [x for x in streams if any(is_time(axis) and extent_of(axis) == count for axis in x.axes)]
        self.is_over_time = bool(times) and not call.options.is_window
        begun = [tensor for tensor in initial if isinstance(tensor, Signal)]
        self.builder.findings.ran_over_time |= self.is_over_time
        self.timing = self._timing(times if self.is_over_time else [*streams, *begun])
        self.start: int | None = None
        self.name: str | None = None
        if not self.is_over_time:
            self._open()
        self.iterations = Iterations(count, self.name)
        self.places: list[tuple[StateRegion, str]] = []
        self.states: list[Tensor] = []
        self.final: list[Tensor] = []
        self.state_bindings: dict[int, int] = {}

    def _timing(self, streams: Sequence[Signal]) -> Timing:
        if not streams:
            return EVERY_FRAME
        return aligned(self.builder, streams, repr(self.call.node))[0].timing

    def _open(self) -> None:
        if not isinstance(self.count, int) or self.count < 1:
            raise NeedsWindowError(f"{self.call.node!r} runs as often as the sequence is long, but not over time")
        self.name = self.builder.unique_operation(f"{self.call.node.name}:rounds")
        self.repeat = Repeat(name=self.name, inputs=(), outputs=(), sources=self.builder.sources, count=self.count)

    def run(self, bound: dict[str, Tensor], names: Sequence[str], outputs: Sequence[str]) -> Any:
        """Follow the body once; returns how to read its tensors."""
        self._begin()
        bound = {**bound, **dict(zip(names, self.states, strict=True))}
        read = self.call.run_body(self.body, bound, self.needed, self.iterations)
        for i, name in enumerate(outputs):
            self._write(i, read(name))
        return read

    def frame(self, x: Signal, axis: int, reverse: bool) -> Tensor:
        """This iteration's frame of what a Scan runs over."""
        if self.is_over_time:
            if reverse or not is_time(x.axes[axis]):
                raise NeedsWindowError(f"{self.call.node!r} reads the sequence from its end")
            return frame_of_time(materialize_padding(self.builder, x).timed(self.timing), axis, keep_axis=False)
        self._start_body()
        assert self.name is not None
        return take_frame(self.call, x.timed(self.timing), axis, self.name, reverse)

    def _start_body(self) -> None:
        if self.start is None and not self.is_over_time:
            self._begin()

    def _begin(self) -> None:
        """States, before the first operation of the body."""
        if self.states or (self.start is not None):
            return
        self.initial = [self.builder.of_one_sample(tensor) for tensor in self.initial]
        for i, tensor in enumerate(self.initial):
            self.states.append(self._over_time(i, tensor) if self.is_over_time else self._begun(i, tensor))
        if not self.is_over_time:
            self.builder.open_loop(self.repeat, self.timing)
            self.start = len(self.builder.operations)
            self.states = [self._read(state, i) for i, state in enumerate(self.states)]

    def _over_time(self, number: int, tensor: Tensor) -> Tensor:
        """A state that lasts from frame to frame."""
        if isinstance(tensor, Frames):
            return tensor
        name = f"{self._result(number)}.carried"
        if isinstance(tensor, Constant):
            dtype = self.builder.dtype_of(tensor)
            region = self.builder.hidden_states.add(name, np.asarray(tensor.elements, dtype).ravel())
        else:
            assert isinstance(tensor, Signal)
            bound = None if tensor.per_sequence else self.builder.state_inputs.bind(tensor, "")
            if bound is None:
                raise NeedsWindowError(f"{self.call.node!r} begins from what a sequence gives at its end")
            region = bound
            self.state_bindings[number] = len(self.builder.state_inputs.bindings) - 1
        self.places.append((region, name))
        return self._read(tensor, number)

    def _begun(self, number: int, tensor: Tensor) -> Tensor:
        """A state that is reset in each step."""
        if isinstance(tensor, Frames):
            return tensor
        name, size = f"{self._result(number)}.carried", tensor.elements.size
        start = tensor.timed(self.timing) if isinstance(tensor, Signal) else tensor
        flat = start.moved((features(size),), start.elements.reshape(-1))
        self.places.append((self.builder.begun_state(name, flat, size, self.timing), name))
        return tensor

    def _result(self, number: int) -> str:
        return next(filter(None, self.call.node.outputs[number:]), self.call.node.name)

    def _read(self, tensor: Tensor, number: int) -> Tensor:
        """The state at the beginning of an iteration, with the axes of what it began from."""
        if isinstance(tensor, Frames):
            return tensor
        region, name = self.places[self._place(number)]
        value = self.builder.unique(f"{name}:old")
        self.builder.read_state(
            f"read {name}",
            region,
            value,
            tensor.elements.size,
            self.timing,
            latched=not self.is_over_time,
            dtype=self.builder.dtype_of(tensor),
        )
        return Signal.of(value, tensor.axes, self.timing)

    def _place(self, number: int) -> int:
        return sum(not isinstance(tensor, Frames) for tensor in self.initial[:number])

    def _write(self, number: int, new: Tensor) -> None:
        """The state at the end of an iteration."""
        if isinstance(new, Frames):
            self.final.append(new)
            return
        stream = self.builder.as_stream(new, self.timing)
        old = self.initial[number]
        if stream.elements.size != old.elements.size:
            raise self.call.node.malformed(f"carries {old.elements.size} numbers that become {stream.elements.size}")
        region, name = self.places[self._place(number)]
        stream = materialize_padding(self.builder, stream)
        value = self.builder.value_of_any_shape(stream)
        self.builder.write_state(
            f"write {name}",
            region,
            value,
            stream.elements.size,
            self.timing,
            begins=not self.is_over_time,
            dtype=self.builder.dtype_of(old),
        )
        if number in self.state_bindings:
            place = self.state_bindings[number]
            self.builder.state_inputs.set_last(place, value)
        final = Signal.of(value, stream.axes, self.timing)
        if isinstance(old, Signal) and not self.is_over_time:
            self.builder.findings.carried.append((old, final))
        self.final.append(final)

    def last(self, number: int) -> Tensor:
        """The state after the last round."""
        final = self.final[number]
        if isinstance(final, Frames):
            if self.is_over_time or final.item is None:
                return replace(final, count=self.count)
            rows = self.collected(final.item, 0, False)
            assert isinstance(rows, Signal)
            return replace(final, count=self.count, rows=rows)
        assert isinstance(final, Signal)
        return as_per_sequence(self.builder, final) if self.is_over_time else final

    def collected(self, tensor: Tensor, place: int, reverse: bool) -> Tensor:
        """What all iterations gave, along a new axis."""
        stream = self.builder.as_stream(tensor, self.timing)
        if self.is_over_time:
            if reverse:
                raise NeedsWindowError(f"{self.call.node!r} collects frames from the last to the first")
            return in_time(stream, place, self.count)
        assert self.name is not None
        assert isinstance(self.count, int)
        return put_frame(self.call, stream, place, self.name, self.count, reverse)

    def close(self) -> None:
        """The body is complete."""
        if self.start is not None:
            self.builder.loops.close()


def frame_of_time(x: Signal, axis: int, keep_axis: bool) -> Signal:
    """The frame of this step, as a tensor without time."""
    axes = (*x.axes[:axis], *([()] if keep_axis else []), *x.axes[axis + 1 :])
    return replace(x, axes=axes, elements=x.elements if keep_axis else x.elements.squeeze(axis))


def frame_of_iteration(call: Call, x: Tensor, axis: int, index: Dimension, keep_axis: bool) -> Tensor:
    """The frame at the index of a loop's round, or of the iteration counted from the end."""
    iterations = call.iterations
    if iterations is None:
        raise call.node.malformed("reads by the iteration of a loop that is over")
    is_backward = index == iterations.count - 1 - INDEX
    if index != INDEX and not is_backward:
        raise NeedsWindowError(f"{call.node!r} reads other frames than that of the iteration")
    if iterations.repeat is None:
        if (
            is_backward
            or not isinstance(x, Signal)
            or not is_time(x.axes[axis])
            or extent_of(x.axes[axis]) != iterations.count
        ):
            raise NeedsWindowError(f"{call.node!r} reads by the number of the iteration, and a stream has no position")
        return frame_of_time(materialize_padding(call.builder, x), axis, keep_axis)
    timing = call.builder.loops.timings[iterations.repeat]
    stream = materialize_padding(call.builder, x) if isinstance(x, Signal) else call.builder.as_stream(x, timing)
    if width_of(x.axes[axis]) != iterations.count:
        raise call.node.unsupported(f"reads an axis of {width_of(x.axes[axis])} in {iterations.count} iterations")
    frame = take_frame(call, stream.timed(timing), axis, iterations.repeat, is_backward)
    if not keep_axis:
        return frame
    axes = (*frame.axes[:axis], (), *frame.axes[axis:])
    return frame.moved(axes, np.expand_dims(frame.elements, axis))


def in_time(x: Signal, place: int, count: Extent) -> Signal:
    """Frames of each step along an axis of time."""
    place %= x.rank + 1
    time = axis_of(count) if isinstance(count, Dimension) else (Factor(Role.TIME, count),)
    return replace(x, axes=(*x.axes[:place], time, *x.axes[place:]), elements=np.expand_dims(x.elements, place))


def take_frame(call: Call, x: Signal, axis: int, name: str, reverse: bool) -> Signal:
    """The frame of an iteration along an axis of features."""
    builder = call.builder
    if not is_features(x.axes[axis]):
        raise NeedsWindowError(f"{call.node!r} runs over time and over features at once")
    count = width_of(x.axes[axis])
    first = x.moved((x.axes[axis], *x.axes[:axis], *x.axes[axis + 1 :]), np.moveaxis(x.elements, axis, 0))
    size = first.elements[0].size
    rows = first.moved((features(count), features(size)), first.elements.reshape(count, size))
    value = builder.value(rows, (count, size))
    frame = builder.unique(f"{value}:frame")
    builder.emit(
        TakeFrame(
            name=builder.unique_operation(frame),
            inputs=(value,),
            outputs=(frame,),
            sources=builder.sources,
            loop=name,
            reverse=reverse,
        ),
        x.timing,
    )
    return Signal.of(frame, first.axes[1:], x.timing)


def put_frame(call: Call, x: Signal, place: int, name: str, count: int, reverse: bool) -> Signal:
    """What the iterations gave, along a new axis of features."""
    builder = call.builder
    value = builder.value(x, (x.elements.size,))
    frames = builder.unique(f"{value}:frames")
    builder.emit(
        PutFrame(
            name=builder.unique_operation(frames),
            inputs=(value,),
            outputs=(frames,),
            sources=builder.sources,
            loop=name,
            count=count,
            reverse=reverse,
        ),
        x.timing,
    )
    y = Signal.of(frames, (features(count), *x.axes), x.timing)
    place %= y.rank
    order = [*range(1, place + 1), 0, *range(place + 1, y.rank)]
    return y.moved(tuple(y.axes[i] for i in order), y.elements.transpose(order))
