"""From the operations of a Program to rows of the table that the compiled kernels read (kernels/rows.py).

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
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import pack_panels, pack_single_panel, pack_units, panel_lanes
from edgernn.kernels.instructions import (
    ROW_SLOTS,
    STATE_PRELUDE_BYTES,
    CellInstruction,
    DenseInstruction,
    ElementwiseInstruction,
    GateInstruction,
    GatherInstruction,
    SoftmaxInstruction,
)
from edgernn.program.operations import (
    UNARY_FUNCTIONS,
    Binary,
    Dense,
    Gru,
    Lstm,
    RecurrentOperation,
    Rnn,
    Shape,
    Softmax,
    StateRegion,
    Unary,
)
from edgernn.program.program import Program

ALIGNMENT = 64  # bytes: a cache line
ROOM = 256  # bytes behind every piece of memory: kernels read and write whole registers, of 64 float32 at most
GATE_DEFAULTS = {**UNARY_FUNCTIONS, "Affine": (1.0, 0.0), "ScaledTanh": (1.0, 1.0)}
Floats: TypeAlias = NDArray[np.float32]
MAX_FLOAT32 = float(np.finfo(np.float32).max)


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


def _whole_row(row: tuple[int, ...]) -> list[int]:
    return [0, *row, *[0] * (ROW_SLOTS - 1 - len(row))]


def aligned_bytes(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeroed bytes that begin at a multiple of `ALIGNMENT`."""
    size = prod(shape)
    block = np.zeros(size + ALIGNMENT, np.uint8)
    begin = -block.ctypes.data % ALIGNMENT
    return block[begin : begin + size].reshape(shape)


# ---- recurrent cells


