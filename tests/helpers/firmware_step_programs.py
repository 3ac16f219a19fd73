"""Float programs for the firmware tests: what happens in time, in loops, and over many numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import numpy as np
from firmware_programs import int8_cell
from programs import Programs
from small_programs import cell_parts, uniform

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot, Window
from edgernn.program.encoding import RepeatHeader, nest_listed
from edgernn.program.operations import (
    EVERY_STEP,
    ArgMax,
    Binary,
    ConstantValue,
    Convert,
    DelayLine,
    Dense,
    GroupedDense,
    Int8Gru,
    LayerNorm,
    Lookup,
    MatMul,
    PutFrame,
    ReadState,
    Rearrange,
    Reduce,
    RunningReduce,
    RunningSoftmax,
    Schedule,
    StateRegion,
    TakeFrame,
    TopK,
    Unary,
    Where,
    WriteState,
)
from edgernn.program.program import Program

WHOLE_FUNCTIONS = ("Sign", "Floor", "Ceil", "Round", "Not")
COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor")


class Builder:
    """Collects a program's parts."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.operations: list[Any] = []  # listed, as in a file
        self.weights: dict[str, np.ndarray] = {}
        self.slots: list[StateSlot] = []
        self.outputs: list[OutputDescription] = []

    def add(self, kind: Any, name: str, *inputs: str, outputs: tuple[str, ...] | None = None, **fields: Any) -> str:
        """An operation with one output of its own name; weights given as arrays are kept."""
        for field, content in list(fields.items()):
            if isinstance(content, np.ndarray):
                self.weights[f"{name}.{field}"] = content
                fields[field] = f"{name}.{field}"
        names = (name,) if outputs is None else outputs
        self.operations.append(kind(name=name, inputs=inputs, outputs=names, **fields))
        return name

    def state(self, name: str, *shape: int, dtype: str = "float32", initial: float = 0.0) -> StateRegion:
        """A slot, and the region that is all of it."""
        if initial:
            self.weights[f"{name}.initial"] = np.full(shape, initial, dtype)
        self.slots.append(StateSlot(name, shape, dtype, f"{name}.initial" if initial else None))
        return StateRegion(name)

    def history(self, name: str, x: str, length: int, size: int, **fields: Any) -> str:
        """A ring."""
        dtype = fields.get("dtype", "float32")
        scale = fields.get("scale")
        slot = StateSlot(f"{name}.ring", (length, size), dtype, scale=scale)
        if fields.get("int8_storage"):
            slot = msgspec.structs.replace(slot, dtype="int8", scale=256 * scale)
        self.slots.append(slot)
        position = self.state(f"{name}.position", 1, dtype="int32")
        ring = StateRegion(slot.name)
        return self.add(DelayLine, name, x, ring=ring, position=position, length=length, size=size, **fields)

    def convolution(self, name: str, x: str, size: int, rows: int, read: Schedule, **fields: Any) -> str:
        """A ring, and a matrix over its taps."""
        taps = fields.setdefault("taps", 3)
        length = fields.pop("length", (taps - 1) * fields.get("dilation", 1) + 1)
        self.history(f"{name}.taps", x, length, size, read=read, **fields)
        self.add(Rearrange, f"{name}.flat", f"{name}.taps", shape=(taps * size,), when=read)
        W = uniform(self.rng, (rows, taps * size), 0.5)
        return self.add(Dense, name, f"{name}.flat", W=W, B=uniform(self.rng, (rows,), 0.5), when=read)

    def mean(self, name: str, x: str, size: int, when: Schedule, function: str = "Mean", initial: float = 0.0) -> str:
        """A reduction over time."""
        total = self.state(f"{name}.total", size, dtype="float64", initial=initial)
        count = self.state(f"{name}.count", 1, dtype="int64")
        return self.add(RunningReduce, name, x, function=function, total=total, count=count, size=size, when=when)

    def give(self, value: str, when: Schedule = EVERY_STEP, per_frame: bool = True, **fields: Any) -> None:
        """An output of its value's name."""
        self.outputs.append(OutputDescription(f"{value}_out", value, per_frame, when=when, **fields))

    def program(self, *sizes: int, dtype: str = "float32", **fields: Any) -> Program:
        """The program of inputs x, x1, ..."""
        inputs = tuple(InputDescription(f"x{k or ''}", (size,), dtype) for k, size in enumerate(sizes))
        description = ProgramDescription(
            inputs=inputs,
            outputs=tuple(self.outputs),
            state=tuple(self.slots),
            operations=nest_listed(self.operations),
            **fields,
        )
        return Program(description, self.weights)


