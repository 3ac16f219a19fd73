"""Loops in int8 programs."""

from __future__ import annotations

import numpy as np
from small_programs import uniform

import edgernn
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import Dense, Dequantize, PutFrame, Rearrange, Repeat, TakeFrame, Unary
from edgernn.program.program import Program
from firmware_export.generate import CModel


def test_what_a_loop_collects_becomes_float_after_the_loop() -> None:
    """Also where the loop is the last of the program; in the loop, frames would be converted before all are there."""
    body = (
        TakeFrame(name="take", inputs=("rows",), outputs=("row",), loop="loop"),
        Unary(name="tanh", inputs=("row",), outputs=("small",), function="Tanh"),
        PutFrame(name="put", inputs=("small",), outputs=("y",), loop="loop", count=3),
    )
    description = ProgramDescription(
        inputs=(InputDescription("x", (2,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Dense(name="dense", inputs=("x",), outputs=("d",), W="W"),
            Rearrange(name="rows", inputs=("d",), outputs=("rows",), shape=(3, 2)),
            Repeat(name="loop", inputs=(), outputs=(), count=3, body=body),
        ),
    )
    rng = np.random.default_rng(3)
    program, X = Program(description, {"W": uniform(rng, (6, 2), 1.0)}), rng.normal(size=(80, 2))
    int8 = edgernn.quantize(program, X)
    (loop,) = (operation for operation in int8.description.operations if isinstance(operation, Repeat))
    assert not any(isinstance(operation, Dequantize) for operation in loop.body)
    np.testing.assert_allclose(
        edgernn.Runner(int8).run(X), np.tanh(X @ program.weights["W"].T).reshape(-1, 3, 2), atol=0.02
    )
    assert "model_step" in CModel(int8, "model").text
