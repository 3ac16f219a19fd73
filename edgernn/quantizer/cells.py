"""Recurrent cells to integers: formats of states and gates, rows, biases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    AnyOperation,
    ConstantValue,
    GateFunction,
    Gru,
    Int8Gru,
    Int8Lstm,
    Int8Rnn,
    IntegerFunction,
    Lstm,
    RecurrentOperation,
    Rnn,
    WriteState,
)
from edgernn.program.operations.int8.base import GATE_SCALE, SIGNED_SHIFTS, UNIT_SCALE
from edgernn.program.operations.int8.recurrent import NO_CLIP
from edgernn.quantizer.converter import Converter
from edgernn.quantizer.functions import integer_function
from edgernn.reference import float32

Array: TypeAlias = NDArray[Any]

GATES = {"Sigmoid", "HardSigmoid"}  # functions from 0 to 1
BOUNDED = {"Tanh", "Sigmoid", "HardSigmoid", "Softsign"}  # functions from -1 to 1
SLOW = 2.0**-9  # what a gate lets go in a step, below which an int16 state would stick
ROUNDED = 1e-6  # how far a bound of 1 may be off: graphs compute it in float32
SLOW_SHARE = 0.01  # of the steps of a unit


def choose_slots(converter: Converter) -> dict[str, StateSlot]:
    """Number type and scale of every state, by name."""
    slots = {}
    for slot in converter.program.state:
        users = [
            (operation, field)
            for operation in converter.program.operations
            for field in operation.state_fields
            if getattr(operation, field).slot == slot.name
        ]
        cells = [(operation, field) for operation, field in users if isinstance(operation, RecurrentOperation)]
        kept = [operation for operation, _ in cells if operation.name in converter.settings.keep_float]
        if kept and len(kept) < len(cells):
            raise converter.refused(
                next(operation for operation, _ in cells if operation not in kept),
                f"it shares state {slot.name} with {kept[0].name}, which stays in float",
            )
        derived = slot.name not in converter.trace.states  # its format follows from what is written into it
        keeps = kept or derived or slot.dtype != "float32"
        slots[slot.name] = slot if keeps else _integer_slot(converter, slot, cells)
    return slots


def _integer_slot(converter: Converter, slot: StateSlot, cells: Sequence[tuple[RecurrentOperation, str]]) -> StateSlot:
    largest = float(np.abs(converter.trace.states[slot.name]).max())
    bounded = bool(cells) and all(field == "h" and _has_bounded_h(operation) for operation, field in cells)
    if bounded and largest <= 1.0 + 1e-6:
        scale = UNIT_SCALE
    else:
        limit = largest * converter.settings.headroom or 1.0
        if any(field == "c" for _, field in cells):
            limit = max(limit, 1.0)  # the candidate reaches 1, whatever was seen of their sum
        scale = fixed_point.power_of_two(limit) * UNIT_SCALE
    int32_state = not _is_carried(converter, slot) and any(
        _needs_int32(converter, operation, field) for operation, field in cells
    )
    if int32_state:
        return msgspec.structs.replace(slot, dtype="int32", scale=scale / 65536)
    return msgspec.structs.replace(slot, dtype="int16", scale=scale)


def _is_carried(converter: Converter, slot: StateSlot) -> bool:
    """Whether values of 16 bits are written to a cell's state, as where an iteration goes on from what another kept.

    What is more than 16 bits of the state is lost then in any case.
    """
    graph = converter.program.graph
    return any(
        isinstance(write, WriteState)
        and write.region.slot == slot.name
        and not isinstance(graph.writer(write.inputs[0]), ConstantValue)
        for write in converter.program.operations
    )


def _has_bounded_h(cell: RecurrentOperation) -> bool:
    return cell.activations[-1].function in BOUNDED and cell.activations[0].function in BOUNDED


def _needs_int32(converter: Converter, cell: RecurrentOperation, field: str) -> bool:
    """Whether a state that a gate holds moves too slowly for 16 bits."""
    gate = {("Gru", "h"): 0, ("Lstm", "c"): 0 if isinstance(cell, Lstm) and cell.input_forget else 2}.get(
        (type(cell).__name__, field)
    )
    if gate is None or converter.settings.states == "s16" or cell.activations[0].function != "Sigmoid":
        return False
    if converter.settings.states == "s32":
        return True
    H = converter.program.weights[cell.R].shape[1]
    p = gate_inputs(converter, cell)[:, gate * H : (gate + 1) * H]  # (steps, H)
    if isinstance(cell, Lstm) and cell.input_forget:
        p = -p
    return bool(((p > -np.log(SLOW)).mean(axis=0) > SLOW_SHARE).any())


def is_unit_clip(gate: GateFunction) -> bool:
    """Whether a function is a Clip to numbers from 0 to 1."""
    low, high = gate.alpha, gate.beta
    return gate.function == "Clip" and low is not None and high is not None and 0.0 <= low <= high <= 1.0 + ROUNDED


def is_flat_beyond_8(gate: GateFunction) -> bool:
    """Whether a function is so nearly constant beyond ±8 that Q3.12 is enough for its input."""
    if gate.function == "HardSigmoid" or is_unit_clip(gate):
        ends = float32.unary(np.array([-8.0, 8.0]), gate.function, gate.alpha, gate.beta)
        return all(min(abs(end), abs(end - 1.0)) <= ROUNDED for end in ends)
    return gate.function in ("Tanh", "Sigmoid")


def gate_inputs(converter: Converter, cell: RecurrentOperation) -> Array:
    """Inputs of all gates over the calibration, (steps, gates * H); without the reset gate and the peepholes."""
    weights, trace = converter.program.weights, converter.trace
    R = weights[cell.R].astype(np.float64)
    x, h = trace.of_cell(cell.name, weights[cell.W].shape[1])
    p: Array = x @ weights[cell.W].T.astype(np.float64) + h @ R.T
    if cell.B is not None:
        p = p + weights[cell.B].reshape(2, -1).sum(axis=0)
    return p


class CellParts:
    """What the conversion of the three cells has in common."""

    def __init__(self, converter: Converter, cell: RecurrentOperation) -> None:
        self.converter, self.cell = converter, cell
        weights = converter.program.weights
        self.slot = converter.slots[cell.h.slot]
        assert self.slot.scale is not None
        int32_state = self.slot.dtype == "int32"
        self.h_scale = self.slot.scale * (65536 if int32_state else 1)
        self.is_int32_h = int32_state
        self.integer = converter.as_integer(cell.inputs[0])
        self.bits = converter.settings.bits(cell)
        self.W = weights[cell.W].astype(np.float64)  # (gates * H, K)
        self.R = weights[cell.R].astype(np.float64)  # (gates * H, H)
        self.H = self.R.shape[1]
        B = np.zeros(2 * len(self.R)) if cell.B is None else weights[cell.B].astype(np.float64)
        self.W_bias, self.R_bias = B[: len(self.R)], B[len(self.R) :]
        gate = cell.activations[0]
        if cell.gates > 1 and gate.function not in GATES and not is_unit_clip(gate):
            raise converter.refused(cell, f"a gate of {gate.function} is not bounded to [0, 1]")
        if cell.gates > 1 and not is_flat_beyond_8(gate):
            raise converter.refused(cell, f"a gate of {gate.function} with alpha={gate.alpha} changes beyond ±8")

    def input_scale(self, gate: GateFunction, samples: Array, output_scale: float) -> float:
        """Scale of an activation's input: Q3.12 where that is enough, the output's for ReLU, else calibrated."""
        if is_flat_beyond_8(gate):
            return GATE_SCALE
        if gate.function in ("Relu", "Clip") or (gate.function, gate.alpha, gate.beta) == ("Affine", 1.0, 0.0):
            return output_scale
        largest = float(np.abs(samples).max())
        return fixed_point.power_of_two(largest * self.converter.settings.headroom) * UNIT_SCALE

    def quantize_matrices(self, row_scale: Array, reset: Array | None = None) -> dict[str, Any]:
        """Rows of W and R; the means that their rounding loses are added to the biases.

        `reset` holds the reset gates over the calibration, (steps, H), where they come before the last rows of R.
        """
        converter, trace, H = self.converter, self.converter.trace, self.H
        fields, W = converter.rows(self.cell, "W", self.W, converter.scales[self.integer], row_scale, self.bits)
        more, R = converter.rows(self.cell, "R", self.R, self.h_scale, row_scale, self.bits)
        x, h = trace.of_cell(self.cell.name, self.W.shape[1])
        self.W_bias = self.W_bias + converter.lost_mean(self.W, W, x)
        self.R_bias = self.R_bias + converter.lost_mean(self.R, R, h)
        if reset is not None:
            self.R_bias[2 * H :] += converter.lost_mean(self.R[2 * H :], R[2 * H :], (reset - 1) * h)
        return fields | more

    def bias(self, B: Array, scale: Array) -> str:
        """Store the bias."""
        q = fixed_point.quantize_bias(B, scale, f"operation {self.cell.name}")
        return self.converter.add_weight(self.cell, "B", q)

    def clip(self, scales: Array) -> int:
        """The clip of gate inputs in Q3.12."""
        if self.cell.clip is None:
            return NO_CLIP
        if (scales != GATE_SCALE).any():
            raise self.converter.refused(self.cell, "clip with an unbounded activation has no integer form")
        return int(np.clip(np.rint(self.cell.clip / GATE_SCALE), 1, NO_CLIP))

    def function(self, index: int, input_scale: float, output_scale: float) -> IntegerFunction:
        """The integer form of one of the cell's activations."""
        gate = self.cell.activations[index]
        return integer_function(self.converter, self.cell, f"table{index}", gate, input_scale, output_scale)

    def add(self, kind: Callable[..., AnyOperation], row_scale: Array, **fields: Any) -> None:
        """Append the integer cell; `fields` are those that the cells do not have in common."""
        common = {"h": self.cell.h, "operand_bits": self.bits, "clip": self.clip(row_scale)}
        self.converter.add_integer(kind, self.cell, (self.integer,), self.h_scale, **common, **fields)


