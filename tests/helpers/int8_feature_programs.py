"""Int8 programs of one operation each with random integers: everything that a program file may hold."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from programs import Programs

from edgernn.program import fixed_point
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import (
    AnyOperation,
    ArgMax,
    Dequantize,
    Int8Binary,
    Int8Compare,
    Int8GroupedDense,
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8MatMul,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Unary,
    Int8Where,
    IntegerFunction,
    Quantize,
    Rearrange,
    StateRegion,
    TopK,
)
from edgernn.program.operations.int8.products import matmul_bound
from edgernn.program.operations.int8.reductions import REFERENCE_SCALE, WEIGHT_SCALE, sum_bound
from edgernn.program.program import Program

COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor")


def program_of(
    operations: tuple[AnyOperation, ...],
    shapes: dict[str, tuple[int, ...]],
    outputs: tuple[str, ...],
    weights: dict[str, Any],
    state: tuple[StateSlot, ...] = (),
    wholes: tuple[str, ...] = (),
) -> Program:
    """Each value of `shapes` cut out of one input of counts; outputs as numbers of scale 1, `wholes` as they are."""
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    quantize = Quantize(name="in", inputs=("x",), outputs=("q",), mean="mean", inverse="inverse", counts="c", scale=1.0)
    begin, cuts = 0, []
    weights = {
        **weights,
        "mean": np.zeros(size, np.float32),
        "inverse": np.ones(size, np.float32),
        "c": np.repeat(np.array([[0], [0], [16384], [1 << 13], [14]], np.int32), size, axis=1),
    }
    for name, shape in shapes.items():
        end = begin + int(np.prod(shape))
        weights[f"cut {name}"] = np.arange(begin, end, dtype=np.int32)
        cuts.append(Rearrange(name=f"cut {name}", inputs=("q",), outputs=(name,), shape=shape, indices=f"cut {name}"))
        begin = end
    ends = tuple(Dequantize(name=f"out {name}", inputs=(name,), outputs=(f"{name} out",)) for name in outputs)
    description = ProgramDescription(
        inputs=(InputDescription("x", (size,)),),
        outputs=tuple(
            OutputDescription(f"y {name}", name if name in wholes else f"{name} out", per_frame=True)
            for name in (*outputs, *wholes)
        ),
        operations=(quantize, *cuts, *operations, *ends),
        state=state,
        arithmetic="int8",
    )
    return Program(description, weights)


def multiplier_of(rng: np.random.Generator, lowest: int = 2) -> tuple[int, int]:
    """A random multiplier and shift."""
    return int(rng.integers(1 << 14, 1 << 15)), int(rng.integers(lowest, 30))


def grouped(outputs: int, inputs: int, groups: int, bits: int, seed: int = 0, fill: int | None = None) -> Program:
    """A matrix product of each group, of two matrices."""
    rng = np.random.default_rng(seed)
    W = rng.integers(-128, 128, (outputs, inputs, groups)).astype(np.int8)
    if fill is not None:
        W[...] = fill
    shift = rng.integers(2, 31, (outputs, groups)).astype(np.int8)
    weights = {
        "W": W,
        "m": rng.integers(1 << 14, 1 << 15, (outputs, groups)).astype(np.int16),
        "s": shift,
        "B": rng.integers(-(1 << 15), 1 << 15, (outputs, groups)).astype(np.int32),
    }
    operation = Int8GroupedDense(
        name="op",
        inputs=("a",),
        outputs=("y",),
        W="W",
        W_multiplier="m",
        W_shift="s",
        B="B",
        operand_bits=bits,
        scale=1.0,
    )
    return program_of((operation,), {"a": (2, inputs, groups)}, ("y",), weights)


def matmul(batch: int, n: int, k: int, m: int, transposed: bool, bits: int, seed: int = 0) -> Program:
    """A product of two values."""
    multiplier, shift = multiplier_of(np.random.default_rng(seed))
    while matmul_bound(k, bits, shift) >= 1 << 31:
        shift += 1
    operation = Int8MatMul(
        name="op",
        inputs=("a", "b"),
        outputs=("y",),
        transposed=transposed,
        operand_bits=bits,
        multiplier=multiplier,
        shift=shift,
        scale=1.0,
    )
    shapes = {"a": (batch, n, k), "b": (batch, m, k) if transposed else (batch, k, m)}
    return program_of((operation,), shapes, ("y",), {})


def reduce(function: Any, shape: tuple[int, ...], axis: int, seed: int = 0) -> Program:
    """A reduction over an axis."""
    multiplier, shift = multiplier_of(np.random.default_rng(seed))
    while sum_bound(shape[axis], shift) >= 1 << 31:
        shift += 1
    operation = Int8Reduce(
        name="op",
        inputs=("a",),
        outputs=("y",),
        function=function,
        axis=axis,
        multiplier=multiplier,
        shift=shift,
        scale=1.0,
    )
    return program_of((operation,), {"a": shape}, ("y",), {})


def running(function: Any, size: int, seed: int = 0, count: int = 0, bits: int = 0) -> Program:
    """A reduction over time that begins after `count` frames."""
    rng = np.random.default_rng(seed)
    multiplier, shift = multiplier_of(rng, 17)
    sums = function in ("Sum", "Mean")
    begin = rng.integers(-32768, 32768, size) * (abs(count) or 1) if sums else np.zeros(size)
    weights = {"total": begin.astype(np.int64 if sums else np.int16), "count": np.array([count], np.int64)}
    state = (
        StateSlot("total", (size,), "int64" if sums else "int16", initial="total", scale=1.0),
        StateSlot("count", (1,), "int64", initial="count"),
    )
    operation = Int8RunningReduce(
        name="op",
        inputs=("a",),
        outputs=("y",),
        function=function,
        total=StateRegion("total"),
        count=StateRegion("count"),
        size=size,
        mean_bits=bits if function == "Mean" else 0,
        sum_shift=bits if function == "Sum" else 0,
        multiplier=multiplier,
        shift=shift,
        input_scale=1.0,
        scale=1.0,
    )
    return program_of((operation,), {"a": (size,)}, ("y",), weights, state)


def running_softmax(
    groups: int, size: int, octaves: float = 20.0, bits: int = 0, seed: int = 0, begin: tuple[int, ...] | None = None
) -> Program:
    """Attention pooling of scores up to so many octaves; `begin` is what reference, total and weighted begin with."""
    rng = np.random.default_rng(seed)
    multiplier, shift = fixed_point.multiplier(octaves / 8 * rng.uniform(0.5, 1.0), "a test")
    shapes = {"reference": (groups,), "total": (groups,), "weighted": (groups, size)}
    dtypes = {"reference": "int32", "total": "int64", "weighted": "int64"}
    scales = (REFERENCE_SCALE, WEIGHT_SCALE, WEIGHT_SCALE)
    weights = {}
    if begin is not None:
        weights = {
            name: np.full(shapes[name], number, dtypes[name]) for name, number in zip(shapes, begin, strict=True)
        }
    state = tuple(
        StateSlot(name, shapes[name], dtypes[name], initial=name if name in weights else None, scale=scale)
        for name, scale in zip(shapes, scales, strict=True)
    )
    operation = Int8RunningSoftmax(
        name="op",
        inputs=("a", "b"),
        outputs=("y",),
        reference=StateRegion("reference"),
        total=StateRegion("total"),
        weighted=StateRegion("weighted"),
        groups=groups,
        size=size,
        multiplier=int(multiplier),
        shift=int(shift),
        mean_bits=bits,
        input_scale=1.0,
    )
    return program_of((operation,), {"a": (groups,), "b": (groups, size)}, ("y",), weights, state)


def layer_norm(rows: int, size: int, epsilon: int, norm_bits: int, seed: int = 0, centred: bool = True) -> Program:
    """Layer normalisation."""
    rng = np.random.default_rng(seed)
    weights = {
        "m": (rng.choice([-1, 1], size) * rng.integers(1 << 14, 1 << 15, size)).astype(np.int16),
        "s": rng.integers(12, 20, size).astype(np.int8),
        "B": rng.integers(-(1 << 14), 1 << 14, size).astype(np.int32),
    }
    operation = Int8LayerNorm(
        name="op",
        inputs=("a",),
        outputs=("y",),
        epsilon=epsilon,
        norm_bits=norm_bits,
        centred=centred,
        multiplier="m",
        shift="s",
        B="B",
        scale=1.0,
    )
    return program_of((operation,), {"a": (rows, size)}, ("y",), weights)


def choices(size: int, seed: int = 0) -> Program:
    """All comparisons of a with b, and a choice by each between b and c; where the largest are."""
    rng = np.random.default_rng(seed)
    operations: list[AnyOperation] = []
    for function in COMPARISONS:
        (m0, s0), (m1, s1) = multiplier_of(rng), multiplier_of(rng)
        compared = Int8Compare(
            name=function,
            inputs=("a", "b"),
            outputs=(f"is {function}",),
            function=function,  # type: ignore[arg-type]
            multipliers=(m0, m1) if rng.random() < 0.5 else (m0, m0),
            shifts=(s0, s1) if rng.random() < 0.5 else (14, 14),
        )
        chosen = Int8Where(
            name=f"where {function}",
            inputs=(f"is {function}", "b", "c"),
            outputs=(f"chosen {function}",),
            scale=1.0,
        )
        operations += [compared, chosen]
    operations += [
        ArgMax(name="first", inputs=("a",), outputs=("first at",)),
        ArgMax(name="last", inputs=("a",), outputs=("last at",), last=True),
        ArgMax(name="least", inputs=("a",), outputs=("least at",), smallest=True),
        TopK(name="top", inputs=("b",), outputs=("top values", "top at"), k=(size + 1) // 2),
        TopK(name="low", inputs=("b",), outputs=("low values", "low at"), k=size, largest=False),
    ]
    shapes = {"a": (size,), "b": (size,), "c": (size,)}
    outputs = (*(f"chosen {function}" for function in COMPARISONS), "top values", "low values")
    wholes = ("first at", "last at", "least at", "top at", "low at")
    return program_of(tuple(operations), shapes, outputs, {}, wholes=wholes)


def near_zero(size: int, seed: int = 0) -> Program:
    """Functions by octaves, and quotients with a number of each row as the divisor."""
    rng = np.random.default_rng(seed)
    operations: list[AnyOperation] = []
    weights = {"E": rng.integers(-32767, 32768, 482).astype(np.int16)}
    for function in ("Octaves", "OddOctaves"):
        entries = IntegerFunction(function, table="E")  # type: ignore[arg-type]
        operations.append(Int8Unary(name=function, inputs=("a",), outputs=(function,), function=entries, scale=1.0))
    for shift in (2, 28, 30, 36, 46):
        multipliers, name = (multiplier_of(rng)[0],), f"quotient {shift}"
        fields: dict[str, Any] = {"multipliers": multipliers, "shifts": (shift,), "scale": 1.0}
        operations.append(Int8Binary(name=name, inputs=("a", "b"), outputs=(name,), function="Div", **fields))
    outputs = tuple(operation.outputs[0] for operation in operations)
    return program_of(tuple(operations), {"a": (2, size), "b": (2, 1)}, outputs, weights)


def log_softmax(rows: int, size: int, shift: int, seed: int = 0) -> Program:
    """Logarithm of a softmax."""
    rng = np.random.default_rng(seed)
    operation = Int8LogSoftmax(
        name="op",
        inputs=("a",),
        outputs=("y",),
        multiplier=multiplier_of(rng)[0],
        shift=shift,
        output_multiplier=multiplier_of(rng)[0],
        output_shift=15,
        scale=1.0,
    )
    return program_of((operation,), {"a": (rows, size)}, ("y",), {})


def counts_for(program: Program, steps: int, seed: int = 0) -> np.ndarray:
    """Inputs (steps, size): whole int16 of all magnitudes, and runs of the ends of the range."""
    rng = np.random.default_rng(seed)
    size = program.inputs[0].size
    spread = 2.0 ** rng.uniform(0, 16, (steps, 1))
    X = np.clip(np.rint(rng.uniform(-1, 1, (steps, size)) * spread), -32768, 32767)
    X[:3] = np.array([-32768, 32767, 0])[:, None]
    X[3] = np.where(np.arange(size) % 2, 32767, -32768)
    return X.astype(np.int64)


PROGRAMS = Programs(
    {
        "grouped-16": partial(grouped, 2, 5, 9, 16),
        "grouped-8": partial(grouped, 1, 3, 12, 8),
        "matmul": partial(matmul, 2, 2, 7, 3, False, 16),
        "matmul-transposed": partial(matmul, 1, 2, 9, 4, True, 8),
        "sum": partial(reduce, "Sum", (2, 5, 3), 1),
        "most": partial(reduce, "Min", (5, 6), 1),
        "running-mean": partial(running, "Mean", 5, count=(1 << 40) - 50, bits=7),
        "running-mean-begins": partial(running, "Mean", 5),
        "running-sum": partial(running, "Sum", 5, count=100, bits=3),
        "running-most": partial(running, "Max", 5),
        "running-softmax": partial(running_softmax, 2, 5, 8.0, bits=3),
        "running-softmax-deep": partial(running_softmax, 1, 4, 60_000.0),
        "running-softmax-full": partial(running_softmax, 1, 4, 3.0, begin=(0, (1 << 45) - 1, -(1 << 60))),
        "layer-norm": partial(layer_norm, 2, 13, 1000, 11),
        "layer-norm-epsilon": partial(layer_norm, 1, 9, 1 << 45, 9),
        "root-mean-square": partial(layer_norm, 2, 7, 50, 10, centred=False),
        "choices": partial(choices, 6),
        "near-zero": partial(near_zero, 5),
        "log-softmax": partial(log_softmax, 2, 7, 14),
        "log-softmax-wide": partial(log_softmax, 1, 20, 3),
    }
)
