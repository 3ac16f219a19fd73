"""What an integer kernel finds in its row of the instructions; rows.py says what a row is."""

from __future__ import annotations

from typing import NamedTuple

FUNCTION_CONSTANTS = 3  # of a function: low, high, and where its table lies among the weights


class Int8CellInstruction(NamedTuple):
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


class Int8DenseInstruction(NamedTuple):
    """Matrix times vector plus bias, for each of `rows` vectors."""

    x: int  # arena: (rows, input_size)
    y: int  # arena: (rows, output_size)
    W: int  # weights: panels
    rows: int
    input_size: int
    output_size: int
    operands: int  # arena: what W reads of one vector, padded
    low: int  # limits of y
    high: int


class Int8ElementwiseInstruction(NamedTuple):
    """A function of each element of a, or of a and b."""

    a: int  # arena: (size,)
    b: int  # arena: (size,). Affine arithmetic. weights: constants of the function that follows
    y: int  # arena: (size,)
    constants: int  # weights, as the kernel says
    size: int


class Int8SoftmaxInstruction(NamedTuple):
    """Softmax of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    scratch: int  # arena: (size,) int32, room for whole registers
    table: int  # weights: EXP2 as `pack_pairs` has it
    multiplier: int
    shift: int  # but for its last bit, which is left to the rounding; 31 at most
    rows: int
    size: int
    scale: int  # weights: float32, of y as float32


class Int8LogSoftmaxInstruction(NamedTuple):
    """Logarithm of the softmax of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    powers: int  # weights: EXP2, int64
    logarithms: int  # weights: LOG2, int64
    multiplier: int
    shift: int
    output_multiplier: int
    output_shift: int
    rows: int
    size: int


class Int8GroupedInstruction(NamedTuple):
    """A matrix product for each group, of each of `rows` matrices."""

    x: int  # arena: (rows, input_size, groups)
    y: int  # arena: (rows, output_size, groups)
    W: int  # weights: int8 (output_size, input_size, padded groups)
    constants: int  # weights: int32 (output_size, registers of groups, 2, lanes), factors and biases of int8_packing.py
    rows: int
    input_size: int
    output_size: int
    groups: int
    shifts: int  # 1 if any factor shifts before the product
    low: int  # limits of y
    high: int


class Int8MatMulInstruction(NamedTuple):
    """A product of two values, for each of `matrices` pairs."""

    a: int  # arena: (matrices, n, k)
    b: int  # arena: (matrices, k, m), transposed (matrices, m, k)
    y: int  # arena: (matrices, n, m)
    factor: int  # of the rescaling, int8_packing.py
    matrices: int
    n: int
    k: int
    m: int


class Int8ReduceInstruction(NamedTuple):
    """A reduction over the middle axis."""

    x: int  # arena: (outer, n, inner)
    y: int  # arena: (outer, inner)
    factor: int  # of the rescaling, int8_packing.py
    outer: int
    n: int
    inner: int


class Int8RunningInstruction(NamedTuple):
    """A reduction over all frames so far."""

    x: int  # arena: (size,)
    y: int  # arena: (size,)
    total: int  # state: (size,) int64, of the largest or smallest int16
    count: int  # state: int64
    size: int
    bits: int = 0  # of a mean: more fraction bits; of a sum: how far it is shifted right
    multiplier: int = 0
    shift: int = 0


class Int8RunningSoftmaxInstruction(NamedTuple):
    """Attention pooling of all frames so far."""

    scores: int  # arena: (groups,)
    x: int  # arena: (groups, size)
    y: int  # arena: (groups, size)
    reference: int  # state: int32 (groups,)
    total: int  # state: int64 (groups,)
    weighted: int  # state: int64 (groups, size)
    table: int  # weights: EXP2, int64
    multiplier: int
    shift: int
    mean_bits: int  # more fraction bits of y than x has
    groups: int
    size: int


class Int8LayerNormInstruction(NamedTuple):
    """Layer normalisation of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    constants: int  # weights: multiplier, shift and bias of each feature, (size, 3) int64
    rows: int
    size: int
    epsilon: int
    norm_bits: int
    centred: int  # 0: the mean is taken for 0


class Int8WhereInstruction(NamedTuple):
    """A choice between two values."""

    condition: int  # arena: (size,)
    a: int  # arena: (size,)
    b: int  # arena: (size,)
    y: int  # arena: (size,)
    size: int


class Int32StateInstruction(NamedTuple):
    """One step of the update of an int32 state, which is collected in h."""

    h: int  # arena: (size,) int32
    x: int  # arena: (size,) int16; of the beginning state: (size,) int32
    minus: int  # arena: (size,) int16, or where there are zeros
    fine: int  # arena, or of factors weights: (size,) int32
    size: int
    shift: int = 0


class Int32MatrixInstruction(NamedTuple):
    """A product of a matrix with a value, which is added to an int32 state."""

    h: int  # arena: (rows,) int32
    x: int  # arena: (columns,) int16 or int32
    W: int  # weights: the same (rows, columns)
    constants: int  # weights: multiplier, shift and bias of each row, (rows, 3) int64
    rows: int
    columns: int


class Int8FineGateInstruction(NamedTuple):
    """A fine sigmoid of each element."""

    x: int  # arena: (size,) int16
    y: int  # arena: (size,) int32
    table: int  # weights: FINE_SIGMOID, int32
    size: int
    factor: int  # 2, or -2 for the complement
