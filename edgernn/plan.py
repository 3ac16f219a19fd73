"""Plan: a Program prepared for the compiled kernels. Immutable, shared by all runners of the program.

A Plan holds the weights packed as the kernels read them, the table of operations (kernels/rows.py) and where everything
lies in memory. It holds no state and no address, so many runners can work on one.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError
from edgernn.kernels.library import Kernel, address_of
from edgernn.kernels.rows import ROW_SLOTS, STATE_PRELUDE_BYTES, CopyRow, FrameRow
from edgernn.lowering import LOWERINGS, Place, TableBuilder
from edgernn.lowering_int8 import INT8_LOWERINGS
from edgernn.operations import AnyOperation, ReadState
from edgernn.program import OutputDescription, Program

MAX_BYTES = 1 << 32  # of one runner


class Plan:
    """A Program prepared for the compiled kernels.

    Attributes
    ----------
    kernels : tuple of Kernel
        The kernel of each operation of the table.
    operation_names : tuple of str
        The program's operation that each row of the table belongs to.
    weights : ndarray of uint8
        Packed weights, read-only.
    state_row_count : int
        The first rows of the table, which states need; the others only make outputs. In a window the others run once,
        at its end.
    inputs, outputs : tuple of Place
        Ports, in the arena.
    slots_end, float_slots_end : int
        Where in a copy of the state the slots end, and those of float32, which come first.
    slots, frames : tuple of Place
        State slots, and in a window the frames of its per-frame outputs, in a copy of the state.
    arena_bytes, copy_bytes, copies : int
        Bytes of the values of one step and of one copy of the state; number of copies.

    Raises
    ------
    UnsupportedModelError
        There is no compiled kernel for an operation.
    MalformedModelError
        A runner would need more than 4 GB.
    """

    def __init__(self, program: Program) -> None:
        self.window = program.window
        self.warmup_steps = 0
        self.copies = self.window.copies if self.window else 1
        builder = TableBuilder(program)
        self.inputs = tuple(
            Place(port.name, builder.value(port.name), port.shape, np.dtype(port.dtype)) for port in program.inputs
        )
        for_state, for_outputs = _split(program)
        for operation in for_state:
            _lower(builder, operation)
        frames = [self._collect(output, program, builder) for output in program.description.outputs]
        self.state_row_count = len(builder.rows)
        for operation in for_outputs:
            _lower(builder, operation)
        self.outputs = tuple(
            self._output(output, place, program, builder)
            for output, place in zip(program.description.outputs, frames, strict=True)
        )
        self.frames = tuple(place for place in frames if place is not None)
        self.slots = tuple(builder.slots.values())
        self.slots_end = max([place.offset + place.size_bytes for place in self.slots], default=STATE_PRELUDE_BYTES)
        self.float_slots_end = max(
            [place.offset + place.size_bytes for place in self.slots if place.dtype == np.float32],
            default=STATE_PRELUDE_BYTES,
        )
        self.kernels = tuple(builder.kernels)
        self.operation_names = tuple(builder.operation_names)
        self._table = np.array(builder.rows, np.int64).reshape(-1, ROW_SLOTS)
        self._raw = builder.raw
        self.weights = builder.packed_weights()
        self.arena_bytes = builder.arena.size_bytes
        self.copy_bytes = builder.state.size_bytes
        if self.arena_bytes + self.state_bytes > MAX_BYTES:
            raise MalformedModelError(
                f"a runner would need {self.arena_bytes + self.state_bytes:,} bytes, the most is {MAX_BYTES:,}: "
                "use a shorter window or a longer hop"
            )
        self._initial = {slot.name: program.weights[slot.initial] for slot in program.state if slot.initial is not None}

    def _collect(self, output: OutputDescription, program: Program, builder: TableBuilder) -> Place | None:
        """Let every step of a window put its frame of a per-frame output beside the state."""
        if self.window is None or not output.per_frame:
            return None
        value = program.values[output.value]
        axis, item_bytes = output.time_axis, np.dtype(value.dtype).itemsize
        shape = (*value.shape[:axis], self.window.steps, *value.shape[axis:])
        offset = builder.state.take(prod(shape) * item_bytes)
        builder.emit(
            Kernel("layout", ("collect_frame",)),
            FrameRow(
                source=builder.value(output.value),
                frames=offset,
                outer=prod(value.shape[:axis]),
                piece_bytes=prod(value.shape[axis:]) * item_bytes,
                steps=self.window.steps,
            ),
            output.name,
        )
        return Place(output.name, offset, shape, np.dtype(value.dtype))

    def _output(
        self, output: OutputDescription, frames: Place | None, program: Program, builder: TableBuilder
    ) -> Place:
        """Where an output lies in the arena; the frames of a window are brought there at its end."""
        if frames is None:
            value = program.values[output.value]
            return Place(output.name, builder.value(output.value), value.shape, np.dtype(value.dtype))
        target = builder.arena.take(frames.size_bytes)
        row = CopyRow(source=frames.offset, target=target, size_bytes=frames.size_bytes)
        builder.emit(Kernel("layout", ("read_state",)), row, output.name)
        return frames._replace(offset=target)

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """The operation table with the addresses of this process's kernels, which are compiled where they are new."""
        table = self._table.copy()
        table[:, 0] = [address_of(kernel) for kernel in self.kernels]
        table.setflags(write=False)
        return table

    @cached_property
    def raw_table(self) -> NDArray[np.int64]:
        """The table of an int8 program that takes sensor counts and gives integers, in int32 in place of float32."""
        table = self.table.copy()
        for index, (kernel, row) in self._raw.items():
            table[index] = (address_of(kernel), *row[1:])
        table.setflags(write=False)
        return table

    @cached_property
    def initial_state(self) -> NDArray[np.uint8]:
        """The bytes of all copies of the state after a reset, (copies, copy_bytes)."""
        block = np.zeros((self.copies, self.copy_bytes), np.uint8)
        for place in self.slots:
            if place.name in self._initial:
                place.view(block)[...] = self._initial[place.name]
        self.clocks(block)[...] = self.clocks_after(0)
        block.setflags(write=False)
        return block

    @property
    def window_period(self) -> int:
        """Steps from one window of a copy to its next."""
        return self.copies * self.window.hop if self.window else 0

    def clocks(self, block: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The clock of each copy of a state block, (copies,): steps since the copy's window began, or -steps to go."""
        return Place("clock", 0, (), np.dtype(np.int64)).view(block)

    def clocks_after(self, steps: int) -> NDArray[np.int64]:
        """What the clocks are after a number of steps since the reset, (copies,)."""
        if self.window is None:
            return np.zeros(1, np.int64)
        clocks = steps - self.window.hop * np.arange(self.copies, dtype=np.int64)
        return np.where(clocks < 0, clocks, clocks % self.window_period)

    def frames_within(self, steps: int) -> int:
        """How many of the first `steps` steps after a reset have outputs."""
        if self.window is None:
            return max(0, steps - self.warmup_steps)
        return 0 if steps < self.window.steps else (steps - self.window.steps) // self.window.hop + 1

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.weights.size

    @property
    def state_bytes(self) -> int:
        """Bytes of all copies of the state."""
        return self.copies * self.copy_bytes


def _lower(builder: TableBuilder, operation: AnyOperation) -> None:
    """Append the rows of an operation; those that touch int16 values work in integers."""
    values = builder.program.values
    is_integer = any(values[name].dtype == "int16" for name in (*operation.inputs, *operation.outputs))
    (INT8_LOWERINGS if is_integer else LOWERINGS)[type(operation)](builder, operation)


def _split(program: Program) -> tuple[list[AnyOperation], list[AnyOperation]]:
    """The operations that must run in every step, and those that only make outputs.

    The first are all that change a state, that read one (a later write would change what they read) or whose result
    a per-frame output of a window needs, with everything before them.
    """
    needed = {output.value for output in program.description.outputs if program.window and output.per_frame}
    for_state: list[AnyOperation] = []
    for_outputs: list[AnyOperation] = []
    for operation in reversed(program.operations):
        if operation.changes_state or isinstance(operation, ReadState) or needed.intersection(operation.outputs):
            needed.update(operation.inputs)
            for_state.append(operation)
        else:
            for_outputs.append(operation)
    return for_state[::-1], for_outputs[::-1]


_plans: WeakKeyDictionary[Program, Plan] = WeakKeyDictionary()


def plan_of(program: Program) -> Plan:
    """The Plan of a program; one for all its runners.

    Raises
    ------
    UnsupportedModelError
        There is no compiled kernel for an operation.
    """
    if program not in _plans:
        _plans[program] = Plan(program)
    return _plans[program]