def _gates(builder: InstructionBuilder, operation: RecurrentOperation) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights by gate: W (gates, hidden, input), R (gates, hidden, hidden), their biases (gates, hidden) each."""
    weights = builder.program.weights
    W, R = weights[operation.W], weights[operation.R]
    gates, hidden_size = operation.gates, R.shape[1]
    B = np.zeros(2 * len(R), np.float32) if operation.B is None else weights[operation.B]
    Wb, Rb = B.reshape(2, gates, hidden_size)
    return W.reshape(gates, hidden_size, -1), R.reshape(gates, hidden_size, hidden_size), Wb, Rb


def _gate_constants(operation: RecurrentOperation) -> Floats:
    """Clip, then alpha and beta of each gate function."""
    constants = [operation.clip or 0.0]
    for gate in operation.activations:
        constants += _function_constants(gate.function, gate.alpha, gate.beta)
    return np.array(constants, np.float32)


def _function_constants(function: str, alpha: float | None, beta: float | None) -> tuple[float, float]:
    if function == "Clip":
        return -MAX_FLOAT32 if alpha is None else alpha, MAX_FLOAT32 if beta is None else beta
    default_alpha, default_beta = GATE_DEFAULTS[function]
    return (default_alpha or 0.0) if alpha is None else alpha, (default_beta or 0.0) if beta is None else beta


def _function_names(operation: RecurrentOperation) -> tuple[str, ...]:
    return "free" if operation.clip is None else "clip", *(gate.function for gate in operation.activations)


def _cell_row(builder: InstructionBuilder, operation: RecurrentOperation, gates: slice, lanes: int) -> CellInstruction:
    """The row with what all cells have; W and R hold the panels of `gates`."""
    W, R, Wb, Rb = _gates(builder, operation)
    _, hidden_size, input_size = W.shape
    panels = -(-hidden_size // lanes)
    return CellInstruction(
        x=builder.value(operation.inputs[0]),
        h=builder.region(operation.h),
        y=builder.value(operation.outputs[0]),
        W=builder.pack(pack_panels(W[gates], Wb[gates], lanes)),
        R=builder.pack(pack_panels(R[gates], Rb[gates], lanes)),
        constants=builder.pack(_gate_constants(operation)),
        input_size=input_size,
        hidden_size=hidden_size,
        panels=panels,
        turn=builder.arena.take(8),
    )


def _cell_lanes(builder: InstructionBuilder, operation: RecurrentOperation) -> int:
    hidden_size = builder.program.weights[operation.R].shape[1]
    return panel_lanes(hidden_size, operation.gates, processor().lanes)


def _lower_rnn(builder: InstructionBuilder, operation: Rnn) -> None:
    lanes = _cell_lanes(builder, operation)
    row = _cell_row(builder, operation, slice(None), lanes)
    builder.emit(Kernel("float32.recurrent.rnn", (str(lanes), *_function_names(operation))), row, operation.name)


def _lower_gru(builder: InstructionBuilder, operation: Gru) -> None:
    lanes = _cell_lanes(builder, operation)
    if operation.linear_before_reset:
        kernel = Kernel("float32.recurrent.gru", ("after", str(lanes), *_function_names(operation)))
        builder.emit(kernel, _cell_row(builder, operation, slice(None), lanes), operation.name)
        return
    row = _cell_row(builder, operation, slice(2), lanes)
    W, R, Wb, Rb = _gates(builder, operation)
    row = row._replace(
        scratch=builder.arena.take(2 * 4 * row.panels * lanes),
        W_reset=builder.pack(pack_panels(W[2:], Wb[2:], lanes)),
        R_reset=builder.pack(pack_panels(R[2:], Rb[2:], lanes)),
    )
    builder.emit(
        Kernel("float32.recurrent.gru", ("before", str(lanes), *_function_names(operation))), row, operation.name
    )


def _lower_lstm(builder: InstructionBuilder, operation: Lstm) -> None:
    lanes = _cell_lanes(builder, operation)
    row = _cell_row(builder, operation, slice(None), lanes)
    row = row._replace(c=builder.region(operation.c), scratch=builder.arena.take(4 * row.panels * lanes))
    if operation.P is not None:
        P = builder.program.weights[operation.P].reshape(3, -1)
        row = row._replace(P=builder.pack(pack_units(P, lanes)))
    peepholes = "open" if operation.P is None else "peepholes"
    forget = "coupled" if operation.input_forget else "forget"
    kernel = Kernel("float32.recurrent.lstm", (str(lanes), peepholes, forget, *_function_names(operation)))
    builder.emit(kernel, row, operation.name)


# ---- the others


FUSED_FUNCTIONS = ("Relu", "Tanh", "Sigmoid")  # that a Dense applies to its result itself


def lower_dense(builder: InstructionBuilder, operation: Dense, activation: Unary | None = None) -> None:
    """Emit a Dense and, where its result goes nowhere else, the function of that."""
    W = builder.program.weights[operation.W]
    B = None if operation.B is None else builder.program.weights[operation.B][np.newaxis]
    output_size, input_size = W.shape
    lanes = processor().lanes
    rows = 1 << (output_size - 1).bit_length()
    form = "narrow" if rows < lanes else "panels"
    if form == "narrow":
        packed = pack_single_panel(W, None if B is None else B[0], rows, lanes)
        lanes = rows
    else:
        lanes = panel_lanes(output_size, 1, lanes)
        packed = pack_panels(W[np.newaxis], B, lanes)
    row = DenseInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value((activation or operation).outputs[0]),
        W=builder.pack(packed),
        rows=builder.program.values[operation.inputs[0]].size // input_size,
        input_size=input_size,
        output_size=output_size,
        panels=-(-output_size // lanes),
    )
    function = "none" if activation is None else activation.function
    builder.emit(Kernel("float32.products.dense", (form, str(lanes), function)), row, operation.name)


def _lower_unary(builder: InstructionBuilder, operation: Unary) -> None:
    constants = _function_constants(operation.function, operation.alpha, operation.beta)
    row = ElementwiseInstruction(
        a=builder.value(operation.inputs[0]),
        b=builder.pack(np.array(constants, np.float32)),
        y=builder.value(operation.outputs[0]),
        size=builder.program.values[operation.outputs[0]].size,
    )
    builder.emit(Kernel("float32.elementwise", ("unary", operation.function)), row, operation.name)


def _lower_binary(builder: InstructionBuilder, operation: Binary) -> None:
    output = builder.program.values[operation.outputs[0]]
    sides = [("arena", _broadcast(builder, name, output.shape, operation.name)) for name in operation.inputs]
    if operation.constant is not None:
        constant = np.broadcast_to(builder.program.weights[operation.constant], output.shape)
        sides.insert(0 if operation.constant_side == "left" else 1, ("weights", builder.pack(constant)))
    (a_place, a), (b_place, b) = sides
    row = ElementwiseInstruction(a=a, b=b, y=builder.value(operation.outputs[0]), size=output.size)
    builder.emit(Kernel("float32.elementwise", ("binary", operation.function, a_place, b_place)), row, operation.name)


def _broadcast(builder: InstructionBuilder, name: str, shape: Shape, operation_name: str) -> int:
    """Offset of a value repeated to `shape`; the value's own where nothing is repeated."""
    value = builder.program.values[name]
    if value.size == prod(shape):
        return builder.value(name)
    indices = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape).ravel()
    target = builder.arena.take(4 * indices.size)
    gather(builder, builder.value(name) + 4 * indices, target, operation_name)
    return target


def gather(
    builder: InstructionBuilder, offsets: NDArray[np.int64], target: int, operation_name: str, item_bytes: int = 4
) -> None:
    """Emit a row that collects numbers of `item_bytes` from anywhere in the arena."""
    row = GatherInstruction(target=target, offsets=builder.pack(offsets.astype(np.int64)), size=offsets.size)
    builder.emit(Kernel("float32.movement", ("gather", str(item_bytes))), row, operation_name)


def _lower_softmax(builder: InstructionBuilder, operation: Softmax) -> None:
    value = builder.program.values[operation.inputs[0]]
    row = SoftmaxInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        rows=value.size // value.shape[-1],
        size=value.shape[-1],
    )
    form = "logarithm" if operation.logarithm else "plain"
    lanes = min(processor().lanes, max(4, 1 << (row.size - 1).bit_length()))
    length = "short" if row.size <= lanes else "long"
    builder.emit(Kernel("float32.reductions.softmax", (form, length, str(lanes))), row, operation.name)


LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    Rnn: _lower_rnn,
    Gru: _lower_gru,
    Lstm: _lower_lstm,
    Dense: lower_dense,
    Unary: _lower_unary,
    Binary: _lower_binary,
    Softmax: _lower_softmax,
}
