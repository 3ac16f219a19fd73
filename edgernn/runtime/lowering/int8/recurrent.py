"""Integer recurrent cells, and states of 32 bits that are written out, as instructions."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import (
    panel_lanes,
)
from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.instructions import (
    CellConstants,
    Int8CellInstruction,
    Int8FineGateInstruction,
    Int32MatrixInstruction,
    Int32StateInstruction,
)
from edgernn.kernels.int8.products.packing import (
    GateRows,
    pack_int8_panels,
    pack_int8_units,
)
from edgernn.program.operations import (
    Int8FineGate,
    Int8Gru,
    Int8Lstm,
    Int8RecurrentOperation,
    Int8Rnn,
    Int32StateUpdate,
    StateMatrix,
)
from edgernn.runtime.lowering.int8 import elementwise, products
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering

Array: TypeAlias = NDArray[Any]


def _cell_row(
    builder: InstructionBuilder, operation: Int8RecurrentOperation, W: GateRows, R: GateRows, R_biases: int = 0
) -> Int8CellInstruction:
    """The row with what all cells have, but for the constants; the last `R_biases` gates of R have biases."""
    form, lanes = products.product_form(operation.operand_bits), _cell_lanes(builder, operation)
    hidden_size, input_size = R.W.shape[2], W.W.shape[2]
    return builder.fill(
        Int8CellInstruction,
        operation,
        W=builder.pack(pack_int8_panels(W, lanes, form, len(W.W))),
        R=builder.pack(pack_int8_panels(R, lanes, form, R_biases)),
        constants=0,
        c=0,
        turn=builder.arena.take(8),
        x_operands=products.operands(builder, input_size, form),
        h_operands=products.operands(builder, hidden_size, form),
    )


def _cell_lanes(builder: InstructionBuilder, operation: Int8RecurrentOperation) -> int:
    hidden_size = builder.program.weights[operation.R].shape[1]
    return panel_lanes(hidden_size, operation.gates, processor().lanes)


def _cell_rows(
    builder: InstructionBuilder, operation: Int8RecurrentOperation, R_bias: Array | None = None
) -> tuple[GateRows, GateRows]:
    """W with the first biases, R with `R_bias` for its last gate, else without."""
    gates, hidden_size = operation.gates, builder.program.weights[operation.R].shape[1]
    B = builder.program.weights[operation.B][: gates * hidden_size].reshape(gates, hidden_size)
    in_R = np.zeros_like(B)
    if R_bias is not None:
        in_R[-1] = R_bias
    return products.gate_rows(builder, operation, "W", gates, B), products.gate_rows(
        builder, operation, "R", gates, in_R
    )


def _cell_constants(builder: InstructionBuilder, operation: Int8RecurrentOperation, **shifts: int) -> int:
    """CellConstants and the constants of the functions."""
    clip = operation.clip
    constants = CellConstants(
        low=max(-clip, -32768),
        high=min(clip, 32767),
        low_fine=max(-clip, -65536),
        high_fine=min(clip, 65535),
        fine_table=builder.pack(np.array(int8_tables.FINE_SIGMOID, np.int32)),
        **shifts,
    )
    tables = elementwise.table_form(products.product_form(operation.operand_bits))
    functions = [elementwise.function_constants(builder, function, tables) for function in operation.activations]
    return builder.pack(np.array([*constants, *np.ravel(functions)], np.int64))


def _cell_options(builder: InstructionBuilder, operation: Int8RecurrentOperation) -> tuple[str, ...]:
    """Form, bits, lanes, form of tables, clip and functions, the last options of every cell's kernel."""
    bits, form = operation.operand_bits, products.product_form(operation.operand_bits)
    functions = (function.function for function in operation.activations)
    clip = "clip" if operation.clip <= 32767 else "free"
    return form, str(bits), str(_cell_lanes(builder, operation)), elementwise.table_form(form), clip, *functions


def _lower_rnn(builder: InstructionBuilder, operation: Int8Rnn) -> None:
    row = _cell_row(builder, operation, *_cell_rows(builder, operation))
    row = row._replace(constants=_cell_constants(builder, operation))
    builder.emit(Kernel("int8.recurrent.rnn", _cell_options(builder, operation)), row, operation.name)


def _lower_gru(builder: InstructionBuilder, operation: Int8Gru) -> None:
    width, options = "wide" if operation.int32_state else "narrow", _cell_options(builder, operation)
    if operation.linear_before_reset:
        hidden_size = builder.program.weights[operation.R].shape[1]
        W, R = _cell_rows(builder, operation, builder.program.weights[operation.B][3 * hidden_size :])
        row = _cell_row(builder, operation, W, R, R_biases=1)._replace(constants=_cell_constants(builder, operation))
        builder.emit(Kernel("int8.recurrent.gru", ("after", width, *options)), row, operation.name)
        return
    W, R = _cell_rows(builder, operation)
    row = _cell_row(builder, operation, W.gates(slice(2)), R.gates(slice(2)))
    form, lanes = products.product_form(operation.operand_bits), _cell_lanes(builder, operation)
    row = row._replace(
        constants=_cell_constants(builder, operation),
        c=builder.arena.take(6 * (row.hidden_size + lanes)),
        W_reset=builder.pack(pack_int8_panels(W.gates(slice(2, None)), lanes, form, 1)),
        R_reset=builder.pack(pack_int8_panels(R.gates(slice(2, None)), lanes, form, 0)),
    )
    builder.emit(Kernel("int8.recurrent.gru", ("before", width, *options)), row, operation.name)


