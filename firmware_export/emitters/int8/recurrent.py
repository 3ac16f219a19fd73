"""Integer recurrent cells, and 32-bit states that are written out, in C."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgernn.program.operations import (
    Int8FineGate,
    Int8Gru,
    Int8Lstm,
    Int8RecurrentOperation,
    Int8Rnn,
    Int32StateTerm,
    Int32StateUpdate,
    StateMatrix,
)
from edgernn.program.program import Program
from firmware_export.emitters.c_loops import count, elementwise
from firmware_export.emitters.calls import Emitter
from firmware_export.emitters.int8.elementwise import function
from firmware_export.emitters.int8.products import (
    Array,
    Order,
    alternating,
    constants_table,
    matrix_rows,
    scales,
    unchanged,
)
from firmware_export.packing import BLOCK, blocks, by_unit, fours, scale_words
from firmware_export.step import StepWriter


def _unit_constants(W: Array, R: Array, B: Array, sizes: list[int]) -> Array:
    """For each panel, scale and bias of each row of W, then the scales of R."""
    ends = np.cumsum(sizes)
    parts = []
    for end, size in zip(ends, sizes, strict=True):
        rows = slice(end - size, end)
        parts += [alternating(W[rows], B[rows]), R[rows]]
    return np.concatenate(parts)


class GateLayout(NamedTuple):
    """How the rows of a cell's matrices lie in memory."""

    orders: tuple[Order, Order]  # of the rows of W and of R
    sizes: list[int]  # rows of each panel


class CellArguments(NamedTuple):
    """Arguments of a cell's kernel that are not the same for all cells, as C."""

    states: list[str]
    constants: str
    before_gates: list[str]
    after_gates: list[str]


def _cell(
    step: StepWriter, operation: Int8RecurrentOperation, kernel: str, layout: GateLayout, own: CellArguments
) -> list[str]:
    """The call of a cell's kernel: input, states, matrices, constants, functions, output, memory."""
    step.need(kernel)
    declarations = [
        matrix_rows(step, operation, field, order, layout.sizes)
        for field, order in zip("WR", layout.orders, strict=True)
    ]
    gates = [
        function(step, f"{operation.name}_{letter}", gate)
        for letter, gate in zip("fgh", operation.activations, strict=False)
    ]
    weights = step.program.weights
    arguments = [
        *(step.place(operation.inputs[0]), str(weights[operation.W].shape[1])),
        *own.states,
        *(str(weights[operation.R].shape[1]), "&W", "&R", own.constants),
        *own.before_gates,
        *gates,
        *own.after_gates,
        *(step.place(operation.outputs[0]), step.temporary(operation)),
    ]
    lines = [*declarations, f"edgernn_{kernel}({', '.join(arguments)});"]
    return ["{", *("    " + line for line in lines), "}"]


def cell_temporaries(program: Program, operation: Int8RecurrentOperation) -> list[tuple[str, int]]:
    """Operands: the input, the state, and the reset state of a GRU whose reset gate comes first."""
    columns, hidden_size = program.weights[operation.W].shape[1], program.weights[operation.R].shape[1]
    states = 2 if isinstance(operation, Int8Gru) and not operation.linear_before_reset else 1
    return [("int16", BLOCK * (blocks(columns) + states * blocks(hidden_size)))]


def rnn(step: StepWriter, operation: Int8Rnn) -> list[str]:
    """The Elman cell, four units a panel."""
    sizes = fours(step.program.weights[operation.R].shape[0])
    W, R, B = scales(step, operation, "W"), scales(step, operation, "R"), step.program.weights[operation.B]
    constants = constants_table(step, operation, _unit_constants(W, R, B, sizes))
    own = CellArguments([step.state(operation.h)], constants, [], [str(operation.clip)])
    return _cell(step, operation, "rnn_int8", GateLayout((unchanged, unchanged), sizes), own)


def gru(step: StepWriter, operation: Int8Gru) -> list[str]:
    """The gated recurrent unit, the three gates of a unit in a panel, or single rows if the reset gate comes first."""
    hidden_size = step.program.weights[operation.R].shape[1]
    W, R, B = scales(step, operation, "W"), scales(step, operation, "R"), step.program.weights[operation.B]
    h, clip = step.state(operation.h), [str(operation.clip)]
    if not operation.linear_before_reset:
        sizes = [1] * (3 * hidden_size)
        constants = constants_table(
            step, operation, _unit_constants(_reset_first(W), _reset_first(R), _reset_first(B), sizes)
        )
        own = CellArguments([h, str(int(operation.int32_state))], constants, [], clip)
        return _cell(step, operation, "gru_reset_first_int8", GateLayout((_reset_first, _reset_first), sizes), own)
    W_z, W_r, W_h = np.split(W, 3)
    R_z, R_r, R_h = np.split(R, 3)
    B_z, B_r, B_h, B_recurrent = np.split(B, 4)
    columns = [W_h, B_h, W_z, B_z, W_r, B_r, R_z, R_r, R_h, B_recurrent]  # (units,) each
    constants = constants_table(step, operation, np.stack(columns, axis=1).ravel())
    layout = GateLayout((lambda rows: by_unit(_gates_first(rows), 3), lambda rows: by_unit(rows, 3)), [3] * hidden_size)
    kernel = "gru_wide_int8" if operation.int32_state else "gru_int8"
    return _cell(step, operation, kernel, layout, CellArguments([h], constants, [], clip))


