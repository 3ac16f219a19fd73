"""Integer matrix products and recurrent cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import Int8Dense, Int8Gru, Int8Lstm, Int8RecurrentOperation, Int8Rnn
from edgernn.program.program import Program
from firmware_export.emitters.elements_int8 import function
from firmware_export.emitters.loops import rows
from firmware_export.packing import BLOCK, blocks, by_unit, fours, panels, scale_words, small_shifts
from firmware_export.step import StepWriter

Array: TypeAlias = NDArray[Any]
Order = Callable[[Array], Array]  # of the rows


def _rows(
    step: StepWriter, operation: Int8Dense | Int8RecurrentOperation, field: str, order: Order, sizes: list[int]
) -> str:
    """The line that declares the rows of a matrix, called as the field."""
    step.need("product")
    W, shift = (
        step.program.weights[getattr(operation, field)],
        step.program.weights[getattr(operation, field + "_shift")],
    )
    shape = " x ".join(str(extent) for extent in W.shape)
    what = f"{operation.name}: {field}, {shape}"
    table = step.table(f"{operation.name}_{field}", panels(order(W), sizes), what, aligned=True)
    shifts = small_shifts(W, shift, operation.operand_bits)
    return f"const edgernn_rows {field} = {{{table}, {operation.operand_bits}, {shifts}}};"


def _scales(step: StepWriter, operation: Int8Dense | Int8RecurrentOperation, field: str) -> Array:
    """Scale words of the rows of a matrix (rows,)."""
    weights = step.program.weights
    return scale_words(*(weights[getattr(operation, field + suffix)] for suffix in ("_multiplier", "_shift")))


def _constants(step: StepWriter, operation: Int8Dense | Int8RecurrentOperation, numbers: Array) -> str:
    """C name of the table of a layer's constants."""
    return step.table(f"{operation.name}_constants", numbers.astype(np.int32), f"{operation.name}: scales and biases")


def _alternating(scale: Array, B: Array) -> Array:
    """Scale and bias of each row (2 * rows,)."""
    return np.stack([scale, B], axis=1).ravel()


def _unit_constants(W: Array, R: Array, B: Array, sizes: list[int]) -> Array:
    """For each panel, scale and bias of each row of W, then the scales of R."""
    ends = np.cumsum(sizes)
    parts = []
    for end, size in zip(ends, sizes, strict=True):
        rows = slice(end - size, end)
        parts += [_alternating(W[rows], B[rows]), R[rows]]
    return np.concatenate(parts)


def _unchanged(array: Array) -> Array:
    return array


def dense(step: StepWriter, operation: Int8Dense) -> list[str]:
    """A call for each row of the input."""
    step.need("dense_int8")
    N, K = step.program.weights[operation.W].shape
    declaration = _rows(step, operation, "W", _unchanged, fours(N))
    numbers = _alternating(_scales(step, operation, "W"), step.program.weights[operation.B])
    constants = _constants(step, operation, numbers)
    x, y, operand = step.place(operation.inputs[0]), step.place(operation.outputs[0]), step.temporary(operation)
    calls = rows(
        step.value(operation.inputs[0]).shape,
        lambda at: f"edgernn_dense_int8({x}{at(K)}, {K}, &W, {constants}, {N}, {y}{at(N)}, {operand});",
    )
    return ["{", "    " + declaration, *("    " + call for call in calls), "}"]


def dense_temporaries(program: Program, operation: Int8Dense) -> list[tuple[str, int]]:
    """The operand of one row."""
    return [("int16", BLOCK * blocks(program.weights[operation.W].shape[1]))]


class Layout(NamedTuple):
    """How the rows of a cell's matrices lie in memory."""

    orders: tuple[Order, Order]  # of the rows of W and of R
    sizes: list[int]  # rows of each panel


class Arguments(NamedTuple):
    """Arguments of a cell's kernel that are not the same for all cells, as C."""

    states: list[str]
    constants: str
    before_gates: list[str]
    after_gates: list[str]