def _lower_lstm(builder: InstructionBuilder, operation: Int8Lstm) -> None:
    row = _cell_row(builder, operation, *_cell_rows(builder, operation))
    constants = _cell_constants(builder, operation, **_gain_shifts(operation), **_output_shifts(operation))
    row = row._replace(c=builder.region(operation.c), constants=constants)
    if operation.P_multiplier is not None and operation.P_shift is not None:
        P = [builder.program.weights[name].reshape(3, -1) for name in (operation.P_multiplier, operation.P_shift)]
        row = row._replace(P=builder.pack(pack_int8_units(np.concatenate(P), _cell_lanes(builder, operation))))
    options = (
        "wide" if operation.int32_state else "narrow",
        "open" if operation.P_multiplier is None else "peepholes",
        "coupled" if operation.input_forget else "forget",
    )
    builder.emit(Kernel("int8.recurrent.lstm", (*options, *_cell_options(builder, operation))), row, operation.name)


def _gain_shifts(operation: Int8Lstm) -> dict[str, int]:
    """From the candidate times its gate to the format of c; with a wide c half of G in ARITHMETIC.md is at hand."""
    k = operation.candidate_shift
    if not operation.int32_state:
        return {"gain_rounding": 1 << (14 + k), "gain_right": 15 + k}
    return {"gain_left": int(k == 0), "gain_rounding": 1 << (k - 2) if k > 1 else 0, "gain_right": max(k - 1, 0)}


def _output_shifts(operation: Int8Lstm) -> dict[str, int]:
    """From c to the input of the output function."""
    j = operation.cell_shift
    return {"cell_left": max(-j, 0), "cell_rounding": 1 << (j - 1) if j > 0 else 0, "cell_right": max(j, 0)}


def _lower_fine_gate(builder: InstructionBuilder, operation: Int8FineGate) -> None:
    row = builder.fill(
        Int8FineGateInstruction,
        operation,
        table=builder.pack(np.array(int8_tables.FINE_SIGMOID, np.int32)),
        factor=-2 if operation.complement else 2,
    )
    kernel = Kernel("int8.recurrent.state_updates", ("gate", elementwise.table_form()))
    builder.emit(kernel, row, operation.name)


def _lower_int32_state_update(builder: InstructionBuilder, operation: Int32StateUpdate) -> None:
    """A row for each term: the new state grows where it will be."""
    h, size = builder.value(operation.outputs[0]), prod(operation.shape)
    zeros = builder.arena.take(2 * size)
    begin = Int32StateInstruction(h=h, x=builder.region(operation.region), minus=zeros, fine=0, size=size)
    builder.emit(Kernel("int8.recurrent.state_updates", ("begin",)), begin, operation.name)
    for term in operation.terms:
        if isinstance(term.matrix, StateMatrix):
            _lower_state_matrix(builder, operation, term.x, term.matrix)
            continue
        kernel, fine = ("shifted", ""), 0
        if term.gate is not None:
            kernel, fine = ("product", "arena"), builder.value(operation.inputs[term.gate])
        elif term.factor is not None:
            kernel, fine = ("product", "weights"), builder.pack(builder.program.weights[term.factor])
        minus = zeros if term.minus is None else builder.value(operation.inputs[term.minus])
        x = builder.value(operation.inputs[term.x])
        row = Int32StateInstruction(h=h, x=x, minus=minus, fine=fine, size=size, shift=term.shift)
        sign = "minus" if term.negative else "plus"
        builder.emit(Kernel("int8.recurrent.state_updates", (*kernel, sign)), row, operation.name)
    row = Int32StateInstruction(h=h, x=builder.value(operation.outputs[1]), minus=zeros, fine=0, size=size)
    if operation.floor:
        builder.emit(Kernel("int8.recurrent.state_updates", ("floor",)), row, operation.name)
    builder.emit(Kernel("int8.recurrent.state_updates", ("high",)), row, operation.name)


def _lower_state_matrix(builder: InstructionBuilder, operation: Int32StateUpdate, x: int, matrix: StateMatrix) -> None:
    W, m, s, B = (builder.program.weights[name] for name in matrix.names())
    row = Int32MatrixInstruction(
        h=builder.value(operation.outputs[0]),
        x=builder.value(operation.inputs[x]),
        W=builder.pack(W),
        constants=builder.pack(np.stack([m, s, B], axis=1).astype(np.int64)),
        rows=W.shape[0],
        columns=W.shape[1],
    )
    builder.emit(Kernel("int8.recurrent.state_updates", ("matrix", f"int{matrix.bits}")), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    Int8Rnn: _lower_rnn,
    Int8Gru: _lower_gru,
    Int8Lstm: _lower_lstm,
    Int8FineGate: _lower_fine_gate,
    Int32StateUpdate: _lower_int32_state_update,
}