def lstm(step: StepWriter, operation: Int8Lstm) -> list[str]:
    """The long short-term memory, the four gates of a unit in a panel."""
    weights = step.program.weights
    hidden_size = weights[operation.R].shape[1]
    peepholes = "0"
    if operation.P_multiplier is not None and operation.P_shift is not None:
        words = by_unit(scale_words(weights[operation.P_multiplier], weights[operation.P_shift]), 3)
        peepholes = step.table(f"{operation.name}_P", words, f"{operation.name}: scales of the peepholes i o f")
    sizes = [4] * hidden_size
    W, R, B = scales(step, operation, "W"), scales(step, operation, "R"), weights[operation.B]
    constants = constants_table(step, operation, _unit_constants(by_unit(W, 4), by_unit(R, 4), by_unit(B, 4), sizes))
    numbers = (int(operation.input_forget), operation.clip, operation.candidate_shift, operation.cell_shift)
    states = [step.state(operation.h), step.state(operation.c)]
    layout = GateLayout((lambda rows: by_unit(rows, 4), lambda rows: by_unit(rows, 4)), sizes)
    kernel = "lstm_wide_int8" if operation.int32_state else "lstm_int8"
    own = CellArguments(states, constants, [peepholes], [str(number) for number in numbers])
    return _cell(step, operation, kernel, layout, own)


def _gates_first(rows: Array) -> Array:
    """Gates z r h (3 * units, ...) as h z r."""
    return np.roll(rows, rows.shape[0] // 3, axis=0)


def _reset_first(rows: Array) -> Array:
    """Gates z r h (3 * units, ...) as r of each unit, then z and h of each unit."""
    z, r, h = np.split(rows, 3)
    return np.concatenate([r, by_unit(np.concatenate([z, h]), 2)])


def fine_gate(step: StepWriter, operation: Int8FineGate) -> list[str]:
    """A sigmoid of each element."""
    step.need("fine_sigmoid_int8")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    factor = "-2" if operation.complement else "2"
    size = step.value(operation.inputs[0]).size
    return elementwise((size,), [], f"({y})[{{y}}] = edgernn_fine_sigmoid({factor} * (int32_t)({x})[{{y}}]);")


def wide_update(step: StepWriter, operation: Int32StateUpdate) -> list[str]:
    """All terms of one element after the other."""
    step.need("wide_int8")
    int32_state, high = (step.place(name) for name in operation.outputs)
    expression = f"({step.state(operation.region)})[{{y}}]"
    for term in operation.terms:
        expression = _with_term(step, operation, term, expression)
    size = step.value(operation.outputs[0]).size
    if operation.floor:
        expression = f"edgernn_wide_floor({expression})"
    lines = [*elementwise((size,), [], f"({int32_state})[{{y}}] = {expression};")]
    return [*lines, *elementwise((size,), [], f"({high})[{{y}}] = (int16_t)(({int32_state})[{{y}}] >> 16);")]


def _with_term(step: StepWriter, operation: Int32StateUpdate, term: Int32StateTerm, h: str) -> str:
    inputs = [f"({step.place(name)})[{{y}}]" for name in operation.inputs]
    negative = int(term.negative)
    if isinstance(term.matrix, StateMatrix):
        return _with_matrix(step, operation, term.x, term.matrix, h)
    x = inputs[term.x] if term.minus is None else f"(int32_t){inputs[term.x]} - {inputs[term.minus]}"
    if term.gate is not None:
        return f"edgernn_wide_product({h}, {x}, {inputs[term.gate]}, {negative})"
    if term.factor is not None:
        factors = step.program.weights[term.factor]
        table = step.table(term.factor, factors, f"{operation.name}: factors")
        return f"edgernn_wide_product({h}, {x}, edgernn_read_int32({table} + ({{y}})), {negative})"
    return f"edgernn_wide_shifted({h}, {x}, {term.shift}, {negative})"


def _with_matrix(step: StepWriter, operation: Int32StateUpdate, x: int, matrix: StateMatrix, h: str) -> str:
    W, m, s, B = (step.program.weights[name] for name in matrix.names())
    columns = count(W.shape[1], f"{operation.name}: columns of a matrix")
    table = step.table(matrix.W, W, f"{operation.name}: W, {W.shape[0]} x {columns}")
    numbers = np.stack([scale_words(m, s), B], axis=1).astype(np.int32)  # (rows, 2)
    constants = step.table(f"{matrix.W}_constants", numbers, f"{operation.name}: scales and biases")
    source = step.place(operation.inputs[x])
    row = f"{table} + ({{y}}) * {columns}, {constants} + ({{y}}) * 2"
    step.need(f"wide_matrix{matrix.bits}_int8")
    return f"edgernn_wide_matrix{matrix.bits}({h}, {row}, {source}, {columns})"


OPERATIONS: dict[type, Emitter] = {
    Int8Rnn: Emitter(rnn, cell_temporaries),
    Int8Gru: Emitter(gru, cell_temporaries),
    Int8Lstm: Emitter(lstm, cell_temporaries),
    Int8FineGate: Emitter(fine_gate),
    Int32StateUpdate: Emitter(wide_update),
}
