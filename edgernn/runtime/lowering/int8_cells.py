"""From the integer recurrent cells of a Program to rows of the table that the compiled kernels read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import panel_lanes
from edgernn.kernels.int8.elementwise import tables as int8_tables
from edgernn.kernels.int8.instructions import CellConstants, Int8CellInstruction
from edgernn.kernels.int8.products.packing import GateRows, pack_int8_panels, pack_int8_units
from edgernn.program.operations import Int8Gru, Int8Lstm, Int8RecurrentOperation, Int8Rnn
from edgernn.runtime.lowering import int8 as lowering_int8
from edgernn.runtime.lowering.table import InstructionBuilder

Array: TypeAlias = NDArray[Any]


def _cell_row(
    builder: InstructionBuilder, operation: Int8RecurrentOperation, W: GateRows, R: GateRows, R_biases: int = 0
) -> Int8CellInstruction:
    """The row with what all cells have, but for the constants; the last `R_biases` gates of R have biases."""
    form, lanes = lowering_int8.product_form(operation.operand_bits), _cell_lanes(builder, operation)
    hidden_size, input_size = R.W.shape[2], W.W.shape[2]
    return Int8CellInstruction(
        x=builder.value(operation.inputs[0]),
        h=builder.region(operation.h),
        y=builder.value(operation.outputs[0]),
        W=builder.pack(pack_int8_panels(W, lanes, form, len(W.W))),
        R=builder.pack(pack_int8_panels(R, lanes, form, R_biases)),
        constants=0,
        input_size=input_size,
        hidden_size=hidden_size,
        turn=builder.arena.take(8),
        x_operands=lowering_int8.operands(builder, input_size, form),
        h_operands=lowering_int8.operands(builder, hidden_size, form),
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
    return lowering_int8.gate_rows(builder, operation, "W", gates, B), lowering_int8.gate_rows(
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
    tables = lowering_int8.table_form(lowering_int8.product_form(operation.operand_bits))
    functions = [lowering_int8.function_constants(builder, function, tables) for function in operation.activations]
    return builder.pack(np.array([*constants, *np.ravel(functions)], np.int64))


def _cell_options(builder: InstructionBuilder, operation: Int8RecurrentOperation) -> tuple[str, ...]:
    """Form, bits, lanes, form of tables, clip and functions, the last options of every cell's kernel."""
    bits, form = operation.operand_bits, lowering_int8.product_form(operation.operand_bits)
    functions = (function.function for function in operation.activations)
    clip = "clip" if operation.clip <= 32767 else "free"
    return form, str(bits), str(_cell_lanes(builder, operation)), lowering_int8.table_form(form), clip, *functions


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
    form, lanes = lowering_int8.product_form(operation.operand_bits), _cell_lanes(builder, operation)
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


INT8_CELL_LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    Int8Rnn: _lower_rnn,
    Int8Gru: _lower_gru,
    Int8Lstm: _lower_lstm,
}
