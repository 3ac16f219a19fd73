"""What a kernel finds in its row of the operation table.

A row is `ROW_SLOTS` int64 numbers. Slot 0 holds the address of the kernel's function, slots 1 onward the fields of one
of the tuples below, in their order. Sizes count elements; everything else is a byte offset into the memory that the
field's comment names, never an address, so that all runners of a program share the table.

A kernel has the signature ``kernel(row, weights, state, arena)``: the address of its row and the base addresses of

- weights: the packed weights of the Plan (read only),
- state: one copy of the state, beginning with `STATE_PRELUDE_BYTES` that hold the copy's clock,
- arena: the values of the step being computed.
"""

from __future__ import annotations

from typing import NamedTuple

ROW_SLOTS = 16
STATE_PRELUDE_BYTES = 64  # the clock of a window (int64: steps since it began), then nothing


class CellRow(NamedTuple):
    """A recurrent cell."""

    x: int  # arena: (input_size,)
    h: int  # state: (hidden_size,)
    y: int  # arena: new h, (hidden_size,)
    W: int  # weights: panels of the input weights and their bias
    R: int  # weights: panels of the recurrence weights and their bias
    constants: int  # weights: clip, then alpha and beta of each gate function
    input_size: int
    hidden_size: int
    panels: int
    turn: int  # arena: int64, 1 if the next step goes through the panels backwards
    c: int = 0  # LSTM. state: (hidden_size,)
    P: int = 0  # LSTM with peepholes. weights: i o f, (panels, 3, lanes)
    scratch: int = 0  # arena, with room for whole panels. LSTM: new c. GRU with reset before: z, then r * h
    W_reset: int = 0  # GRU with reset before. weights: panels of the gate h alone; W and R hold z and r
    R_reset: int = 0


class DenseRow(NamedTuple):
    """Matrix times vector plus bias, for each of `rows` vectors."""

    x: int  # arena: (rows, input_size)
    y: int  # arena: (rows, output_size)
    W: int  # weights: panels
    rows: int
    input_size: int
    output_size: int
    panels: int


class ElementwiseRow(NamedTuple):
    """A function of each element of a, or of a and b."""

    a: int  # arena, or weights: (size,)
    b: int  # arena, or weights: (size,); of a unary function weights: alpha and beta
    y: int  # arena: (size,)
    size: int


class SoftmaxRow(NamedTuple):
    """Softmax of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    rows: int
    size: int


class CopyRow(NamedTuple):
    """Bytes from one place to another."""

    source: int  # arena or state, as the kernel says
    target: int
    size_bytes: int


class GatherRow(NamedTuple):
    """Elements picked by an index."""

    target: int  # arena: (size,) of 4 bytes
    offsets: int  # weights: (size,) int64, where each element lies, in bytes from the beginning of the arena
    size: int


class FrameRow(NamedTuple):
    """One frame of a window: `outer` pieces, each written at the clock's place among the window's frames."""

    source: int  # arena: (outer, piece_bytes)
    frames: int  # state: (outer, steps, piece_bytes)
    outer: int
    piece_bytes: int
    steps: int


def slots(row: type[NamedTuple]) -> range:
    """The slot of each field of a row, in order.

    >>> slots(SoftmaxRow)
    range(1, 5)
    """
    return range(1, 1 + len(row._fields))


class Header(NamedTuple):
    """What the compiled step and run loops know of a runner: addresses, sizes and counters, as int64.

    The second half serves the entry from Python (entry.py): addresses of Python objects and of two of its functions.
    """

    rows: int  # address of the operation table
    row_count: int
    state_row_count: int  # the first rows, which the state needs; the others only make outputs
    weights: int
    state: int  # address of the first copy of the state
    arena: int
    window_steps: int  # 0: no window
    window_period: int  # steps from one window of a copy to its next
    copies: int
    copy_bytes: int  # from one copy of the state to the next
    initial: int  # address of a state at the beginning of a window, behind its prelude
    initial_bytes: int
    warmup_steps: int
    step_count: int  # since the reset
    finished: int  # 1 after flush()
    inputs: int  # address of a table: for each input its address in the arena and its bytes
    input_count: int
    outputs: int  # the same for the outputs
    output_count: int
    # entry from Python
    sample: int  # address in the arena of the only input
    sample_size: int
    array_type: int
    float32_dtype: int
    float64_dtype: int
    list_type: int
    tuple_type: int
    float_type: int
    result: int  # the object that a step returns
    silence: int  # None, for a step without outputs
    slow_step: int  # callable that takes whatever the entry does not
    increment_reference: int  # Py_IncRef
    call_with_one: int  # PyObject_CallOneArg
