"""Float programs with convolutions, pooling, norms, attention, ids and repeated parts, to be quantized."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.encoding import RepeatHeader, nest_listed
from edgernn.program.operations import (
    AnyOperation,
    ArgMax,
    Binary,
    ConstantValue,
    DelayLine,
    Dense,
    GroupedDense,
    LayerNorm,
    Lookup,
    MatMul,
    PutFrame,
    ReadState,
    Rearrange,
    Reduce,
    RunningReduce,
    Schedule,
    Softmax,
    StateRegion,
    TakeFrame,
    Unary,
    Where,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.program.trees import walk

C, T = 4, 5  # channels, frames that are looked at
EVERY_SECOND = Schedule(first=1, period=2)


def recording(steps: int = 400, channels: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(steps)[:, None]
    waves = np.sin(t * rng.uniform(0.05, 0.3, channels) + rng.uniform(0, 6, channels))
    return (waves + rng.normal(0, 0.2, (steps, channels))).astype(np.float32)


def history(name: str, source: str, size: int, length: int, fill: float = 0.0, **fields: Any) -> DelayLine:
    return DelayLine(
        name=name,
        inputs=(source,),
        outputs=(name,),
        ring=StateRegion(f"{name}.ring"),
        position=StateRegion(f"{name}.position"),
        length=length,
        taps=length,
        fill=fill,
        size=size,
        **fields,
    )


def ring(name: str, length: int, size: int, initial: str | None = None) -> tuple[StateSlot, StateSlot]:
    slots = StateSlot(f"{name}.ring", (length, size), initial=initial), StateSlot(f"{name}.position", (1,), "int32")
    return slots


def make(
    operations: tuple[AnyOperation, ...],
    state: tuple[StateSlot, ...],
    output: str,
    when: Schedule | None = None,
    inputs: tuple[InputDescription, ...] = (InputDescription("x", (3,)),),
    tail_steps: int = 0,
) -> Program:
    """Weights are random, by the shapes that their users need."""
    rng = np.random.default_rng(3)
    shapes = {
        "conv.W": (C, T * 3), "conv.B": (C,), "depth.W": (2, 3, C), "depth.B": (2, C), "head.W": (3, C),
        "two.W": (3, 2 * C), "norm.scale": (C,), "norm.bias": (C,), "q.W": (C, 3), "k.W": (C, 3), "v.W": (C, 3),
        "table": (7, C), "half": (C,), "wide.W": (C, 3), "u.W": (C, C),
    }  # fmt: skip
    names = {name for operation in walk(operations) for name in operation.weight_names()}
    names |= {slot.initial for slot in state if slot.initial is not None}
    weights = {name: rng.uniform(-1, 1, shapes[name]).astype(np.float32) for name in sorted(names) if name in shapes}
    weights |= {name: np.full((T, C), -3e38, np.float32) for name in names if name == "lowest"}
    schedule = {} if when is None else {"when": when}
    description = ProgramDescription(
        inputs=inputs,
        outputs=(OutputDescription("y", output, per_frame=True, **schedule),),
        operations=operations,
        state=state,
        tail_steps=tail_steps,
    )
    return Program(description, weights)


def convolutions() -> Program:
    """Two convolutions, the second depthwise at half the rate, and the largest and the mean of the last frames."""
    late: dict[str, Any] = {"when": EVERY_SECOND}
    operations = (
        history("h1", "x", 3, T),
        Rearrange(name="flat", inputs=("h1",), outputs=("flat",), shape=(T * 3,)),
        Dense(name="conv", inputs=("flat",), outputs=("conv",), W="conv.W", B="conv.B"),
        Unary(name="relu", inputs=("conv",), outputs=("relu",), function="Relu"),
        history("h2", "relu", C, 3, read=EVERY_SECOND),
        GroupedDense(name="depth", inputs=("h2",), outputs=("depth",), W="depth.W", B="depth.B", **late),
        Reduce(name="mean", inputs=("depth",), outputs=("mean",), function="Mean", axis=0, **late),
        history("h3", "mean", C, T, fill=-3e38, **late, read=EVERY_SECOND),
        Reduce(name="largest", inputs=("h3",), outputs=("largest",), function="Max", axis=0, **late),
        RunningReduce(
            name="average",
            inputs=("largest",),
            outputs=("average",),
            function="Mean",
            total=StateRegion("total"),
            count=StateRegion("count"),
            size=C,
            **late,
        ),
        Rearrange(name="both", inputs=("largest", "average"), outputs=("both",), shape=(2 * C,), **late),
        Dense(name="head", inputs=("both",), outputs=("y",), W="two.W", **late),
    )
    state = (
        *ring("h1", T, 3),
        *ring("h2", 3, C),
        *ring("h3", T, C, "lowest"),
        StateSlot("total", (C,), "float64"),
        StateSlot("count", (1,), "int64"),
    )
    return make(operations, state, "y", EVERY_SECOND)


def attention() -> Program:
    """A query on rings of keys and values, with a residual, a norm and a choice."""
    operations = (
        *(Dense(name=name, inputs=("x",), outputs=(name,), W=f"{name}.W") for name in "qkv"),
        history("keys", "k", C, T),
        history("values", "v", C, T),
        Rearrange(name="row", inputs=("q",), outputs=("row",), shape=(1, C)),
        MatMul(name="scores", inputs=("row", "keys"), outputs=("scores",), transposed=True),
        Softmax(name="weights", inputs=("scores",), outputs=("weights",)),
        MatMul(name="mix", inputs=("weights", "values"), outputs=("mix",)),
        Rearrange(name="flat", inputs=("mix",), outputs=("flat",), shape=(C,)),
        Binary(name="residual", inputs=("flat", "q"), outputs=("residual",), function="Add"),
        LayerNorm(name="norm", inputs=("residual",), outputs=("norm",), scale="norm.scale", bias="norm.bias"),
        Binary(name="above", inputs=("norm",), outputs=("above",), function="Greater", constant="half"),
        Unary(name="small", inputs=("norm",), outputs=("small",), function="Gelu"),
        Where(name="y", inputs=("above", "norm", "small"), outputs=("y",)),
    )
    return make(operations, (*ring("keys", T, C), *ring("values", T, C)), "y")


def ids() -> Program:
    """An embedding, a constant added, the place of the largest looked up again."""
    operations = (
        Lookup(name="embed", inputs=("id",), outputs=("frame",), table="table"),
        Rearrange(name="flat", inputs=("frame",), outputs=("flat",), shape=(C,)),
        ConstantValue(name="constant", inputs=(), outputs=("constant",), weight_name="half"),
        Binary(name="sum", inputs=("flat", "constant"), outputs=("sum",), function="Add"),
        ArgMax(name="best", inputs=("sum",), outputs=("best",)),
        Lookup(name="again", inputs=("best",), outputs=("found",), table="table"),
        Rearrange(name="end", inputs=("found",), outputs=("end",), shape=(C,)),
        Binary(name="y", inputs=("end", "sum"), outputs=("y",), function="Mul"),
    )
    return make(operations, (), "y", inputs=(InputDescription("id", (1,), "int32"),))


def repeated() -> Program:
    """A recurrence over the last frames, begun anew in every step, and the mean of its states."""
    loop = "rounds"
    operations = (
        history("frames", "x", 3, T),
        ConstantValue(name="zero", inputs=(), outputs=("zero",), weight_name="half"),
        WriteState(name="begin", inputs=("zero",), outputs=(), region=StateRegion("h"), size=C, begins=True),
        RepeatHeader(name=loop, inputs=(), outputs=(), count=T, body=8),
        TakeFrame(name="frame", inputs=("frames",), outputs=("frame",), loop=loop, reverse=True),
        ReadState(name="h", inputs=(), outputs=("h",), region=StateRegion("h"), shape=(C,)),
        Dense(name="from x", inputs=("frame",), outputs=("from x",), W="wide.W"),
        Dense(name="from h", inputs=("h",), outputs=("from h",), W="u.W"),
        Binary(name="p", inputs=("from x", "from h"), outputs=("p",), function="Add"),
        Unary(name="new", inputs=("p",), outputs=("new",), function="Tanh"),
        WriteState(name="write", inputs=("new",), outputs=(), region=StateRegion("h"), size=C),
        PutFrame(name="collect", inputs=("new",), outputs=("all",), loop=loop, count=T),
        Reduce(name="mean", inputs=("all",), outputs=("mean",), function="Mean", axis=0),
        Dense(name="head", inputs=("mean",), outputs=("y",), W="head.W"),
    )
    return make(nest_listed(operations), (*ring("frames", T, 3), StateSlot("h", (C,))), "y")


PROGRAMS = {"convolutions": convolutions, "attention": attention, "ids": ids, "repeated": repeated}


def sample(name: str) -> np.ndarray:
    if name == "ids":
        return np.random.default_rng(1).integers(0, 7, (300, 1))
    return recording()
