"""Raw numbers are brought to the model's scale in C as a stream does it, for each input that the metadata tells of."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.metadata import Metadata
from edgernn.program.operations import Binary, Dense
from edgernn.program.program import Program
from firmware_export.generate import CModel

MEAN, STD = (1.0, -2.0, 30.0), (0.5, 4.0, 2.0)
MAIN = """
#include <stdio.h>
#define MODEL_IMPLEMENTATION
#include "model.h"
int main(void) {
    float x[3];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        model_normalise(%s);
        fwrite(x, sizeof x, 1, stdout);
    }
    return 0;
}
"""


def program(names: Sequence[str], sizes: Sequence[int]) -> Program:
    """Adds up products of its inputs."""
    operations: list[Dense | Binary] = [
        Dense(name=f"of {name}", inputs=(name,), outputs=(f"of {name}",), W=f"W of {name}") for name in names
    ]
    if len(names) > 1:
        operations.append(
            Binary(name="sum", inputs=tuple(f"of {name}" for name in names), outputs=("y",), function="Add")
        )
    description = ProgramDescription(
        inputs=tuple(InputDescription(name, (size,)) for name, size in zip(names, sizes, strict=True)),
        outputs=(OutputDescription("y", operations[-1].outputs[0], per_frame=True),),
        operations=tuple(operations),
        metadata=Metadata(mean=MEAN, std=STD),
    )
    weights = {f"W of {name}": np.ones((2, size), np.float32) for name, size in zip(names, sizes, strict=True)}
    return Program(description, weights)


@pytest.mark.parametrize(
    ("names", "sizes", "parameters"),
    [
        (["motion"], [3], "const float raw[3], float x[3]"),
        (
            ["hip", "leg"],
            [2, 1],
            "const float raw_hip[2], float hip[2], const float raw_leg[1], float leg[1]",
        ),
        (["m", "raw_m"], [2, 1], "const float raw_m_2[2], float m[2], const float raw_raw_m[1], float raw_m[1]"),
    ],
)
def test_numbers_are_those_of_the_stream(
    names: list[str], sizes: list[int], parameters: str, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    needs_tool("gcc")
    text = CModel(program(names, sizes), "model").text
    assert re.findall(r"void model_normalise\((.*)\);", text) == [parameters]
    (tmp_path / "model.h").write_text(text)
    starts = np.cumsum([0, *sizes[:-1]])
    (tmp_path / "main.c").write_text(MAIN % ", ".join(f"x + {start}, x + {start}" for start in starts))
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-o", "main", "main.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    raw = np.random.default_rng(0).normal(MEAN, STD, (50, 3)).astype(np.float32)
    out = subprocess.run([tmp_path / "main"], input=raw.tobytes(), stdout=subprocess.PIPE, check=True).stdout
    np.testing.assert_array_equal(
        np.frombuffer(out, np.float32).reshape(-1, 3), (raw - np.float32(MEAN)) / np.float32(STD)
    )
