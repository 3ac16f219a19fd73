"""Exported C decides wherever a stream does, and makes the same events; where it does not, the export says why."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_programs import uniform

import edgernn
from edgernn.errors import ConfigError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.operations import AnyOperation, Dense, Rearrange, Softmax, Unary
from edgernn.program.program import Program
from edgernn.program.scores import score_layout
from edgernn.stream.config import StreamSettings
from edgernn.stream.decisions import Decider
from edgernn.stream.scores import Scores
from firmware_export.generate import CModel

DECISION = DecisionSettings(smoothing_steps=2, threshold=0.5, release=0.45)
K = 3  # features


def program(
    last: Callable[[], tuple[AnyOperation, ...]], rows: int, labels: int, order: list[int] | None = None, **output: Any
) -> Program:
    """A matrix product of `rows` scores, then the operations `last`, from s to y."""
    weights = {"W": uniform(np.random.default_rng(5), (rows, K), 4.0)}
    if order is not None:
        weights["order"] = np.array(order, np.int32)
    description = ProgramDescription(
        inputs=(InputDescription("x", (K,)),),
        outputs=(OutputDescription("y", "y", per_frame=True, **output),),
        operations=(Dense(name="dense", inputs=("x",), outputs=("s",), W="W"), *last()),
        metadata=Metadata(labels=tuple(f"label {k}" for k in range(labels)), decision=DECISION),
    )
    return Program(description, weights)


def softmax(source: str, target: str) -> Softmax:
    return Softmax(name=f"softmax of {source}", inputs=(source,), outputs=(target,))


def function(name: str, source: str = "s", target: str = "y") -> Unary:
    return Unary(name=f"{name} of {source}", inputs=(source,), outputs=(target,), function=name)


def moved(source: str, target: str, shape: tuple[int, ...], indices: str | None = None) -> Rearrange:
    return Rearrange(name=f"{source} to {target}", inputs=(source,), outputs=(target,), shape=shape, indices=indices)


MEMBERS: dict[str, Callable[[], Program]] = {
    "softmax": lambda: program(lambda: (softmax("s", "y"),), 4, 4),
    "softmax, gather": lambda: program(lambda: (softmax("s", "p"), moved("p", "y", (3,), "order")), 4, 3, [2, 0, 3]),
    "softmax, gather of one": lambda: program(lambda: (softmax("s", "p"), moved("p", "y", (1,), "order")), 4, 1, [2]),
    "softmax, gather of one for two": lambda: program(
        lambda: (softmax("s", "p"), moved("p", "y", (1,), "order")), 2, 2, [1]
    ),
    "softmax, reshape, gather": lambda: program(
        lambda: (softmax("s", "p"), moved("p", "q", (2, 2)), moved("q", "y", (2, 1), "order")), 4, 2, [1, 3]
    ),
    "sigmoid": lambda: program(lambda: (function("Sigmoid"),), 3, 3),
    "sigmoid of one for two": lambda: program(lambda: (function("Sigmoid"),), 1, 2),
    "hard sigmoid": lambda: program(lambda: (function("HardSigmoid"),), 3, 3),
    "hard sigmoid of one for two": lambda: program(lambda: (function("HardSigmoid"),), 1, 2),
    "frames of a window": lambda: program(lambda: (softmax("s", "y"),), 4, 4).with_window(5, 2),
    "frames of a window, one score for two": lambda: program(lambda: (function("Sigmoid"),), 1, 2).with_window(5, 2),
    "frames along the last axis of a window": lambda: program(
        lambda: (softmax("s", "y"),), 4, 4, time_axis=1
    ).with_window(3, 1),
    "two frames in a step": lambda: program(
        lambda: (moved("s", "r", (2, 3)), softmax("r", "y")), 6, 3, frames=2
    ),
    "two frames along the last axis": lambda: program(
        lambda: (moved("s", "r", (3, 2)), function("Sigmoid", "r")), 6, 3, frames=2, time_axis=1
    ),
    "two frames, one score for two": lambda: program(
        lambda: (moved("s", "r", (2, 1)), function("Sigmoid", "r")), 2, 2, frames=2
    ),
}  # fmt: skip
QUANTIZED = ["softmax, gather", "sigmoid of one for two", "hard sigmoid", "hard sigmoid of one for two"]

MAIN = """
#include <stdio.h>
#define MODEL_IMPLEMENTATION
#include "model.h"
static model_state state;
int main(void) {
    %(input)s x[%(inputs)d];
    static %(output)s y[%(outputs)d];
    int output = 0;
    model_reset(&state);
    while (fread(x, sizeof x, 1, stdin) == 1) {
        if (!model_step(&state, x, y)) continue;
        for (int frame = 0; frame < %(frames)d; frame++, output++) {
            model_event event;
            if (!model_decide(&state, y + frame * %(inner)d, &event)) continue;
            printf("%%d %%s\\n", output, model_label(event.label));
        }
    }
    return 0;
}
"""


def events_of_stream(program: Program, X: np.ndarray) -> list[tuple[int, str]]:
    """Number of the output and label of each event, as a stream makes them."""
    scores = Scores(program, program.metadata, StreamSettings())
    found = Decider(program.metadata.decision, scores.labels).feed(scores(edgernn.Runner(program).run(X)))
    return [(event.output, scores.labels[event.label]) for event in found]


def events_of_c(program: Program, X: np.ndarray, folder: Path) -> list[tuple[int, str]]:
    """The same of the exported C."""
    model, layout = CModel(program, "model"), score_layout(program)
    integers = program.takes_counts
    values = {
        "input": "int32_t" if integers else "float",
        "inputs": K,
        "output": model.output_type("y"),
        "outputs": program.outputs[0].size,
        "frames": 1 if layout.newest_only else layout.frames,
        "inner": layout.inner,
    }
    (folder / "model.h").write_text(model.text)
    (folder / "main.c").write_text(MAIN % values)
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "main.c", "-o", "main", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    sent = X.astype(np.int32 if integers else np.float32)
    done = subprocess.run([folder / "main"], input=sent.tobytes(), capture_output=True, check=True)
    lines = (line.partition(" ") for line in done.stdout.decode().splitlines())
    return [(int(output), label) for output, _, label in lines]


def samples(integers: bool = False) -> np.ndarray:
    """Inputs (steps, K) that stay near a point for a while."""
    rng = np.random.default_rng(2)
    X = np.repeat(rng.normal(size=(60, K)), rng.integers(1, 9, 60), axis=0)
    return np.rint(8 * X) if integers else X.astype(np.float32)


@pytest.mark.parametrize("name", MEMBERS)
def test_float_c_makes_the_events_of_a_stream(name: str, needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("gcc")
    member, X = MEMBERS[name](), samples()
    expected = events_of_stream(member, X)
    assert len(expected) > 5
    assert events_of_c(member, X, tmp_path) == expected


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("name", QUANTIZED)
def test_int8_c_makes_the_events_of_a_stream(
    name: str, integers: bool, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    needs_tool("gcc")
    X = samples(integers)
    member = edgernn.quantize(MEMBERS[name](), X)
    assert member.takes_counts == integers
    expected = events_of_stream(member, X)
    assert len(expected) > 5
    assert events_of_c(member, X, tmp_path) == expected


UNDECIDED: dict[str, tuple[Callable[[], Program], str]] = {
    "no labels": (lambda: program(lambda: (softmax("s", "y"),), 4, 0), "has no labels"),
    "tanh": (lambda: program(lambda: (function("Tanh"),), 4, 4), "does not come from a Softmax or Sigmoid"),
    "logarithm": (
        lambda: program(
            lambda: (Softmax(name="log", inputs=("s",), outputs=("y",), logarithm=True),), 4, 4
        ),
        "does not come from a Softmax or Sigmoid",
    ),
    "too few labels": (lambda: program(lambda: (softmax("s", "y"),), 4, 3), "3 labels, output y has 4 scores"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDECIDED)
def test_c_without_decisions_says_why(name: str) -> None:
    make, reason = UNDECIDED[name]
    model = CModel(make(), "model")
    assert not model.decides
    assert reason in model.left_out["decide"]
    assert "model_decide" not in model.text
    if name != "no labels":
        with pytest.raises(ConfigError, match=reason):
            Scores(model.program, model.program.metadata, StreamSettings())


def test_a_table_of_tanh_is_no_probability() -> None:
    member = edgernn.quantize(program(lambda: (function("Softsign"),), 4, 4), samples())
    assert not CModel(member, "model").decides
