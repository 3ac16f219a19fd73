"""Leaves out of a step what nothing needs: frames of which only the shape was asked, states that nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgernn.program.operations import AnyOperation, Weights
from edgernn.program.program import Program
from edgernn.program.trees import rewritten


def eliminate_dead_code(program: Program, slots: Collection[str]) -> Program:
    """The program with the operations that its outputs and the states `slots` need.

    A Repeat stays as long as something of its body does.
    """
    needed = needed_operations(program.operations, program.weights, program.graph.kept, slots)
    return program.with_operations(
        rewritten(program.description.operations, lambda operation: (operation,) if operation.name in needed else ())
    )


def needed_operations(
    operations: Sequence[AnyOperation], weights: Weights, values: Collection[str], slots: Collection[str]
) -> set[str]:
    """Names of the listed operations that `values` and the states `slots` need, directly or through states that last.

    Repeats are not among them.
    """
    needed, needed_slots = set(values), set(slots)
    kept: set[str] = set()
    while True:
        before = len(needed), len(needed_slots), len(kept)
        for operation in reversed(operations):
            touched = {region.slot for region, _ in operation.regions(weights)}
            writes = operation.changes_state and touched & needed_slots
            if needed.intersection(operation.outputs) or writes:
                kept.add(operation.name)
                needed.update(operation.inputs)
                needed_slots.update(touched)
        if before == (len(needed), len(needed_slots), len(kept)):
            return kept
