"""Programs of single operations for tests of the lowering, compared with the reference."""

from __future__ import annotations

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import AnyOperation
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner


def program_of(
    shapes: list[tuple[int, ...]],
    operations: list[AnyOperation],
    output: str,
    state: tuple[StateSlot, ...] = (),
    **weights: np.ndarray,
) -> Program:
    """A program with inputs x0, x1, ... of these shapes and one output."""
    description = ProgramDescription(
        inputs=tuple(InputDescription(f"x{index}", shape) for index, shape in enumerate(shapes)),
        outputs=(OutputDescription("y", output, per_frame=True),),
        state=state,
        operations=tuple(operations),
    )
    return Program(description, weights)


def largest_difference(program: Program, steps: int = 3, positive: bool = False) -> float:
    """Between runner and reference, on random input; relative where numbers exceed 1."""
    random = np.random.default_rng(11)
    rows = {port.name: random.standard_normal((steps, *port.shape)).astype(np.float32) for port in program.inputs}
    if positive:
        rows = {name: np.abs(column) + 0.1 for name, column in rows.items()}
    X = rows if len(rows) > 1 else rows["x0"]
    found, expected = Runner(program).run(X), ReferenceRunner(program).run(X)
    assert found.shape == expected.shape
    return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())
