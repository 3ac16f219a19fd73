"""Random programs over time: schedules, histories, running reductions, tails, loops and several outputs.

A program follows a few streams, each with a schedule, as an importer would: every operation lies on the schedule of
what it reads, convolutions pad on both sides or not, and the tail is as long as the last frame needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.encoding import RepeatHeader, nest_listed
from edgernn.program.operations import (
    EVERY_STEP,
    DelayLine,
    Dense,
    GroupedDense,
    Gru,
    PutFrame,
    ReadState,
    Rearrange,
    Reduce,
    RunningReduce,
    RunningSoftmax,
    Schedule,
    StateRegion,
    TakeFrame,
    Unary,
    WriteState,
)
from edgernn.program.program import Program


@dataclass
class Stream:
    """A value of the step and when its frames come."""

    value: str
    size: int
    when: Schedule


@dataclass
class Maker:
    """A program while it is being made."""

    random: np.random.Generator
    operations: list[Any] = field(default_factory=list)
    state: list[StateSlot] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.operations)}"

    def add(self, kind: type, inputs: tuple[str, ...], when: Schedule, **fields: Any) -> str:
        name = self.name(kind.__name__.lower())
        self.operations.append(kind(name=name, inputs=inputs, outputs=(f"{name}.y",), when=when, **fields))
        return f"{name}.y"

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = (self.random.uniform(-1, 1, shape) / np.sqrt(shape[-1])).astype(np.float32)
        return name

    def slot(self, shape: tuple[int, ...], dtype: str = "float32", initial: np.ndarray | None = None) -> StateRegion:
        name = f"s{len(self.state)}"
        if initial is not None:
            self.weights[f"{name}.initial"] = initial
        self.state.append(StateSlot(name, shape, dtype, None if initial is None else f"{name}.initial"))
        return StateRegion(name)

    def convolution(self, x: Stream) -> Stream:
        """Taps of a history, then a product: strided, dilated, padded before and behind."""
        k, dilation, stride = (int(self.random.integers(1, high)) for high in (4, 3, 4))
        span = (k - 1) * dilation
        before = int(self.random.integers(0, span + 1))
        behind = int(self.random.integers(0, span + 1))
        # frame j of the output reads frames j * stride - before ... + span of the input
        waits, period = span - before, x.when.period * stride
        first = x.when.first + waits * x.when.period
        extra = x.when.extra + (before + behind - span) * x.when.period + (stride - 1) * x.when.period
        read = Schedule(first, period, extra)
        length = span + 1 + int(self.random.integers(0, 2))
        fill = float(self.random.choice([0.0, -1.5]))
        initial = np.full((length, x.size), fill, np.float32)
        taps = self.add(
            DelayLine,
            (x.value,),
            x.when,
            ring=self.slot((length, x.size), initial=initial),
            position=self.slot((1,), "int32"),
            length=length,
            taps=k if length == span + 1 else 1,
            dilation=dilation,
            fill=fill,
            read=read,
            size=x.size,
        )
        if length != span + 1:
            k = 1
        if self.random.random() < 0.5:
            y = self.add(GroupedDense, (taps,), read, W=self.weight(1, k, x.size))
            return Stream(self.add(Reduce, (y,), read, function="Sum"), x.size, read)
        joined = self.add(Reduce, (taps,), read, function=str(self.random.choice(["Max", "Mean"])))
        size = int(self.random.integers(1, 20))
        return Stream(self.add(Dense, (joined,), read, W=self.weight(size, x.size)), size, read)

    def cell(self, x: Stream) -> Stream:
        size = int(self.random.integers(1, 9))
        fields = {"W": self.weight(3 * size, x.size), "R": self.weight(3 * size, size)}
        y = self.add(Gru, (x.value,), x.when, h=self.slot((size,)), linear_before_reset=True, **fields)
        return Stream(y, size, x.when)

    def function(self, x: Stream) -> Stream:
        function = str(self.random.choice(["Tanh", "Relu", "Sin"]))
        return Stream(self.add(Unary, (x.value,), x.when, function=function), x.size, x.when)

    def loop(self, x: Stream) -> Stream:
        """A Repeat over the features, forwards or backwards, with a cell and a loop inside of it."""
        name, reverse = self.name("repeat"), bool(self.random.integers(2))
        at = len(self.operations)
        take = self.add(TakeFrame, (x.value,), x.when, loop=name, reverse=reverse)
        hidden = self.cell(Stream(take, 1, x.when))
        inner = f"{name}.inner"
        again = self.add(Unary, (hidden.value,), x.when, function="Sin")
        self.operations.insert(-1, RepeatHeader(name=inner, inputs=(), outputs=(), when=x.when, count=3, body=1))
        total = self.add(Reduce, (again,), x.when, function="Sum")
        put = self.add(PutFrame, (total,), x.when, loop=name, count=x.size, reverse=reverse)
        body = len(self.operations) - at
        self.operations.insert(at, RepeatHeader(name=name, inputs=(), outputs=(), when=x.when, count=x.size, body=body))
        return Stream(self.add(Reduce, (put,), x.when, function="Sum", axis=1), x.size, x.when)

    def pooled(self, x: Stream) -> Stream:
        """A reduction over all frames so far, and what it is at the sequence's end."""
        function = str(self.random.choice(["Sum", "Mean", "Max", "Min", "Softmax"]))
        if function == "Softmax":
            score = self.add(Reduce, (x.value,), x.when, function="Sum")
            value = self.add(Rearrange, (x.value,), x.when, shape=(1, x.size))
            y = self.add(
                RunningSoftmax,
                (score, value),
                x.when,
                largest=self.slot((1,), "float64", np.full((1,), -1e300)),
                total=self.slot((1,), "float64"),
                weighted=self.slot((x.size,), "float64"),
                groups=1,
                size=x.size,
            )
        else:
            start = {"Max": np.full((x.size,), -1e300), "Min": np.full((x.size,), 1e300)}.get(function)
            y = self.add(
                RunningReduce,
                (x.value,),
                x.when,
                function=function,
                total=self.slot((x.size,), "float64", start),
                count=self.slot((1,), "int64"),
                size=x.size,
            )
        return self.held(Stream(y, x.size, x.when), Schedule(first=x.when.first, at_end=True))

    def held(self, x: Stream, when: Schedule) -> Stream:
        """What came last, at other steps."""
        region = self.slot((x.size,))
        name = self.name("hold")
        self.operations.append(
            WriteState(name=name, inputs=(x.value,), outputs=(), when=x.when, region=region, size=x.size)
        )
        return Stream(self.add(ReadState, (), when, region=region, shape=(x.size,), latched=True), x.size, when)


