"""A program's description as JSON, in which a Repeat holds the number of operations that are its body and follow it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from edgernn.errors import MalformedModelError
from edgernn.program.description import ProgramDescription
from edgernn.program.operations import AnyOperation, Operation, Repeat, SingleOperation
from edgernn.program.trees import MAX_LOOP_DEPTH, LoopPath, nested, walk


class RepeatHeader(Operation, frozen=True, kw_only=True, tag="Repeat"):
    """A Repeat in the file: its body is the `body` operations that follow."""

    count: int
    body: int


class _StoredDescription(ProgramDescription, frozen=True, kw_only=True):
    """A description as the file has it."""

    operations: tuple[SingleOperation | RepeatHeader, ...]  # type: ignore[assignment]


def encode(description: ProgramDescription, order: Literal["deterministic"] | None = None) -> bytes:
    """The JSON text of a description."""
    stored: Any = tuple(map(_header, walk(description.operations)))
    return msgspec.json.encode(msgspec.structs.replace(description, operations=stored), order=order)


def decode(text: bytes | msgspec.Raw) -> ProgramDescription:
    """The description in a JSON text.

    Raises
    ------
    msgspec.MsgspecError
        The text is no JSON, or no description.
    MalformedModelError
        Bodies of Repeats end after what they stand in.
    """
    stored = msgspec.json.decode(text, type=_StoredDescription)
    fields = {name: getattr(stored, name) for name in ProgramDescription.__struct_fields__}
    return ProgramDescription(**fields | {"operations": nest_listed(stored.operations)})


def nest_listed(listed: Iterable[SingleOperation | RepeatHeader]) -> tuple[AnyOperation, ...]:
    """The tree of operations that are listed as in the file.

    Raises
    ------
    MalformedModelError
        A body is empty, or longer than what follows its header inside of the body around it; loops are nested too
        deep; two operations have one name.
    """
    open_loops: list[tuple[str, int]] = []  # name, and how many operations of the body are to come
    operations: list[AnyOperation] = []
    paths: dict[str, LoopPath] = {}
    for entry in listed:
        open_loops = [(name, left - 1) for name, left in open_loops if left > 0]
        if entry.name in paths:
            raise MalformedModelError(f"two operations are called {entry.name!r}")
        paths[entry.name] = tuple(name for name, _ in open_loops)
        if not isinstance(entry, RepeatHeader):
            operations.append(entry)
            continue
        if entry.body < 1:
            raise entry.malformed(f"repeats {entry.body} operations")
        if any(left < entry.body for _, left in open_loops) or len(open_loops) >= MAX_LOOP_DEPTH:
            raise entry.malformed(f"its body is longer than the one around it, or the {MAX_LOOP_DEPTH + 1}th loop deep")
        open_loops.append((entry.name, entry.body))
        fields = {name: getattr(entry, name) for name in Operation.__struct_fields__}
        operations.append(Repeat(**fields, count=entry.count))
    if any(left > 0 for _, left in open_loops):
        raise MalformedModelError(f"operation {open_loops[-1][0]} (Repeat): its body is longer than what follows it")
    return nested(operations, paths)


def _header(operation: AnyOperation) -> SingleOperation | RepeatHeader:
    if not isinstance(operation, Repeat):
        return operation
    fields = {name: getattr(operation, name) for name in Operation.__struct_fields__}
    return RepeatHeader(**fields, count=operation.count, body=sum(1 for _ in walk(operation.body)))
