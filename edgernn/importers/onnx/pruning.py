"""Leaves out of a step what nothing needs: frames of which only the shape was asked, states that nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from edgernn.operations import AnyOperation, Repeat


def pruned(
    operations: Sequence[AnyOperation],
    weights: Mapping[str, NDArray[Any]],
    values: Collection[str],
    slots: Collection[str],
) -> list[AnyOperation]:
    """The operations that `values` and the states `slots` need, directly or through states that last.

    A Repeat stays as long as something of its body does.
    """
    needed, needed_slots = set(values), set(slots)
    kept = [False] * len(operations)
    while True:
        before = len(needed), len(needed_slots), sum(kept)
        for index in reversed(range(len(operations))):
            operation = operations[index]
            touched = {region.slot for region, _ in operation.regions(weights)}
            writes = operation.changes_state and touched & needed_slots
            if needed.intersection(operation.outputs) or writes:
                kept[index] = True
                needed.update(operation.inputs)
                needed_slots.update(touched)
        if before == (len(needed), len(needed_slots), sum(kept)):
            return _with_loops(operations, kept)


def _with_loops(operations: Sequence[AnyOperation], kept: list[bool]) -> list[AnyOperation]:
    """What is kept, each Repeat with the length that is left of its body."""
    result: list[AnyOperation] = []
    for index, operation in enumerate(operations):
        if isinstance(operation, Repeat):
            body = sum(
                kept[inner] or (isinstance(operations[inner], Repeat) and _has_body(operations, kept, inner))
                for inner in range(index + 1, index + 1 + operation.body)
            )
            if body:
                result.append(msgspec.structs.replace(operation, body=body))
        elif kept[index]:
            result.append(operation)
    return result


def _has_body(operations: Sequence[AnyOperation], kept: list[bool], index: int) -> bool:
    operation = operations[index]
    assert isinstance(operation, Repeat)
    return any(kept[index + 1 : index + 1 + operation.body])
