"""The operations of an int8 program while they are converted: their order, the loops around them, when they run."""

from __future__ import annotations

import msgspec

from edgernn.program.operations import EVERY_STEP, AnyOperation, ConstantValue, DelayLine, PutFrame
from edgernn.program.program import Program
from edgernn.program.trees import LoopPath, nested


class OperationList:
    """Appends operations, and puts others behind those that write what they read."""

    def __init__(self, program: Program) -> None:
        self.operations: list[AnyOperation] = []
        self._float_paths = program.graph.loops
        self._paths: dict[str, LoopPath] = {}  # the repeats around each of `operations`
        self._schedules = {port.name: EVERY_STEP for port in program.inputs}  # when a value is written
        self._when = EVERY_STEP  # of the operation that is being converted
        self._around: LoopPath = ()  # the repeats around what is being converted

    def begin(self, operation: AnyOperation) -> None:
        """What is added from now on is what this operation of the float program becomes."""
        self._around = self._float_paths[operation.name]
        self._when = operation.when

    def end(self) -> None:
        """All operations of the float program are converted: what is added from now on stands in no repeat."""
        self._around = ()

    def add(self, operation: AnyOperation) -> None:
        """Append an operation."""
        if self._when != EVERY_STEP:
            operation = msgspec.structs.replace(operation, when=self._when)
        self._insert(operation, len(self.operations), self._around)

    def add_behind(self, value: str, operation: AnyOperation) -> None:
        """Put a conversion of a value right behind where it is written, so that all later readers may have it."""
        index, path = 0, LoopPath()
        for place, writer in enumerate(self.operations):
            if value in writer.outputs:
                index, path = place + 1, self._paths[writer.name]
                if isinstance(writer, PutFrame):  # whole when the iterations are over
                    index, path = len(self.operations), self._around
        self._insert(msgspec.structs.replace(operation, when=self._schedules[value]), index, path)

    def drop_unread_constants(self) -> None:
        """Constants that all readers want in another format are left out."""
        read = {name for operation in self.operations for name in operation.inputs}
        self.operations = [
            operation
            for operation in self.operations
            if not isinstance(operation, ConstantValue) or operation.outputs[0] in read
        ]

    def tree(self) -> tuple[AnyOperation, ...]:
        """The operations, each repeat with its body."""
        return nested(self.operations, self._paths)

    def _insert(self, operation: AnyOperation, index: int, path: LoopPath) -> None:
        self.operations.insert(index, operation)
        self._paths[operation.name] = path
        for name in operation.outputs:
            self._schedules[name] = operation.read if isinstance(operation, DelayLine) else operation.when