def elements_program() -> Program:
    """Functions that jump, on numbers of few digits; sines of large numbers; remainders, comparisons, conversions."""
    b = Builder()
    b.add(Binary, "halves", "x", function="Mul", constant=np.array(64.0, np.float32))
    b.add(Unary, "whole", "halves", function="Round")
    b.add(Binary, "near", "whole", function="Mul", constant=np.array(0.5, np.float32))  # halves and whole numbers
    b.add(Binary, "small", "near", function="Div", constant=np.array(16.0, np.float32))
    for function in WHOLE_FUNCTIONS:
        b.give(b.add(Unary, function, "near", function=function))
    b.add(Rearrange, "turned", "near", shape=(4,), indices=np.array([1, 2, 3, 0], np.int32))
    for function in COMPARISONS:
        b.give(b.add(Binary, function, "near", "turned", function=function))
    b.add(Binary, "above", "turned", function="Add", constant=np.array(0.25, np.float32))
    b.give(b.add(Binary, "Mod", "halves", "above", function="Mod"))
    b.give(b.add(Where, "chosen", "Less", "near", "turned"))
    b.add(Convert, "integers", "near", dtype="int32")
    b.give("integers")
    b.give(b.add(Convert, "floats", "integers", dtype="float32"))
    b.add(Binary, "large", "halves", function="Mul", constant=np.array([1.0, 2.0**10, 2.0**23, 2.0**60], np.float32))
    b.give(b.add(Unary, "Sin", "large", function="Sin"))
    b.give(b.add(Unary, "Cos", "large", function="Cos"))
    return b.program(4)


def reductions_program() -> Program:
    """Over features: every reduction along every axis, norms, where the largest are, products of all kinds."""
    b = Builder(1)
    b.add(Dense, "mix", "x", W=uniform(b.rng, (24, 3), 1.0))
    b.add(Rearrange, "cube", "mix", shape=(2, 4, 3))
    for number, function in enumerate(("Sum", "Mean", "Max", "Min", "Prod")):
        b.give(b.add(Reduce, function, "cube", function=function, axis=number % 3))
    b.give(b.add(Reduce, "all", "mix", function="Mean"))
    scale, bias = uniform(b.rng, (3,), 2.0), uniform(b.rng, (3,), 1.0)
    b.give(b.add(LayerNorm, "norm", "cube", scale=scale, bias=bias))
    b.give(b.add(LayerNorm, "plain", "mix", epsilon=1e-3))
    b.give(b.add(LayerNorm, "by size", "cube", scale=scale, centred=False))
    for last in (False, True):
        for smallest in (False, True):
            b.give(b.add(ArgMax, f"arg{last}{smallest}", "cube", last=last, smallest=smallest))
    for largest in (True, False):
        b.add(TopK, f"top{largest}", "cube", outputs=(f"top{largest}", f"at{largest}"), k=2, largest=largest)
        b.give(f"top{largest}")
        b.give(f"at{largest}")
    b.give(b.add(GroupedDense, "grouped", "cube", W=uniform(b.rng, (2, 4, 3), 1.0), B=uniform(b.rng, (2, 3), 1.0)))
    b.give(b.add(GroupedDense, "depthwise", "cube", W=uniform(b.rng, (1, 4, 3), 1.0)))
    b.add(Rearrange, "other", "mix", shape=(2, 3, 4))
    b.give(b.add(MatMul, "product", "cube", "other"))
    b.give(b.add(MatMul, "scores", "cube", "norm", transposed=True))
    return b.program(3)