def _cell(
    step: StepWriter, operation: Int8RecurrentOperation, kernel: str, layout: Layout, own: Arguments
) -> list[str]:
    """The call of a cell's kernel: input, states, matrices, constants, functions, output, memory."""
    step.need(kernel)
    declarations = [
        _rows(step, operation, field, order, layout.sizes) for field, order in zip("WR", layout.orders, strict=True)
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
    W, R, B = _scales(step, operation, "W"), _scales(step, operation, "R"), step.program.weights[operation.B]
    constants = _constants(step, operation, _unit_constants(W, R, B, sizes))
    own = Arguments([step.state(operation.h)], constants, [], [str(operation.clip)])
    return _cell(step, operation, "rnn_int8", Layout((_unchanged, _unchanged), sizes), own)


def gru(step: StepWriter, operation: Int8Gru) -> list[str]:
    """The gated recurrent unit, the three gates of a unit in a panel, or single rows if the reset gate comes first."""
    hidden_size = step.program.weights[operation.R].shape[1]
    W, R, B = _scales(step, operation, "W"), _scales(step, operation, "R"), step.program.weights[operation.B]
    h, clip = step.state(operation.h), [str(operation.clip)]
    if not operation.linear_before_reset:
        sizes = [1] * (3 * hidden_size)
        constants = _constants(
            step, operation, _unit_constants(_reset_first(W), _reset_first(R), _reset_first(B), sizes)
        )
        own = Arguments([h, str(int(operation.int32_state))], constants, [], clip)
        return _cell(step, operation, "gru_reset_first_int8", Layout((_reset_first, _reset_first), sizes), own)
    W_z, W_r, W_h = np.split(W, 3)
    R_z, R_r, R_h = np.split(R, 3)
    B_z, B_r, B_h, B_recurrent = np.split(B, 4)
    columns = [W_h, B_h, W_z, B_z, W_r, B_r, R_z, R_r, R_h, B_recurrent]  # (units,) each
    constants = _constants(step, operation, np.stack(columns, axis=1).ravel())
    layout = Layout((lambda rows: by_unit(_gates_first(rows), 3), lambda rows: by_unit(rows, 3)), [3] * hidden_size)
    kernel = "gru_wide_int8" if operation.int32_state else "gru_int8"
    return _cell(step, operation, kernel, layout, Arguments([h], constants, [], clip))


def lstm(step: StepWriter, operation: Int8Lstm) -> list[str]:
    """The long short-term memory, the four gates of a unit in a panel."""
    weights = step.program.weights
    hidden_size = weights[operation.R].shape[1]
    peepholes = "0"
    if operation.P_multiplier is not None and operation.P_shift is not None:
        words = by_unit(scale_words(weights[operation.P_multiplier], weights[operation.P_shift]), 3)
        peepholes = step.table(f"{operation.name}_P", words, f"{operation.name}: scales of the peepholes i o f")
    sizes = [4] * hidden_size
    W, R, B = _scales(step, operation, "W"), _scales(step, operation, "R"), weights[operation.B]
    constants = _constants(step, operation, _unit_constants(by_unit(W, 4), by_unit(R, 4), by_unit(B, 4), sizes))
    numbers = (int(operation.input_forget), operation.clip, operation.candidate_shift, operation.cell_shift)
    states = [step.state(operation.h), step.state(operation.c)]
    layout = Layout((lambda rows: by_unit(rows, 4), lambda rows: by_unit(rows, 4)), sizes)
    kernel = "lstm_wide_int8" if operation.int32_state else "lstm_int8"
    own = Arguments(states, constants, [peepholes], [str(number) for number in numbers])
    return _cell(step, operation, kernel, layout, own)


def _gates_first(rows: Array) -> Array:
    """Gates z r h (3 * units, ...) as h z r."""
    return np.roll(rows, rows.shape[0] // 3, axis=0)


def _reset_first(rows: Array) -> Array:
    """Gates z r h (3 * units, ...) as r of each unit, then z and h of each unit."""
    z, r, h = np.split(rows, 3)
    return np.concatenate([r, by_unit(np.concatenate([z, h]), 2)])