def random_program(seed: int, operations: int = 5, tail: str = "step") -> Program:
    """A program with one to three outputs, some of which have the same schedule."""
    random = np.random.default_rng(seed)
    maker = Maker(random)
    streams = [Stream("x", int(random.integers(1, 20)), EVERY_STEP)]
    size = streams[0].size
    for _ in range(operations):
        x = streams[int(random.integers(len(streams)))]
        choices = [maker.function]
        if not x.when.at_end:
            choices += [maker.convolution, maker.convolution, maker.cell, maker.loop, maker.pooled]
        streams.append(choices[int(random.integers(len(choices)))](x))
        if not x.when.at_end and random.random() < 0.2:
            streams.append(maker.held(streams[-1], EVERY_STEP) if not streams[-1].when.at_end else streams[-1])
    count = int(random.integers(1, 4))
    outputs = tuple(
        OutputDescription(
            f"y{k}",
            x.value,
            per_frame=not x.when.at_end and random.random() < 0.8,
            time_axis=int(random.integers(2)),
            when=x.when,
        )
        for k, x in enumerate(streams[-count:])
    )
    schedules = [x.when for x in streams]
    description = ProgramDescription(
        inputs=(InputDescription("x", (size,)),),
        outputs=outputs,
        state=tuple(maker.state),
        operations=nest_listed(maker.operations),
        tail_steps=max(when.tail_steps for when in schedules),
        tail=tail,
    )
    return Program(description, maker.weights)