def ids_program() -> Program:
    """Integer inputs: rows of a table, and a ring of ids."""
    b = Builder(2)
    b.history("ids", "x", 5, 2, dtype="int32", taps=3, dilation=2, fill=1.0)
    table = uniform(b.rng, (7, 3), 1.0)
    b.add(Lookup, "rows", "ids", table=table)
    b.give(b.add(Rearrange, "turned", "rows", shape=(18,), indices=np.arange(18, dtype=np.int32)[::-1].copy()))
    b.add(ConstantValue, "positions", weight_name=uniform(b.rng, (18,), 1.0))
    b.give(b.add(Binary, "sum", "turned", "positions", function="Add"))
    b.give("ids")
    return b.program(2, dtype="int32")


def running_program() -> Program:
    """Over time, since the reset: sums, means, extremes, and attention pooling whose scores rise."""
    b = Builder(3)
    for function, initial in (("Sum", 0.0), ("Mean", 0.0), ("Max", -1e300), ("Min", 1e300)):
        b.give(b.mean(function, "x", 4, EVERY_STEP, function, initial))
    b.add(Dense, "scores", "x", W=uniform(b.rng, (2, 4), 4.0))
    b.add(Dense, "wide", "x", W=uniform(b.rng, (6, 4), 1.0))
    b.add(Rearrange, "values", "wide", shape=(2, 3))
    regions = {
        "largest": b.state("largest", 2, dtype="float64", initial=-1e300),
        "total": b.state("total", 2, dtype="float64"),
        "weighted": b.state("weighted", 2, 3, dtype="float64"),
    }
    b.give(b.add(RunningSoftmax, "pooled", "scores", "values", groups=2, size=3, **regions))
    return b.program(4)


def delayed_program(tail: str = "step") -> Program:
    """Symmetric convolutions in a row, a delayed copy beside them, and the mean of all their frames."""
    b = Builder(4)
    first, second = Schedule(first=1), Schedule(first=3)
    b.convolution("a", "x", 2, 3, first)
    b.add(Unary, "relu", "a", function="Tanh", when=first)
    b.convolution("b", "relu", 3, 2, second, dilation=2, when=first, fill=0.5)
    b.history("late", "x", 4, 2, read=second)
    b.add(Rearrange, "late.flat", "late", shape=(2,), when=second)
    b.add(Binary, "sum", "b", "late.flat", function="Add", when=second)
    b.give("sum", second)
    b.mean("mean", "sum", 2, second)
    whole = Schedule(first=1, at_end=True)
    b.add(Dense, "head", "mean", W=uniform(b.rng, (3, 2), 1.0), when=whole)
    b.give("head", whole, per_frame=False)
    return b.program(2, tail_steps=3, tail=tail)


def padded_program() -> Program:
    """More frames than steps: padding behind the end, and none that is waited for."""
    b = Builder(11)
    when = Schedule(extra=2)
    b.convolution("y", "x", 2, 2, when, fill=-0.5)
    b.give("y", when)
    return b.program(2, tail_steps=2)


def strided_program() -> Program:
    """Outputs of several rates: in each step, in every third behind a delay, and two frames in every sixth."""
    b = Builder(5)
    slow, slower = Schedule(first=2, period=3, extra=2), Schedule(first=5, period=6, extra=2)
    b.add(Dense, "mixed", "x", W=uniform(b.rng, (2, 2), 1.0))
    b.convolution("fast", "mixed", 2, 2, EVERY_STEP)
    b.give("fast")
    b.convolution("slow", "x", 2, 3, slow, taps=4)
    b.give("slow", slow)
    b.convolution("slower", "slow", 3, 4, slower, taps=2, when=slow)
    b.add(Rearrange, "pairs", "slower", shape=(2, 2), when=slower)
    b.give("pairs", slower, frames=2)
    return b.program(2, tail_steps=3)


