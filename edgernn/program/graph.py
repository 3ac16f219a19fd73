"""Who writes and reads each value of a step, which loops stand around an operation, and what each step must run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from edgernn.program.operations import (
    AnyOperation,
    Dequantize,
    Int8Softmax,
    Int8Unary,
    ReadState,
    Rearrange,
    Softmax,
    Unary,
    Weights,
)
from edgernn.program.operations.int8.base import UNIT_SCALE
from edgernn.program.trees import LoopPath, loop_paths, walk


class ProgramGraph:
    """The operations of a step as a graph.

    Parameters
    ----------
    operations : sequence of AnyOperation
        As a tree.
    kept : iterable of str
        Values that are read from outside of the operations: those of the outputs.

    Attributes
    ----------
    tree, operations : tuple of AnyOperation
        As a tree, and listed in order, each Repeat before its body.
    kept : frozenset of str
    writers : dict of str to AnyOperation
        By value; inputs of the program have none.
    readers : dict of str to list of AnyOperation
        By value, in order; one that reads it twice is there twice.
    loops : dict of str to tuple of str
        By operation the names of the Repeats around it, the outermost first.

    Examples
    --------
    >>> double = Unary(name="half", inputs=("x",), outputs=("y",), function="Tanh")
    >>> flat = Rearrange(name="flat", inputs=("y",), outputs=("z",), shape=(4,))
    >>> graph = ProgramGraph((double, flat), ["z"])
    >>> graph.unshaped("z"), graph.writer("z").name, graph.is_read_once("y")
    ('y', 'half', True)
    """

    def __init__(self, operations: Sequence[AnyOperation], kept: Iterable[str] = ()) -> None:
        self.tree = tuple(operations)
        self.operations = tuple(walk(operations))
        self.kept = frozenset(kept)
        self.loops: Mapping[str, LoopPath] = loop_paths(operations)
        self.writers: dict[str, AnyOperation] = {}
        self.readers: dict[str, list[AnyOperation]] = {}
        for operation in self.operations:
            self.writers.update(dict.fromkeys(operation.outputs, operation))
            for name in operation.inputs:
                self.readers.setdefault(name, []).append(operation)

    # values

    def unshaped(self, name: str) -> str:
        """The value that a value is, apart from reshapes."""
        return unshaped(self.writers, name)

    def writer(self, name: str) -> AnyOperation | None:
        """The operation that computes a value, reshapes seen through; None for an input of the program."""
        return self.writers.get(self.unshaped(name))

    def final_readers(self, name: str) -> list[AnyOperation]:
        """The operations that read a value, reshapes and concatenations seen through."""
        found: list[AnyOperation] = []
        for reader in self.readers.get(name, []):
            passes = isinstance(reader, Rearrange) and reader.indices is None
            found += self.final_readers(reader.outputs[0]) if passes else [reader]
        return found

    def is_read_once(self, name: str) -> bool:
        """Whether one operation alone reads a value, and no output shows it."""
        return len(self.readers.get(name, [])) == 1 and name not in self.kept

    # parts

    def parts(self, needed: Collection[str] = ()) -> tuple[list[AnyOperation], list[AnyOperation]]:
        """What every step must run, and what only makes outputs, which the last step of a window needs: two trees.

        A step must run all that changes a state, that reads one (a later write would change what is read) or makes one
        of the values `needed`, with everything before it. A loop stays with its body.
        """
        wanted = set(needed)
        steady: list[AnyOperation] = []
        last: list[AnyOperation] = []
        for unit in reversed(self.tree):
            inside = tuple(walk([unit]))
            must_run = any(
                operation.changes_state or isinstance(operation, ReadState) or wanted.intersection(operation.outputs)
                for operation in inside
            )
            if must_run:
                wanted.update(name for operation in inside for name in operation.inputs)
            (steady if must_run else last).append(unit)
        return steady[::-1], last[::-1]

    # meaning

    def ends_in_probabilities(self, value: str, weights: Weights) -> bool:
        """Whether a value holds probabilities: what a Softmax or a sigmoid gives, moved, chosen from or in integers.

        Then it can be decided on as it is; every back end asks here.
        """
        writer = self.writers.get(value)
        while isinstance(writer, Rearrange | Dequantize) and len(writer.inputs) == 1:
            writer = self.writers.get(writer.inputs[0])
        match writer:
            case Softmax():
                return not writer.logarithm
            case Unary():
                return writer.function in {"Sigmoid", "HardSigmoid"}
            case Int8Softmax():
                return True
            case Int8Unary() if writer.function.function == "Table" and writer.function.table is not None:
                # a hard sigmoid: no other function has a table of numbers from 0 to 1 at this scale
                return writer.scale == UNIT_SCALE and bool((weights[writer.function.table] >= 0).all())
            case Int8Unary():
                return writer.function.function == "Sigmoid"
        return False


def is_reshape(operation: AnyOperation | None) -> bool:
    """Whether an operation gives the numbers of its one input in their order, in another shape."""
    return isinstance(operation, Rearrange) and operation.indices is None and len(operation.inputs) == 1


def unshaped(writers: Mapping[str, AnyOperation], name: str) -> str:
    """The value that a value is, apart from reshapes; `writers` has the writer of each value."""
    while (writer := writers.get(name)) is not None and is_reshape(writer):
        name = writer.inputs[0]
    return name
