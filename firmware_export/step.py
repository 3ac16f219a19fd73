"""What the emitters of operations write into: the body of a step, its tables, its scratch memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from edgernn.errors import ExportError
from edgernn.program.description import OutputDescription
from edgernn.program.graph import is_reshape
from edgernn.program.operations import (
    AnyOperation,
    Dequantize,
    Operation,
    PutFrame,
    Repeat,
    StateRegion,
    Value,
)
from edgernn.program.program import Program
from edgernn.program.trees import loop_ranges, walk
from firmware_export import names
from firmware_export.literals import C_TYPES, table
from firmware_export.memory import TYPE_BYTES, Lifetime, place
from firmware_export.schedules import StepCounter, When

Temporaries = Callable[[AnyOperation], Sequence[tuple[str, int]]]

# what generated functions call their own parameters and variables, and what a model's C name is put before
LOCALS = (
    *("state", "scratch", "slots", "step", "ended", "new_frames", "k", "row", "a", "b", "W", "R"),
    *(f"i{axis}" for axis in range(64)),
)
MEMBERS = (
    *("state", "slots", "scratch", "event", "implementation", "implemented"),
    *("body", "reset", "reset_slots", "step", "newest", "flush", "normalise", "decide", "label"),
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
        self._identifiers = names.CNames(MEMBERS)
        repeats = [operation.name for operation in program.operations if isinstance(operation, Repeat)]
        self.iterations = {name: f"round_{number}" for number, name in enumerate(repeats)}  # of each Repeat
        for name, value in program.values.items():
            if value.dtype not in C_TYPES:
                raise ExportError(f"value {name} is {value.dtype}, which cannot be written as C")
        self.clock = StepCounter(program)
        local = [*LOCALS, *self.iterations.values(), *self.clock.flags.values()]
        parameters = names.CNames([*local, *names.MACROS], beginnings=("edgernn_", "frames_of_", f"{prefix}_"))
        self.inputs = {port.name: parameters.add(port.name, "input") for port in program.inputs}
        self.outputs = {port.name: parameters.add(port.name, "output") for port in program.outputs}
        fields = names.CNames(["scratch", "decision", *names.MACROS])
        self.slots = {slot.name: fields.add(slot.name, "state") for slot in program.state}
        self.kept = self._find_kept()
        self.update, self.head = self._parts()
        self._root = self._find_roots()
        self.runs: dict[str, When] = {}  # operation -> the steps in which it runs
        self.made = {port.name: When() for port in program.inputs}  # value -> the steps in which it is written
        self._find_steps([*self.update, *self.head], When(tail=self.clock.tail_steps))
        self._check_readers()
        self._place: dict[str, str] = {}  # root value -> C expression
        self.flags_in_use: set[str] = set()
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
                shares = is_reshape(operation) or self.stays_integer(operation)
                root[name] = root[operation.inputs[0]] if shares else name
        return root

    def stays_integer(self, operation: AnyOperation) -> bool:
        """Whether a Dequantize does nothing: a program that takes the sensor's integers gives integers."""
        return isinstance(operation, Dequantize) and self.program.takes_counts

    def _find_kept(self) -> list[OutputDescription]:
        """Outputs of a window that wait in the state for its last step: frames, and what is made before that step."""
        window = self.program.staggered
        if window is None:
            return []
        last = window.steps - 1 + self.clock.tail_steps
        outputs = self.program.description.outputs
        return [output for output in outputs if self.clock.last_step(output, window.steps) < last or output.per_frame]

    def _parts(self) -> tuple[list[AnyOperation], list[AnyOperation]]:
        """What each step runs, and what only the last step of a window does."""
        if self.program.staggered is None:
            return list(self.program.description.operations), []
        return self.program.graph.parts([output.value for output in self.kept])

    def _find_steps(self, operations: Iterable[AnyOperation], outer: When) -> None:
        """When each operation runs; values live within one step, so all readers must run when the writer does.

        Raises
        ------
        ExportError
            They do not.
        """
        clock = self.clock
        for operation in operations:
            runs = clock.within(outer, clock.written(operation))
            made = None if runs is None else clock.within(runs, clock.produced(operation))
            read = None if runs is None else clock.within(runs, clock.when(operation.when))
            if runs is None or made is None or read is None:
                raise ExportError(f"operation {operation.name}: its schedule does not fit the Repeat around it")
            for name in operation.inputs:
                if not clock.covers(self.made[name], read):
                    raise ExportError(
                        f"operation {operation.name} reads {name} in steps in which it is not written: what is kept "
                        "from step to step must be a state"
                    )
            self.runs[operation.name] = runs
            self.made |= dict.fromkeys(operation.outputs, made)
            if isinstance(operation, Repeat):
                self._find_steps(operation.body, runs)

    def _check_readers(self) -> None:
        """Outputs are made when they are due, and what a Repeat collects is read when its rounds are over."""
        for output in self.program.description.outputs:
            if not self.clock.covers(self.made[output.value], self.clock.when(output.when)):
                raise ExportError(f"output {output.name} is due in steps in which {output.value} is not written")
        ordered = list(walk([*self.update, *self.head]))
        ranges = loop_ranges([*self.update, *self.head])
        collected = {name: ranges[put.loop] for put in ordered if isinstance(put, PutFrame) for name in put.outputs}
        for index, operation in enumerate(ordered):
            for name in operation.inputs:
                if name in collected and index <= collected[name][1]:
                    raise ExportError(f"operation {operation.name} reads {name} before all its frames are there")

    def flag(self, when: When) -> str:
        """C variable that is true in these steps; empty if they are all."""
        flag = self.clock.flags.get(when, "")
        self.flags_in_use |= {flag} - {""}
        return flag

    @property
    def read(self) -> set[str]:
        """Values that operations read."""
        return {name for operation in self.program.operations for name in operation.inputs}

    @property
    def runs_tail(self) -> bool:
        """Whether each step runs the tail of its prefix on a copy of the states."""
        return self.program.runs_tail_in_each_step

    @property
    def flushed(self) -> list[OutputDescription]:
        """Outputs of which frames may come at the end of a stream."""
        outputs = self.program.description.outputs
        if self.program.staggered is not None or not self.clock.tail_steps:
            return []
        # with runs_tail, those of the whole sequence have come already
        return [
            output for output in outputs if (not self.runs_tail if output.when.at_end else output.when.tail_steps > 0)
        ]

    def may_be_null(self, output: OutputDescription) -> bool:
        """Whether some calls of the body do not take an output."""
        return self.runs_tail or (bool(self.flushed) and output not in self.flushed)

    def _place_values(self) -> None:
        for port in self.program.inputs:
            self._place[port.name] = self.inputs[port.name]
        for output in self.program.description.outputs if self.program.staggered is None else ():
            root = self._root[output.value]
            if self.made[root] == self.clock.when(output.when) and not self.may_be_null(output):
                self._place.setdefault(root, self.outputs[output.name])
        ordered = list(walk([*self.update, *self.head]))
        ranges = loop_ranges([*self.update, *self.head])
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for index, operation in enumerate(ordered):
            for name in operation.outputs:
                begin = ranges[operation.loop][0] if isinstance(operation, PutFrame) else index
                first.setdefault(self._root[name], begin)
            for name in (*operation.inputs, *operation.outputs):
                root = self._root[name]
                first.setdefault(root, index)
                # what comes from outside of a loop is needed in each of its rounds
                around = [stop for start, stop in ranges.values() if first[root] < start <= index <= stop]
                last[root] = max([index, last.get(root, 0), *around])
        for output in self.program.description.outputs:
            last[self._root[output.value]] = len(ordered)
        wanted: dict[str, dict[str, Lifetime]] = {}
        for root, begin in first.items():
            if root not in self._place:
                value = self.program.values[root]
                wanted.setdefault(value.dtype, {})[root] = Lifetime(value.size, begin, last[root])
        for index, operation in enumerate(ordered):
            for number, (dtype, size) in enumerate(self._temporaries(operation)):
                wanted.setdefault(dtype, {})[f"{operation.name}\0{number}"] = Lifetime(size, index, index)
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
