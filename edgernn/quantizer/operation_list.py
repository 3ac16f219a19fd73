"""The operations of an int8 program while they are converted: their order, the loops around them, when they run."""

from __future__ import annotations

import msgspec

from edgernn.program.operations import EVERY_STEP, AnyOperation, Constant, DelayLine, PutFrame, Repeat
from edgernn.program.program import Program


class OperationList:
    """Appends operations, and puts others behind those that write what they read."""

    def __init__(self, program: Program) -> None:
        self.operations: list[AnyOperation] = []
        self._paths: list[tuple[str, ...]] = []  # the repeats around each of `operations`
        self._schedules = {port.name: EVERY_STEP for port in program.inputs}  # when a value is written
        self._when = EVERY_STEP  # of the operation that is being converted
        self._loops: list[tuple[str, int]] = []  # repeats that are open, and how many of their operations are to come

    def begin(self, operation: AnyOperation) -> None:
        """What is added from now on is what this operation of the float program becomes."""
        self._loops = [(name, left - 1) for name, left in self._loops if left > 0]
        self._when = operation.when

    def open(self, operation: Repeat) -> None:
        """The operations to come, as many as it says, are the body of a repeat."""
        self._loops.append((operation.name, operation.body))

    def add(self, operation: AnyOperation) -> None:
        """Append an operation."""
        if self._when != EVERY_STEP:
            operation = msgspec.structs.replace(operation, when=self._when)
        self._insert(operation, len(self.operations), self._path())

    def add_behind(self, value: str, operation: AnyOperation) -> None:
        """Put a conversion of a value right behind where it is written, so that all later readers may have it."""
        index, path = 0, tuple[str, ...]()
        for place, writer in enumerate(self.operations):
            if value in writer.outputs:
                index, path = place + 1, self._paths[place]
                if isinstance(writer, PutFrame):  # whole when the iterations are over
                    index, path = len(self.operations), self._path()
        self._insert(msgspec.structs.replace(operation, when=self._schedules[value]), index, path)

    def finished(self) -> list[AnyOperation]:
        """The operations that something reads, repeats with as many in their bodies as there are now."""
        read = {name for operation in self.operations for name in operation.inputs}
        for index in reversed(range(len(self.operations))):  # constants that all readers want in another format
            if isinstance(constant := self.operations[index], Constant) and constant.outputs[0] not in read:
                del self.operations[index], self._paths[index]
        return [
            msgspec.structs.replace(operation, body=sum(operation.name in path for path in self._paths))
            if isinstance(operation, Repeat)
            else operation
            for operation in self.operations
        ]

    def _path(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._loops)

    def _insert(self, operation: AnyOperation, index: int, path: tuple[str, ...]) -> None:
        self.operations.insert(index, operation)
        self._paths.insert(index, path)
        for name in operation.outputs:
            self._schedules[name] = operation.read if isinstance(operation, DelayLine) else operation.when
