"""The operations of a step as C has them: in blocks, a Repeat with its body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from edgernn.program.operations import AnyOperation, ReadState, Repeat
from edgernn.program.program import Program


class Block(NamedTuple):
    """An operation, and if it is a Repeat the blocks that it repeats."""

    operation: AnyOperation
    body: tuple[Block, ...] = ()

    def operations(self) -> Iterator[AnyOperation]:
        """All operations, in order."""
        yield self.operation
        yield from flat(self.body)


def blocks(operations: Sequence[AnyOperation]) -> list[Block]:
    """Operations with the bodies of their Repeats inside them."""
    found, index = [], 0
    while index < len(operations):
        operation = operations[index]
        index += 1
        size = operation.body if isinstance(operation, Repeat) else 0
        found.append(Block(operation, tuple(blocks(operations[index : index + size]))))
        index += size
    return found


def flat(found: Iterable[Block]) -> Iterator[AnyOperation]:
    """The operations of blocks, in order."""
    for block in found:
        yield from block.operations()


def split(program: Program, kept: Iterable[str]) -> tuple[list[Block], list[Block]]:
    """Blocks that each step needs, and those that only the last step of a window needs.

    The states, and the values `kept`, need their operations in every step.
    """
    found = blocks(program.operations)
    if program.staggered is None:
        return found, []
    needed = set(kept)
    update: list[Block] = []
    for block in reversed(found):
        inside = list(block.operations())
        # a state is read at its own place between the changes of the state
        fixed = any(operation.changes_state or isinstance(operation, ReadState) for operation in inside)
        if fixed or any(needed.intersection(operation.outputs) for operation in inside):
            needed.update(name for operation in inside for name in operation.inputs)
            update.insert(0, block)
    return update, [block for block in found if block not in update]


def loops(found: Iterable[Block]) -> dict[str, tuple[int, int]]:
    """Index of each Repeat, and of the last operation of its body, in flat order, by name."""
    places: dict[str, tuple[int, int]] = {}
    _find_loops(found, 0, places)
    return places


def _find_loops(found: Iterable[Block], index: int, places: dict[str, tuple[int, int]]) -> int:
    for block in found:
        begin = index
        index = _find_loops(block.body, index + 1, places)
        if block.body:
            places[block.operation.name] = (begin, index - 1)
    return index
