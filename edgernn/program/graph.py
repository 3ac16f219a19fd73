"""Who writes and reads each value of a step, which loops stand around an operation, and what each step must run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from edgernn.program.operations import (
    AnyOperation,
    Binary,
    Dequantize,
    Int8Affine,
    Int8Softmax,
    Int8Unary,
    ReadState,
    Rearrange,
    Softmax,
    Unary,
    Value,
    Weights,
)
from edgernn.program.operations.int8.base import UNIT_SCALE
from edgernn.program.trees import LoopPath, loop_paths, walk

UNIT_TOLERANCE = 1e-3


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

    def ends_in_probabilities(self, value: str, weights: Weights, values: Mapping[str, Value]) -> bool:
        """Whether a value holds probabilities: what a Softmax or a sigmoid gives, moved, joined, or in integers.

        Then it can be decided on as it is; every back end asks here. ``1 - p`` of a probability is one, too.
        """
        writer = self.writers.get(value)
        if isinstance(writer, Rearrange | Dequantize):
            return all(self.ends_in_probabilities(name, weights, values) for name in writer.inputs)
        match writer:
            case Softmax():
                return not writer.logarithm
            case Unary():
                return writer.function in {"Sigmoid", "HardSigmoid"}
            case Binary(function="Sub", constant=str(constant), constant_side="left"):
                is_one = bool((weights[constant] == 1).all())
                return is_one and self.ends_in_probabilities(writer.inputs[0], weights, values)
            case Int8Softmax():
                return True
            case Int8Affine():
                keeps = _keeps_unit_interval(writer, weights, values[writer.inputs[0]].scale)
                return keeps and self.ends_in_probabilities(writer.inputs[0], weights, values)
            case Int8Unary() if writer.function.function == "Table" and writer.function.table is not None:
                # a hard sigmoid: no other function has a table of numbers from 0 to 1 at this scale
                return writer.scale == UNIT_SCALE and bool((weights[writer.function.table] >= 0).all())
            case Int8Unary():
                return writer.function.function == "Sigmoid"
        return False


def _keeps_unit_interval(affine: Int8Affine, weights: Weights, scale: float | None) -> bool:
    """Whether integer arithmetic with constants gives p, or 1 - p, of a number p with this scale."""
    if scale is None:
        return False
    slope = weights[affine.multiplier] / 2.0 ** weights[affine.shift] * affine.scale / scale
    bias = weights[affine.B] * affine.scale
    return bool(
        (np.abs(np.abs(slope) - 1) < UNIT_TOLERANCE).all() and (np.abs(bias - (slope < 0)) < UNIT_TOLERANCE).all()
    )


def is_reshape(operation: AnyOperation | None) -> bool:
    """Whether an operation gives the numbers of its one input in their order, in another shape."""
    return isinstance(operation, Rearrange) and operation.indices is None and len(operation.inputs) == 1


def unshaped(writers: Mapping[str, AnyOperation], name: str) -> str:
    """The value that a value is, apart from reshapes; `writers` has the writer of each value."""
    while (writer := writers.get(name)) is not None and is_reshape(writer):
        name = writer.inputs[0]
    return name
