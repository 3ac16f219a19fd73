"""Leaves out of a step what nothing needs: frames of which only the shape was asked, states that nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from edgernn.program.operations import AnyOperation, Repeat


def eliminate_dead_code(
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
            kept_or_loops = zip(operations, kept, strict=True)
            return with_bodies(operations, [o for o, is_kept in kept_or_loops if is_kept or isinstance(o, Repeat)])


def with_bodies(before: Sequence[AnyOperation], after: Sequence[AnyOperation]) -> list[AnyOperation]:
    """`after`, which has lost some operations of `before`: each Repeat with the length that is left of its body.

    Operations are told by their names. A Repeat of nothing goes as well.
    """
    inside: dict[str, set[str]] = {}  # of each Repeat, the names of its body
    for place, operation in enumerate(before):
        if isinstance(operation, Repeat):
            body = before[place + 1 : place + 1 + operation.body]
            inside[operation.name] = {inner.name for inner in body}
    left = list(after)
    while True:
        lengths = [
            sum(other.name in inside[operation.name] for other in left) if isinstance(operation, Repeat) else 1
            for operation in left
        ]
        if all(lengths):
            return [
                msgspec.structs.replace(operation, body=length) if isinstance(operation, Repeat) else operation
                for operation, length in zip(left, lengths, strict=True)
            ]
        left = [operation for operation, length in zip(left, lengths, strict=True) if length]
