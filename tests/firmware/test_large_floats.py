"""Sums and products of the largest finite numbers: C gives what the compiled kernels give, and never a NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from firmware_step_programs import Builder
from small_programs import uniform

from edgernn.program.operations import (
    EVERY_STEP,
    Dense,
    GroupedDense,
    LayerNorm,
    MatMul,
    Rearrange,
    Reduce,
    RunningSoftmax,
)
from edgernn.program.program import Program
from edgernn.runtime.runner import Runner
from firmware_export import export
from firmware_export.emulators import Emulator
from firmware_export.golden import Golden
from firmware_export.verify import open_export, verify

MAX_INPUT = np.float32(3.4e38)
STEPS = 40


def grouped(b: Builder) -> None:
    b.add(Rearrange, "cube", "x", shape=(4, 3))
    b.give(b.add(GroupedDense, "y", "cube", W=uniform(b.rng, (2, 4, 3), 2.0), B=uniform(b.rng, (2, 3), 1e38)))


def matmul(b: Builder, transposed: bool) -> None:
    half = np.arange(6, dtype=np.int32)
    b.add(Rearrange, "a", "x", shape=(2, 3), indices=half)
    b.add(Rearrange, "b", "x", shape=(2, 3) if transposed else (3, 2), indices=half + 6)
    b.give(b.add(MatMul, "y", "a", "b", transposed=transposed))


def reduce(b: Builder, function: str, axis: int) -> None:
    b.add(Rearrange, "square", "x", shape=(4, 3))
    b.give(b.add(Reduce, "y", "square", function=function, axis=axis))


def layer_norm(b: Builder) -> None:
    b.give(b.add(LayerNorm, "y", "x", scale=uniform(b.rng, (12,), 1.0), bias=uniform(b.rng, (12,), 1.0)))


def running(b: Builder, function: str) -> None:
    b.give(b.mean("y", "x", 12, EVERY_STEP, function))


def pooling(b: Builder) -> None:
    b.add(Dense, "scores", "x", W=uniform(b.rng, (2, 12), 1e-38))
    b.add(Rearrange, "values", "x", shape=(2, 6))
    regions = {
        "largest": b.state("largest", 2, dtype="float64", initial=-1e300),
        "total": b.state("total", 2, dtype="float64"),
        "weighted": b.state("weighted", 2, 6, dtype="float64"),
    }
    b.give(b.add(RunningSoftmax, "pooled", "scores", "values", groups=2, size=6, **regions))


FORMS: dict[str, Callable[[Builder], None]] = {
    "grouped": grouped,
    "matmul": lambda b: matmul(b, False),
    "matmul-transposed": lambda b: matmul(b, True),
    **{
        f"{function}-{axis}": lambda b, function=function, axis=axis: reduce(b, function, axis)  # type: ignore[misc]
        for function, axis in (("Sum", 0), ("Mean", 0), ("Mean", 1), ("Prod", 0), ("Max", 1))
    },
    "layer-norm": layer_norm,
    "running-sum": lambda b: running(b, "Sum"),
    "running-mean": lambda b: running(b, "Mean"),
    "pooling": pooling,
}


def program_of(name: str) -> Program:
    b = Builder(7)
    FORMS[name](b)
    return b.program(12)


@pytest.mark.parametrize("name", FORMS)
def test_what_overflows_is_as_in_the_compiled_kernels(
    name: str, machine: Callable[[str], Emulator], tmp_path: Path
) -> None:
    program = program_of(name)
    rng = np.random.default_rng(5)
    X = (rng.uniform(0.2, 1, (STEPS, 12)) * rng.choice([-1, 1], (STEPS, 1)) * MAX_INPUT).astype(np.float32)
    X[: STEPS // 4] = abs(X[: STEPS // 4])  # sums of many of them, and none that nearly cancel within a step
    X[-STEPS // 4 :] /= MAX_INPUT
    runner = Runner(program)
    Y = np.array([runner.step(x).copy() for x in X])
    assert np.isfinite(Y).all()
    (output,) = program.outputs
    golden = Golden({"x": X}, {output.name: Y.reshape(STEPS, -1)})
    export(program, tmp_path / name, "c", golden, name="model", command="edgernn export")
    opened = open_export(tmp_path / name)
    for chip in ("host", "cortex-m4"):
        report = verify(opened, machine(chip))
        assert report.equal, f"{chip}: {report.difference}"
