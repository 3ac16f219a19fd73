"""Float recurrent cells, as instructions."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.packing import (
    pack_panels,
    pack_units,
    panel_lanes,
)
from edgernn.kernels.instructions import (
    CellInstruction,
)
from edgernn.program.operations import (
    Gru,
    Lstm,
    RecurrentOperation,
    Rnn,
)
from edgernn.runtime.lowering.elementwise import function_constants
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering

Floats: TypeAlias = NDArray[np.float32]


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
        constants += function_constants(gate.function, gate.alpha, gate.beta)
    return np.array(constants, np.float32)


def _function_names(operation: RecurrentOperation) -> tuple[str, ...]:
    return "free" if operation.clip is None else "clip", *(gate.function for gate in operation.activations)


def _cell_row(builder: InstructionBuilder, operation: RecurrentOperation, gates: slice, lanes: int) -> CellInstruction:
    """The row with what all cells have; W and R hold the panels of `gates`."""
    W, R, Wb, Rb = _gates(builder, operation)
    panels = -(-W.shape[1] // lanes)
    return builder.fill(
        CellInstruction,
        operation,
        W=builder.pack(pack_panels(W[gates], Wb[gates], lanes)),
        R=builder.pack(pack_panels(R[gates], Rb[gates], lanes)),
        constants=builder.pack(_gate_constants(operation)),
        panels=panels,
        turn=builder.arena.take(8),
        c=0,
        P=0,
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


OPERATIONS: dict[type, Lowering] = {
    Rnn: _lower_rnn,
    Gru: _lower_gru,
    Lstm: _lower_lstm,
}
