"""Plan: a Program prepared for the compiled kernels. Immutable, shared by all runners of the program.

A Plan holds the weights packed as the kernels read them, the instructions (kernels/instructions.py) and where all
lies in memory. It holds no state and no address, so many runners can work on one.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError, UnsupportedModelError
from edgernn.kernels.codegen.library import Kernel, address_of
from edgernn.kernels.instructions import (
    CLOCK,
    END,
    ENDLESS,
    ROW_SLOTS,
    STATE_PRELUDE_BYTES,
    CopyInstruction,
    FrameInstruction,
    OutputSchedule,
)
from edgernn.program.description import OutputDescription
from edgernn.program.operations import (
    EVERY_STEP,
    DelayLine,
    Lookup,
    PutFrame,
    Rearrange,
    Schedule,
    TakeFrame,
)
from edgernn.program.program import Program
from edgernn.runtime.lowering.operations import NO_GATE, gate_of, lower_operations
from edgernn.runtime.lowering.table import Allocation, InstructionBuilder, aligned_bytes

ANY_ROWS = 1 << 31  # of an id that meets no table
MAX_BYTES = 1 << 32  # of one runner
MAX_OUTPUT_SCHEDULES = 62  # bits of an int64, but for two


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
    output_schedules : tuple of OutputSchedule
        The schedules that outputs have.
    output_schedule_indices : tuple of int
        The beat of each output.
    id_rows : dict of str to ndarray
        Inputs whose numbers choose rows of tables, and how many rows the smallest of these has.
    slots_end, float_slots_end : int
        Where in a copy of the state the slots end, and those of float32, which come first.
    slots, frames : tuple of Place
        State slots, and in a staggered window the frames of its outputs that are collected, in a copy of the state.
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
        self.window = program.staggered
        self.tail_steps = program.tail_steps
        self.runs_prefix = program.runs_tail_in_each_step
        self.copies = self.window.copies if self.window else 1
        builder = InstructionBuilder(program)
        self.inputs = tuple(
            Allocation(port.name, builder.value(port.name), port.shape, np.dtype(port.dtype)) for port in program.inputs
        )
        for_state, for_outputs = program.graph.parts(_collected_early(program))
        lower_operations(builder, for_state)
        outputs = program.description.outputs
        frames = [self._collect(output, program, builder) for output in outputs]
        self.state_row_count = len(builder.rows)
        lower_operations(builder, for_outputs)
        self.outputs = tuple(
            self._output(output, place, program, builder) for output, place in zip(outputs, frames, strict=True)
        )
        self.output_schedules, self.output_schedule_indices = _output_schedules(program)
        self.id_rows = _id_rows(program)
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
        self._constants = builder.constants
        self.weights = builder.packed_weights()
        self.arena_bytes = builder.arena.size_bytes
        self.copy_bytes = builder.state.size_bytes
        if self.arena_bytes + self.state_bytes > MAX_BYTES:
            raise MalformedModelError(
                f"a runner would need {self.arena_bytes + self.state_bytes:,} bytes, the most is {MAX_BYTES:,}: "
                "use a shorter window or a longer hop"
            )
        self._initial = {slot.name: program.weights[slot.initial] for slot in program.state if slot.initial is not None}

    def _collect(self, output: OutputDescription, program: Program, builder: InstructionBuilder) -> Allocation | None:
        """Let every step of a staggered window put its frame of an output beside the state.

        That is the output's next frame or, where one frame is all there is, the latest; what comes at the window's end
        needs no keeping.
        """
        if self.window is None or not _is_collected(output):
            return None
        value = program.values[output.value]
        axis, item_bytes = output.time_axis, np.dtype(value.dtype).itemsize
        count = output.when.frames(self.window.steps) if output.per_frame else 1
        shape = output.window_shape(value.shape, self.window.steps)
        offset = builder.state.take(prod(shape) * item_bytes)
        kernel, gate = gate_of(output.when, self.tail_steps)
        with builder.gate(kernel, gate, output.name):
            row = FrameInstruction(
                source=builder.value(output.value),
                frames=offset,
                outer=prod(value.shape[:axis]) if output.per_frame else 1,
                piece_bytes=prod(value.shape[axis:] if output.per_frame else value.shape) * item_bytes,
                count=count,
                first=output.when.first if output.per_frame else 0,
                period=output.when.period if output.per_frame else ENDLESS,
            )
            builder.emit(Kernel("float32.movement", ("collect_frame",)), row, output.name)
        return Allocation(output.name, offset, shape, np.dtype(value.dtype))

    def _output(
        self, output: OutputDescription, frames: Allocation | None, program: Program, builder: InstructionBuilder
    ) -> Allocation:
        """Where an output lies in the arena; the frames of a window are brought there at its end."""
        if frames is not None:
            target = builder.arena.take(frames.size_bytes)
            kernel, gate = gate_of(Schedule(at_end=True), self.tail_steps)
            with builder.gate(kernel, gate, output.name):
                row = CopyInstruction(source=frames.offset, target=target, size_bytes=frames.size_bytes)
                builder.emit(Kernel("float32.movement", ("read_state",)), row, output.name)
            return frames._replace(offset=target)
        value = program.values[output.value]
        place = Allocation(output.name, builder.value(output.value), value.shape, np.dtype(value.dtype))
        if not self.runs_prefix or output.when.at_end:
            return place
        # the tail of the stream so far, which each step runs, must leave this output alone
        target = builder.arena.take(place.size_bytes)
        with builder.gate(Kernel("float32.loops", ("stream",)), NO_GATE, output.name):
            row = CopyInstruction(source=place.offset, target=target, size_bytes=place.size_bytes)
            builder.emit(Kernel("float32.movement", ("copy",)), row, output.name)
        return place._replace(offset=target)

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """The instructions with the addresses of this process's kernels, which are compiled where they are new."""
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
        self.set_clocks(block, 0)
        block.setflags(write=False)
        return block

    def initial_arena(self) -> NDArray[np.uint8]:
        """The values of a step before the first one: zeros and constants."""
        block = aligned_bytes((self.arena_bytes,))
        for offset, array in self._constants:
            Allocation("constant", offset, array.shape, array.dtype).view(block)[...] = array
        return block

    @property
    def window_period(self) -> int:
        """Steps from one window of a copy to its next."""
        return self.copies * self.window.hop if self.window else 0

    def set_clocks(self, block: NDArray[np.uint8], steps: int) -> None:
        """Set the preludes of all copies of a state block to what they are after a number of steps since the reset."""
        clocks = np.full(self.copies, steps, np.int64)
        if self.window is not None:  # steps since the copy's window began, or -steps to go
            clocks -= self.window.hop * np.arange(self.copies, dtype=np.int64)
            clocks = np.where(clocks < 0, clocks, clocks % self.window_period)
        Allocation("clock", CLOCK, (), np.dtype(np.int64)).view(block)[...] = clocks
        Allocation("end", END, (), np.dtype(np.int64)).view(block)[...] = ENDLESS

    def frames_within(self, steps: int, schedule: int = 0) -> int:
        """How many of the first `steps` steps after a reset have outputs of a beat."""
        first, period, *_ = self.output_schedules[schedule]
        return max(0, (steps - 1 - first) // period + 1)

    def frames_in_tail(self, steps: int, schedule: int = 0) -> int:
        """How many steps of the tail of a sequence of `steps` steps have outputs of a beat."""
        _, period, extra, at_end, least = self.output_schedules[schedule]
        if self.window is not None or not self.tail_steps:
            return 0
        if at_end:
            return int(steps > least)
        frames = min(self.frames_within(steps + self.tail_steps, schedule), (steps + extra) // period)
        return max(0, frames - self.frames_within(steps, schedule))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.weights.size

    @property
    def state_bytes(self) -> int:
        """Bytes of all copies of the state."""
        return self.copies * self.copy_bytes


def _is_collected(output: OutputDescription) -> bool:
    """Whether an output of a staggered window may come before the window's last step."""
    return output.per_frame or not (output.when.at_end or output.when == EVERY_STEP)


def _collected_early(program: Program) -> set[str]:
    """Values that each step must make for the collected outputs of a staggered window."""
    if program.staggered is None:
        return set()
    return {output.value for output in program.description.outputs if _is_collected(output)}


def _output_schedules(program: Program) -> tuple[tuple[OutputSchedule, ...], tuple[int, ...]]:
    """The different schedules of the outputs, and which one each output has."""
    rows = [_schedule_of(output.when, program) for output in program.description.outputs]
    output_schedules = tuple(dict.fromkeys(rows))
    if len(output_schedules) > MAX_OUTPUT_SCHEDULES:
        raise UnsupportedModelError(
            f"the outputs come at {len(output_schedules)} different paces, "
            f"the most is {MAX_OUTPUT_SCHEDULES}: leave some of them out"
        )
    return output_schedules, tuple(output_schedules.index(row) for row in rows)


def _schedule_of(when: Schedule, program: Program) -> OutputSchedule:
    if program.staggered is not None:
        window = program.staggered
        return OutputSchedule(window.steps - 1, window.hop, -ENDLESS, 0, 0)
    if not when.at_end:
        return OutputSchedule(when.first, when.period, when.extra, 0, 0)
    if program.tail_steps and program.description.tail == "flush":
        return OutputSchedule(ENDLESS, 1, 0, 1, when.first)
    return OutputSchedule(when.first, 1, -ENDLESS, 0, 0)  # each step has given all of the stream so far


def _id_rows(program: Program) -> dict[str, NDArray[np.int64]]:
    """For each input that reaches a Lookup without being changed, the rows of the table that each of its numbers meets.

    Of several tables the least counts; a number that meets none has ANY_ROWS.
    """
    rows: dict[str, NDArray[np.int64]] = {}
    origins: dict[
        str, NDArray[np.int64]
    ] = {}  # (ways, size): where each number of a value may come from; -1 for nowhere
    starts: dict[str, int] = {}
    total = 0
    for port in program.inputs:
        if port.dtype != "float32":
            starts[port.name] = total
            origins[port.name] = np.arange(total, total + port.size)[np.newaxis]
            total += port.size
    least = np.full(total, ANY_ROWS)
    for operation in program.operations:
        if not any(name in origins for name in operation.inputs):
            continue
        if isinstance(operation, Lookup):
            places = origins[operation.inputs[0]].ravel()
            places = places[places >= 0]
            least[places] = np.minimum(least[places], len(program.weights[operation.table]))
        elif isinstance(operation, Rearrange | DelayLine | TakeFrame | PutFrame):
            ways = max(len(origins[name]) for name in operation.inputs if name in origins)
            joined = []
            for name in operation.inputs:
                known = origins.get(name, np.zeros((0, program.values[name].size), np.int64))
                joined.append(np.pad(known, ((0, ways - len(known)), (0, 0)), constant_values=-1))
            origins[operation.outputs[0]] = _moved(operation, np.concatenate(joined, 1), program)
    for name, start in starts.items():
        own = least[start : start + program.values[name].size]
        if (own < ANY_ROWS).any():
            rows[name] = own
    return rows


def _moved(
    operation: Rearrange | DelayLine | TakeFrame | PutFrame, origins: NDArray[np.int64], program: Program
) -> NDArray[np.int64]:
    """Where the numbers of an operation's output come from, (ways, size)."""
    size = program.values[operation.outputs[0]].size
    if isinstance(operation, TakeFrame):
        return origins.reshape(-1, size)  # of any row
    if isinstance(operation, Rearrange) and operation.indices is not None:
        return origins[:, program.weights[operation.indices].ravel()]
    return np.tile(origins, (1, size // origins.shape[1]))


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
