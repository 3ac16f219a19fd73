"""Operations as a tree, in which a Repeat holds its body, and as a list, in which a Repeat stands before its body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from edgernn.program.operations import AnyOperation, Repeat

LoopPath: TypeAlias = tuple[str, ...]  # names of the Repeats around an operation, the outermost first

MAX_LOOP_DEPTH = 32


def walk(operations: Iterable[AnyOperation]) -> Iterator[AnyOperation]:
    """All operations of a tree in order, each Repeat before its body."""
    for operation in operations:
        yield operation
        if isinstance(operation, Repeat):
            yield from walk(operation.body)


def loop_paths(operations: Iterable[AnyOperation], around: LoopPath = ()) -> dict[str, LoopPath]:
    """The Repeats around each operation of a tree, by the operation's name."""
    paths: dict[str, LoopPath] = {}
    for operation in operations:
        paths[operation.name] = around
        if isinstance(operation, Repeat):
            paths |= loop_paths(operation.body, (*around, operation.name))
    return paths


def loop_ranges(operations: Iterable[AnyOperation]) -> dict[str, tuple[int, int]]:
    """By Repeat its place among the listed operations of a tree, and that of the last operation of its body."""
    ranges: dict[str, tuple[int, int]] = {}
    for index, operation in enumerate(walk(operations)):
        if isinstance(operation, Repeat):
            ranges[operation.name] = index, index + sum(1 for _ in walk(operation.body))
    return ranges


def nested(operations: Iterable[AnyOperation], paths: Mapping[str, LoopPath]) -> tuple[AnyOperation, ...]:
    """The tree of listed operations, of which `paths` names the Repeats around each; a Repeat of nothing is left out.

    Bodies that listed Repeats have already do not count.

    Examples
    --------
    >>> from edgernn.program.operations import Unary
    >>> loop = Repeat(name="loop", inputs=(), outputs=(), count=3)
    >>> tanh = Unary(name="tanh", inputs=("x",), outputs=("y",), function="Tanh")
    >>> [tree] = nested([loop, tanh], {"loop": (), "tanh": ("loop",)})
    >>> [operation.name for operation in tree.body]
    ['tanh']
    """
    members: dict[LoopPath, list[AnyOperation]] = {}
    for operation in operations:
        members.setdefault(paths[operation.name], []).append(operation)

    def level(path: LoopPath) -> tuple[AnyOperation, ...]:
        with_bodies = (
            msgspec.structs.replace(operation, body=level((*path, operation.name)))
            if isinstance(operation, Repeat)
            else operation
            for operation in members.get(path, ())
        )
        return tuple(operation for operation in with_bodies if not isinstance(operation, Repeat) or operation.body)

    return level(())


def rewritten(
    operations: Iterable[AnyOperation], change: Callable[[AnyOperation], Iterable[AnyOperation]]
) -> tuple[AnyOperation, ...]:
    """The tree with what `change` gives in place of each operation that is no Repeat; in order.

    A Repeat whose body becomes empty is left out.
    """
    result: list[AnyOperation] = []
    for operation in operations:
        if not isinstance(operation, Repeat):
            result += change(operation)
        elif body := rewritten(operation.body, change):
            result.append(msgspec.structs.replace(operation, body=body))
    return tuple(result)