def looped_program() -> Program:
    """A window whose frames are kept: a cell runs over them forwards and one backwards, and rows within rows."""
    b = Builder(6)
    due = Schedule(first=4, period=3, extra=-2)
    b.history("frames", "x", 5, 2, taps=5, read=due)
    for name, reverse in (("forward", False), ("backward", True)):
        cell, weights, slots = cell_parts("gru", f"{name}.cell", f"{name}.x", 2, 4, b.rng)
        b.weights |= weights
        b.slots += slots
        region = StateRegion(slots[0].name)
        b.add(ConstantValue, f"{name}.zero", weight_name=np.zeros(4, np.float32), when=due)
        b.add(WriteState, f"{name}.begin", f"{name}.zero", outputs=(), region=region, size=4, begins=True, when=due)
        b.add(RepeatHeader, f"{name}.loop", outputs=(), count=5, body=3, when=due)
        b.add(TakeFrame, f"{name}.x", "frames", loop=f"{name}.loop", reverse=reverse, when=due)
        b.operations.append(msgspec.structs.replace(cell, when=due))
        b.add(PutFrame, f"{name}.all", f"{name}.cell.y", loop=f"{name}.loop", count=5, reverse=reverse, when=due)
    b.add(Rearrange, "joined", "forward.all", "backward.all", shape=(2, 5, 4), when=due)
    b.add(RepeatHeader, "outer", outputs=(), count=2, body=6, when=due)
    b.add(TakeFrame, "half", "joined", loop="outer", when=due)
    b.add(RepeatHeader, "inner", outputs=(), count=5, body=3, when=due)
    b.add(TakeFrame, "row", "half", loop="inner", reverse=True, when=due)
    b.add(Dense, "head", "row", W=uniform(b.rng, (3, 4), 1.0), when=due)
    b.add(PutFrame, "heads", "head", loop="inner", count=5, when=due)
    b.add(PutFrame, "whole", "heads", loop="outer", count=2, when=due)
    b.give("whole", due)
    b.give("joined", due)
    return b.program(2, window=Window(5, 3, recomputed=True))


def held_program() -> Program:
    """A state that is written every other step, and read in each."""
    b = Builder(7)
    other = Schedule(first=1, period=2)
    region = b.state("held", 2)
    b.add(WriteState, "write", "x", outputs=(), region=region, size=2, when=other)
    b.add(ReadState, "read", region=region, shape=(2,), latched=True)
    b.give(b.add(Unary, "y", "read", function="Sigmoid"))
    return b.program(2)


def subframes_program() -> Program:
    """A sequence inside of each frame: a cell runs over its parts, from the state that the frame before left."""
    b = Builder(8)
    cell, weights, slots = cell_parts("rnn", "cell", "part", 2, 3, b.rng)
    b.weights |= weights
    b.slots += slots
    b.add(Rearrange, "parts", "x", shape=(4, 2))
    b.add(RepeatHeader, "loop", outputs=(), count=4, body=3)
    b.add(TakeFrame, "part", "parts", loop="loop")
    b.operations.append(cell)
    b.add(PutFrame, "all", "cell.y", loop="loop", count=4)
    b.add(LayerNorm, "norm", "all")
    b.give("norm", per_frame=False)
    return b.program(8)


def pairs_program() -> Program:
    """Two frames of output in each step, and an output of the whole sequence so far, from the fourth step on."""
    b = Builder(9)
    b.convolution("both", "x", 2, 4, EVERY_STEP)
    b.add(Rearrange, "pair", "both", shape=(2, 2))
    b.give("pair", frames=2)
    b.mean("mean", "both", 4, EVERY_STEP)
    whole = Schedule(first=3, at_end=True)
    b.give(b.add(Unary, "head", "mean", function="Sigmoid", when=whole), whole, per_frame=False)
    return b.program(2)