def convert_rnn(converter: Converter, cell: Rnn) -> None:
    """Elman cell."""
    parts = CellParts(converter, cell)
    gate = cell.activations[0]
    scale = parts.input_scale(gate, gate_inputs(converter, cell), parts.h_scale)
    row_scale = np.full(parts.H, scale)
    fields = parts.quantize_matrices(row_scale)
    fields["B"] = parts.bias(parts.W_bias + parts.R_bias, row_scale)
    parts.add(
        Int8Rnn,
        row_scale,
        activations=(parts.function(0, scale, parts.h_scale),),
        **fields,
    )


def convert_gru(converter: Converter, cell: Gru) -> None:
    """Gated recurrent unit."""
    parts = CellParts(converter, cell)
    H = parts.H
    p = gate_inputs(converter, cell)  # (steps, 3 H)
    candidate = parts.input_scale(cell.activations[1], p[:, 2 * H :], parts.h_scale)
    row_scale = np.repeat([GATE_SCALE, GATE_SCALE, candidate], H)  # (3 H,)
    gate = cell.activations[0]
    reset = float32.unary(p[:, H : 2 * H], gate.function, gate.alpha, gate.beta)
    fields = parts.quantize_matrices(row_scale, None if cell.linear_before_reset else reset)
    if cell.linear_before_reset:
        gates = parts.W_bias[: 2 * H] + parts.R_bias[: 2 * H]
        B = np.concatenate([gates, parts.W_bias[2 * H :], parts.R_bias[2 * H :]])
        B_scale = np.append(row_scale, row_scale[2 * H :])
    else:
        B, B_scale = parts.W_bias + parts.R_bias, row_scale
    fields["B"] = parts.bias(B, B_scale)
    parts.add(
        Int8Gru,
        row_scale,
        activations=(
            parts.function(0, GATE_SCALE, UNIT_SCALE),
            parts.function(1, candidate, parts.h_scale),
        ),
        linear_before_reset=cell.linear_before_reset,
        int32_state=parts.is_int32_h,
        **fields,
    )


