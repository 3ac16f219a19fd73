"""What an integer kernel finds in its row of the operation table; rows.py says what a row is."""

from __future__ import annotations

from typing import NamedTuple

FUNCTION_CONSTANTS = 3  # of a function: low, high, and where its table lies among the weights


class Int8CellRow(NamedTuple):
    """A recurrent cell. Values are int16."""

    x: int  # arena: (input_size,)
    h: int  # state: (hidden_size,) int16, of a wide GRU int32
    y: int  # arena: new h, (hidden_size,), room for whole panels
    W: int  # weights: panels (int8_packing.py)
    R: int  # weights: panels
    constants: int  # weights: CellConstants, then the constants of each function
    input_size: int
    hidden_size: int
    turn: int  # arena: int64, 1 if the next step goes through the panels backwards
    x_operands: int  # arena: what W reads of x, padded
    h_operands: int  # arena: what R reads of h, padded
    c: int = 0  # LSTM. state: (hidden_size,) int16 or int32. GRU with reset before. arena: z, int32, then r * h, int16
    P: int = 0  # LSTM with peepholes. weights: multipliers of i o f, then shifts, (panels, 6, lanes)
    W_reset: int = 0  # GRU with reset before. weights: panels of the gate h alone; W and R hold z and r
    R_reset: int = 0


class CellConstants(NamedTuple):
    """Numbers of a cell, int64."""

    low: int  # limits of gate inputs
    high: int
    low_fine: int  # the same for fine sigmoids
    high_fine: int
    fine_table: int  # weights: FINE_SIGMOID
    gain_left: int = 0  # LSTM: candidate times gate to the format of c: shifted left, rounding, shifted right
    gain_rounding: int = 0
    gain_right: int = 0
    cell_left: int = 0  # LSTM: c to the format of the output function's input
    cell_rounding: int = 0
    cell_right: int = 0


class Int8DenseRow(NamedTuple):
    """Matrix times vector plus bias, for each of `rows` vectors."""

    x: int  # arena: (rows, input_size)
    y: int  # arena: (rows, output_size)
    W: int  # weights: panels
    rows: int
    input_size: int
    output_size: int
    operands: int  # arena: what W reads of one vector, padded


class Int8ElementwiseRow(NamedTuple):
    """A function of each element of a, or of a and b."""

    a: int  # arena: (size,)
    b: int  # arena: (size,)
    y: int  # arena: (size,)
    constants: int  # weights, as the kernel says
    size: int


class Int8SoftmaxRow(NamedTuple):
    """Softmax of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    scratch: int  # arena: (size,) int64
    table: int  # weights: EXP2, int64
    multiplier: int
    shift: int
    rows: int
    size: int