def integer_program(operands: str) -> Program:
    """An integer cell that runs over a kept window from a constant state; every movement of integers but ids."""
    whole = int8_cell("gru", operands)
    quantized, cell, head, softmax, dequantize = whole.operations
    assert isinstance(cell, Int8Gru)
    scale, due = whole.values[quantized.outputs[0]].scale, Schedule(first=4, period=3, extra=-2)
    b = Builder(10)
    b.weights = dict(whole.weights)
    b.operations = [quantized]
    b.slots = [StateSlot("h", (8,), "int16", scale=cell.scale), StateSlot("copy", (8,), "int16", scale=cell.scale)]
    ring = {"fill": 300.0, "dtype": "int16", "scale": scale, "int8_storage": operands == "w8a8"}
    b.history("frames", quantized.outputs[0], 5, 3, taps=5, read=due, **ring)
    state: dict[str, Any] = {"region": StateRegion("h"), "dtype": "int16", "scale": cell.scale}
    begin = b.rng.integers(-9999, 9999, 8).astype(np.int16)
    b.add(ConstantValue, "begin", weight_name=begin, dtype="int16", scale=cell.scale, when=due)
    b.add(WriteState, "write", "begin", outputs=(), size=8, begins=True, when=due, **state)
    b.add(RepeatHeader, "loop", outputs=(), count=5, body=3, when=due)
    b.add(TakeFrame, "frame", "frames", loop="loop", reverse=True, when=due)
    b.operations.append(msgspec.structs.replace(cell, inputs=("frame",), h=StateRegion("h"), when=due))
    b.add(PutFrame, "all", *cell.outputs, loop="loop", count=5, reverse=True, when=due)
    first = np.arange(8, dtype=np.int32)
    b.add(Rearrange, "first", "all", shape=(8,), indices=first, when=due)
    state["region"] = StateRegion("copy")
    b.add(WriteState, "keep", "first", outputs=(), size=8, when=due, **state)
    b.add(ReadState, "kept", shape=(8,), latched=True, **state)
    b.operations += [msgspec.structs.replace(head, inputs=("kept",)), softmax, dequantize]
    b.outputs = [OutputDescription("y", *dequantize.outputs, True), OutputDescription("h", "all", False, when=due)]
    return b.program(3, arithmetic="int8")


def windowed(program: Program, steps: int, hop: int) -> Program:
    """The program on staggered windows."""
    return program.with_window(steps, hop)


def alone(program: Program, *outputs: int) -> Program:
    """The program with some of its outputs only."""
    chosen = tuple(program.description.outputs[number] for number in outputs)
    return Program(msgspec.structs.replace(program.description, outputs=chosen), program.weights)


PROGRAMS = Programs(
    {
        "elements": elements_program,
        "reductions": reductions_program,
        "ids": ids_program,
        "running": running_program,
        "delayed": delayed_program,
        "delayed_flush": lambda: delayed_program("flush"),
        "delayed_frames": lambda: alone(delayed_program(), 0),
        "delayed_whole": lambda: alone(delayed_program(), 1),
        "padded": padded_program,
        "strided": strided_program,
        "strided_pairs": lambda: alone(strided_program(), 2),
        "looped": looped_program,
        "held": held_program,
        "subframes": subframes_program,
        "pairs": pairs_program,
        "pairs_alone": lambda: alone(pairs_program(), 0),
        "window_subframes": lambda: windowed(subframes_program(), 6, 2),
        "window_delayed": lambda: windowed(delayed_program(), 7, 3),
        "window_strided": lambda: windowed(strided_program(), 12, 5),
        "window_of_one": lambda: windowed(running_program(), 1, 1),
    }
)

INTEGER_PROGRAMS = Programs({operands: partial(integer_program, operands) for operands in ("w8a16", "w8a8")})