def convert_lstm(converter: Converter, cell: Lstm) -> None:
    """Long short-term memory."""
    parts = CellParts(converter, cell)
    H, slot = parts.H, converter.slots[cell.c.slot]
    assert slot.scale is not None
    int32_state = slot.dtype == "int32"
    cell_scale = slot.scale * (65536 if int32_state else 1)
    candidate_gate, output_gate = cell.activations[1:]
    candidate_scale = UNIT_SCALE if candidate_gate.function in BOUNDED else cell_scale
    candidate_input = parts.input_scale(candidate_gate, gate_inputs(converter, cell)[:, 3 * H :], candidate_scale)
    row_scale = np.repeat([GATE_SCALE, GATE_SCALE, GATE_SCALE, candidate_input], H)  # (4 H,)
    fields = parts.quantize_matrices(row_scale)
    fields["B"] = parts.bias(parts.W_bias + parts.R_bias, row_scale)
    if cell.P is not None:
        P = converter.program.weights[cell.P].astype(np.float64) * (cell_scale / GATE_SCALE)
        m, s = fixed_point.multiplier(P, f"operation {cell.name}, peepholes", SIGNED_SHIFTS)
        fields["P_multiplier"] = converter.add_weight(cell, "P_multiplier", m)
        fields["P_shift"] = converter.add_weight(cell, "P_shift", s)
    shared_table = output_gate.function in ("Sigmoid", "Tanh") and parts.h_scale == UNIT_SCALE
    parts.add(
        Int8Lstm,
        row_scale,
        c=cell.c,
        activations=(
            parts.function(0, GATE_SCALE, UNIT_SCALE),
            parts.function(1, candidate_input, candidate_scale),
            parts.function(2, GATE_SCALE if shared_table else cell_scale, parts.h_scale),
        ),
        input_forget=cell.input_forget,
        cell_scale=cell_scale,
        candidate_scale=candidate_scale,
        int32_state=int32_state,
        **fields,
    )


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {Rnn: convert_rnn, Gru: convert_gru, Lstm: convert_lstm}
