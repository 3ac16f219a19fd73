"""From the operations of a Program to rows of the table that the compiled kernels read (kernels/instructions.py).

One function for each operation: it packs the weights, takes memory and emits one or more rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    ROW_SLOTS,
    STATE_PRELUDE_BYTES,
    GateInstruction,
    GatherInstruction,
    Instruction,
)
from edgernn.program.operations import AnyOperation, Operation, Shape, StateRegion
from edgernn.program.operations.declaration import resolved
from edgernn.program.program import Program

ALIGNMENT = 64  # bytes: a cache line
ROOM = 256  # bytes behind every piece of memory: kernels read and write whole registers, of 64 float32 at most


class Allocation(NamedTuple):
    """A named array inside a block of memory, at a byte offset."""

    name: str
    offset: int
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * self.dtype.itemsize

    def view(self, block: NDArray[np.uint8]) -> NDArray[Any]:
        """The array inside a block of bytes; outer axes of the block come first."""
        content = block[..., self.offset : self.offset + self.size_bytes]
        return content.view(self.dtype).reshape(block.shape[:-1] + self.shape, copy=False)


class ArenaAllocator:
    """A block of memory that is handed out piece by piece."""

    def __init__(self, reserved: int = 0) -> None:
        self._end = reserved

    def take(self, size_bytes: int) -> int:
        """Offset of a new piece, aligned, with `ROOM` behind it."""
        offset = self.size_bytes
        self._end = offset + size_bytes + ROOM
        return offset

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole block."""
        return -(-self._end // ALIGNMENT) * ALIGNMENT


class InstructionBuilder:
    """The instructions of a program while it is being made.

    Attributes
    ----------
    rows, kernels, operation_names : list
        The table, and for each row its kernel and the operation it belongs to.
    raw : dict of int to (Kernel, row)
        What stands in place of rows of the table where sensor counts come in and integers go out.
    arena, state : Memory
        Values of a step; one copy of the state.
    slots : dict of Place
        Where each state slot lies in a copy of the state; float32 slots come first.
    constants : list of (int, ndarray)
        What stands in the arena from the beginning, and where.
    iterations : dict of str to int
        Where in the arena each loop counts its rounds.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.rows: list[list[int]] = []
        self.kernels: list[Kernel] = []
        self.operation_names: list[str] = []
        self.raw: dict[int, tuple[Kernel, list[int]]] = {}
        self.arena = ArenaAllocator()
        self.state = ArenaAllocator(STATE_PRELUDE_BYTES)
        self.slots: dict[str, Allocation] = {}
        self.constants: list[tuple[int, NDArray[Any]]] = []
        self.iterations: dict[str, int] = {}
        for slot in sorted(program.state, key=lambda slot: slot.dtype != "float32"):
            place = Allocation(slot.name, 0, slot.shape, np.dtype(slot.dtype))
            self.slots[slot.name] = place._replace(offset=self.state.take(place.size_bytes))
        self._packed = ArenaAllocator()
        self._pieces: list[tuple[int, NDArray[Any]]] = []
        self._values: dict[str, int] = {}

    def value(self, name: str) -> int:
        """Offset of a value in the arena."""
        if name not in self._values:
            value = self.program.values[name]
            self._values[name] = self.arena.take(value.size * np.dtype(value.dtype).itemsize)
        return self._values[name]

    def alias(self, name: str, same_as: str) -> None:
        """Let a value lie where another does, because it is the same numbers in another shape."""
        self._values[name] = self.value(same_as)

    def region(self, region: StateRegion) -> int:
        """Offset of a region in a copy of the state."""
        place = self.slots[region.slot]
        return place.offset + region.offset * place.dtype.itemsize

    def pack(self, array: NDArray[Any]) -> int:
        """Offset of an array among the packed weights."""
        offset = self._packed.take(array.nbytes)
        self._pieces.append((offset, np.ascontiguousarray(array)))
        return offset

    def pack_or(self, name: str | None, default: NDArray[Any]) -> int:
        """Offset of a weight among the packed weights, of the default where it is absent."""
        return self.pack(default if name is None else self.program.weights[name])

    def fill(self, instruction: type[Instruction], operation: Operation, **own: int) -> Instruction:
        """An instruction whose fields, but for its `own`, are found by their names in what the operation declares.

        Inputs and outputs become offsets in the arena, states offsets in a copy of the state, weights offsets among
        the packed weights; sizes and attributes are numbers. Fields that the operation does not have keep their
        defaults.
        """
        values = tuple(self.program.values[name] for name in operation.inputs)
        sizes, weights = operation.sizes(values, self.program.weights), self.program.weights
        ports = (*zip(operation.input_ports, operation.inputs, strict=False),)
        ports += (*zip(operation.output_ports, operation.outputs, strict=False),)
        places = {port.name: name for port, name in ports}
        fields = dict(own)
        for field in instruction._fields:  # type: ignore[attr-defined]  # a NamedTuple
            if field in own:
                continue
            if field in places:
                fields[field] = self.value(places[field])
            elif field in operation.state_fields:
                fields[field] = self.region(getattr(operation, field))
            elif field in operation.weight_fields:
                fields[field] = self.pack(weights[getattr(operation, field)])
            elif field in sizes:
                fields[field] = sizes[field]
            elif hasattr(operation, field):
                fields[field] = int(getattr(operation, field))
        return instruction(**fields)

    def packed_weights(self) -> NDArray[np.uint8]:
        """All packed weights in one read-only block."""
        block = aligned_bytes((self._packed.size_bytes,))
        for offset, array in self._pieces:
            block[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
        block.setflags(write=False)
        return block

    def emit(self, kernel: Kernel, row: tuple[int, ...], operation_name: str) -> None:
        """Append a row."""
        self.kernels.append(kernel)
        self.rows.append(_whole_row(row))
        self.operation_names.append(operation_name)

    @contextmanager
    def gate(self, kernel: Kernel | None, row: GateInstruction, operation_name: str) -> Iterator[None]:
        """What is emitted inside runs only where a gate lets it; none if `kernel` is None or nothing is emitted."""
        if kernel is None:
            yield
            return
        self.emit(kernel, row, operation_name)
        begin = len(self.rows)
        yield
        if len(self.rows) == begin:
            for column in (self.rows, self.kernels, self.operation_names):
                column.pop()
            return
        self.rows[begin - 1][1] = 8 * ROW_SLOTS * (len(self.rows) - begin)
        self.operation_names[begin - 1] = self.operation_names[begin]

    def emit_raw(self, kernel: Kernel, row: tuple[int, ...]) -> None:
        """What stands in place of the last row for sensor counts."""
        self.raw[len(self.rows) - 1] = (kernel, _whole_row(row))


Lowering: TypeAlias = Callable[[InstructionBuilder, Any], None]


def _whole_row(row: tuple[int, ...]) -> list[int]:
    return [0, *row, *[0] * (ROW_SLOTS - 1 - len(row))]


def aligned_bytes(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeroed bytes that begin at a multiple of `ALIGNMENT`."""
    size = prod(shape)
    block = np.zeros(size + ALIGNMENT, np.uint8)
    begin = -block.ctypes.data % ALIGNMENT
    return block[begin : begin + size].reshape(shape)


def gather(
    builder: InstructionBuilder, offsets: NDArray[np.int64], target: int, operation_name: str, item_bytes: int = 4
) -> None:
    """Emit a row that collects numbers of `item_bytes` from anywhere in the arena."""
    row = GatherInstruction(target=target, offsets=builder.pack(offsets.astype(np.int64)), size=offsets.size)
    builder.emit(Kernel("float32.movement", ("gather", str(item_bytes))), row, operation_name)


def direct(module: str, instruction: type[Instruction], *options: str) -> Lowering:
    """The lowering of an operation that one instruction runs, all of whose fields its declaration has.

    Options of the kernel that are an `Attribute` are taken from the operation.
    """

    def lower(builder: InstructionBuilder, operation: AnyOperation) -> None:
        chosen = tuple(str(resolved(operation, option)) for option in options)
        builder.emit(Kernel(module, chosen), builder.fill(instruction, operation), operation.name)

    return lower
