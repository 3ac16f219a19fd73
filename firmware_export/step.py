"""What the emitters of operations write into: the body of a step, its tables, its scratch memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from edgernn.operations import AnyOperation, Dequantize, Operation, ReadState, Rearrange, StateRegion, Value
from edgernn.program import Program
from firmware_export import names
from firmware_export.literals import C_TYPES, table
from firmware_export.memory import TYPE_BYTES, Interval, place

Temporaries = Callable[[AnyOperation], Sequence[tuple[str, int]]]

# what generated functions call their own parameters and variables, and what a model's C name is put before
LOCALS = (
    *("state", "scratch", "slots", "last", "frame", "new_frames", "k", "row", "a", "b", "W", "R"),
    *(f"i{axis}" for axis in range(10)),
)
MEMBERS = (
    *("state", "slots", "scratch", "event", "implementation", "implemented"),
    *("body", "reset", "reset_slots", "step", "normalise", "decide", "label"),
)


class StepWriter:
    """Collects the C text of one step of a program.

    A value is an array that C code points to. Where it lives is decided before any code is written: in the caller's
    input, in the caller's output, or in scratch memory; a value that only renames another shares its place.

    Parameters
    ----------
    program : Program
    prefix : str
        C identifier of the model.
    temporaries : callable
        The arrays that an operation needs while it runs, as number type and elements.
    """

    def __init__(self, program: Program, prefix: str, temporaries: Temporaries) -> None:
        self.program = program
        self.prefix = prefix
        self.pieces: set[str] = {"platform"}
        self.tables: list[str] = []
        self.functions: list[str] = []
        self.table_bytes: dict[str, int] = {}  # what a table holds -> its bytes
        self._table_names: dict[tuple[bytes, str], str] = {}
        self._identifiers = names.Names(MEMBERS)
        parameters = names.Names([*LOCALS, *names.MACROS], beginnings=("edgernn_", "frames_of_", f"{prefix}_"))
        self.inputs = {port.name: parameters.add(port.name, "input") for port in program.inputs}
        self.outputs = {port.name: parameters.add(port.name, "output") for port in program.outputs}
        fields = names.Names(["scratch", "decision", *names.MACROS])
        self.slots = {slot.name: fields.add(slot.name, "state") for slot in program.state}
        self.update, self.head = _split(program)
        self._root = self._find_roots()
        self._place: dict[str, str] = {}  # root value -> C expression
        self.scratch: dict[str, int] = {}  # number type -> elements
        self._temporaries = temporaries
        self._place_values()

    # types

    def input_dtype(self, name: str) -> str:
        """Number type of an input of the C function: the sensor's own integers where the program takes them."""
        dtype = self.program.values[name].dtype
        return "int32" if self.program.takes_counts and dtype == "float32" else dtype

    def dtype(self, name: str) -> str:
        """Number type of a value in C; a dequantized value stays an integer if it only leaves the program."""
        if any(port.name == name for port in self.program.inputs):
            return self.input_dtype(name)
        return self.program.values[self._root[name]].dtype

    def output_value(self, name: str) -> str:
        """The value that an output port shows."""
        return next(output.value for output in self.program.description.outputs if output.name == name)

    # places

    def _find_roots(self) -> dict[str, str]:
        """Value -> the value whose memory it shares."""
        root = {port.name: port.name for port in self.program.inputs}
        for operation in self.program.operations:
            for name in operation.outputs:
                shares = (isinstance(operation, Rearrange) and _is_reshape(operation)) or self.stays_integer(operation)
                root[name] = root[operation.inputs[0]] if shares else name
        return root

    def stays_integer(self, operation: AnyOperation) -> bool:
        """Whether a Dequantize does nothing: a program that takes the sensor's integers gives integers."""
        return isinstance(operation, Dequantize) and self.program.takes_counts

    def _place_values(self) -> None:
        for port in self.program.inputs:
            self._place[port.name] = self.inputs[port.name]
        if self.program.window is None:
            for output in self.program.description.outputs:
                self._place.setdefault(self._root[output.value], self.outputs[output.name])
        ordered = [*self.update, *self.head]
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for index, operation in enumerate(ordered):
            for name in (*operation.inputs, *operation.outputs):
                first.setdefault(self._root[name], index)
                last[self._root[name]] = index
        for output in self.program.description.outputs:
            last[self._root[output.value]] = len(ordered)
        wanted: dict[str, dict[str, Interval]] = {}
        for root, begin in first.items():
            if root not in self._place:
                value = self.program.values[root]
                wanted.setdefault(value.dtype, {})[root] = Interval(value.size, begin, last[root])
        for index, operation in enumerate(ordered):
            for number, (dtype, size) in enumerate(self._temporaries(operation)):
                wanted.setdefault(dtype, {})[f"{operation.name}\0{number}"] = Interval(size, index, index)
        for dtype, intervals in sorted(wanted.items()):
            offsets, self.scratch[dtype] = place(intervals)
            for name, offset in offsets.items():
                expression = f"scratch->{C_TYPES[dtype].removesuffix('_t')}_values"
                self._place[name] = f"{expression} + {offset}" if offset else expression

    def place(self, name: str) -> str:
        """C expression that points to a value's elements."""
        return self._place[self._root[name]]

    def temporary(self, operation: Operation, number: int = 0) -> str:
        """C expression that points to memory that the operation asked for while it runs."""
        return self._place[f"{operation.name}\0{number}"]

    def value(self, name: str) -> Value:
        """Shape and number type of a value."""
        return self.program.values[name]

    def state(self, region: StateRegion) -> str:
        """C expression that points to a region of a state."""
        expression = f"slots->{self.slots[region.slot]}"
        return f"{expression} + {region.offset}" if region.offset else expression

    # tables and functions

    def table(self, name: str, array: NDArray[Any], what: str, *, aligned: bool = False) -> str:
        """A constant array; the same content is written once. Returns its C name."""
        key = (array.tobytes(), f"{array.dtype}{aligned}")
        if key not in self._table_names:
            unique = f"{self.prefix}_{self._identifiers.add(name, 'table')}"
            attributes = ("EDGERNN_ALIGNED", "EDGERNN_TABLE") if aligned else ("EDGERNN_TABLE",)
            self.tables.append(table(unique, array, names.comment(what), attributes=attributes))
            self._table_names[key] = unique
            self.table_bytes[what] = array.nbytes
        return self._table_names[key]

    def function(self, name: str, text: str) -> str:
        """A small function; `text` has the place holder {name}. Returns its C name."""
        unique = f"{self.prefix}_{self._identifiers.add(name, 'function')}"
        self.functions.append(text.format(name=unique))
        return unique

    def need(self, *pieces: str) -> None:
        """Pieces of the C runtime that the code uses."""
        self.pieces.update(pieces)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch memory."""
        return sum(TYPE_BYTES[dtype] * count for dtype, count in self.scratch.items())


def _is_reshape(operation: Rearrange) -> bool:
    return operation.indices is None and len(operation.inputs) == 1


def _split(program: Program) -> tuple[list[AnyOperation], list[AnyOperation]]:
    """Operations that each step of a window needs, and those that only the outputs of its last step need.

    The states, and outputs that have a number for each frame, need their operations in every step.
    """
    operations = list(program.operations)
    if program.window is None:
        return operations, []
    needed = {output.value for output in program.description.outputs if output.per_frame}
    update: list[AnyOperation] = []
    for operation in reversed(operations):
        reads_state = isinstance(operation, ReadState)  # reads at its own place between the changes of a state
        if operation.changes_state or reads_state or needed.intersection(operation.outputs):
            needed.update(operation.inputs)
            update.insert(0, operation)
    return update, [operation for operation in operations if operation not in update]
