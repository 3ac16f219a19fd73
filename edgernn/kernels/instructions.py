"""What a kernel finds in its row of the instructions.

A row is `ROW_SLOTS` int64 numbers. Slot 0 holds the address of the kernel's function, slots 1 onward the fields of one
of the tuples below, in their order. Sizes count elements; everything else is a byte offset into the memory that the
field's comment names, never an address, so that all runners of a program share the table.

A kernel has the signature ``kernel(row, weights, state, arena)``: the address of its row and the base addresses of

- weights: the packed weights of the Plan (read only),
- state: one copy of the state, beginning with its prelude,
- arena: the values of the step being computed.

and returns how many bytes of the table to leave out, negative to go back; 0 but for gates and the ends of loops.

The prelude of a copy of the state is `STATE_PRELUDE_BYTES` long. It holds int64 numbers: the copy's clock, which is the
step that comes next or runs; the length of its sequence, `ENDLESS` while that goes on; and whether it is a scratch copy
on which a prefix of the stream is ended.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

ROW_SLOTS = 16
STATE_PRELUDE_BYTES = 64
CLOCK, END, IS_PREFIX = 0, 8, 16  # bytes inside of the prelude
ENDLESS = 1 << 62  # later than any step


class CellInstruction(NamedTuple):
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


class DenseInstruction(NamedTuple):
    """Matrix times vector plus bias, for each of `rows` vectors."""

    x: int  # arena: (rows, input_size)
    y: int  # arena: (rows, output_size)
    W: int  # weights: panels
    rows: int
    input_size: int
    output_size: int
    panels: int


class ElementwiseInstruction(NamedTuple):
    """A function of each element of a, or of a and b."""

    a: int  # arena, or weights: (size,)
    b: int  # arena, or weights: (size,); of a unary function weights: alpha and beta
    y: int  # arena: (size,)
    size: int


class SoftmaxInstruction(NamedTuple):
    """Softmax of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    rows: int
    size: int


class CopyInstruction(NamedTuple):
    """Bytes from one place to another."""

    source: int  # arena or state, as the kernel says
    target: int
    size_bytes: int


class GatherInstruction(NamedTuple):
    """Elements picked by an index."""

    target: int  # arena: (size,) of 4 bytes
    offsets: int  # weights: (size,) int64, where each element lies, in bytes from the beginning of the arena
    size: int


class FrameInstruction(NamedTuple):
    """One frame of a window: `outer` pieces, each written at its place among the window's frames."""

    source: int  # arena: (outer, piece_bytes)
    frames: int  # state: (outer, count, piece_bytes)
    outer: int
    piece_bytes: int
    count: int
    first: int  # frame j comes at the step first + j * period
    period: int


class GateInstruction(NamedTuple):
    """Leaves out the rows that follow in steps in which their operations do not happen (operations/schedule.py)."""

    skip_bytes: int
    first: int
    period: int
    extra: int  # of at_end: length of the program's tail


class DelayLineInstruction(NamedTuple):
    """A frame into the ring, then taps out of it. Schedules only where the row keeps them itself."""

    source: int  # arena: (frame_bytes,)
    y: int  # arena: (taps, frame_bytes)
    ring: int  # state: (length, frame_bytes)
    position: int  # state: int32, the row of the ring that is written next
    length: int
    taps: int
    dilation: int
    frame_bytes: int
    padding: int = 0  # weights: (frame_bytes,), what is written behind the end
    first: int = 0
    period: int = 1
    extra: int = 0
    read_first: int = 0
    read_period: int = 1
    read_extra: int = 0


class LoopInstruction(NamedTuple):
    """The beginning or end of a Repeat."""

    round: int  # arena: int64
    count: int = 0
    body_bytes: int = 0  # from the first row of the body to the one behind the end


class LoopFrameInstruction(NamedTuple):
    """A frame out of, or into, frames: that of the loop's round."""

    source: int  # arena
    target: int  # arena
    round: int  # arena: int64
    frame_bytes: int
    last: int  # rounds are counted from this frame backwards; -1: forwards


class GroupedDenseInstruction(NamedTuple):
    """A matrix product for each of many groups, which lie side by side."""

    x: int  # arena: (rows, input_size, groups)
    y: int  # arena: (rows, output_size, groups)
    W: int  # weights: (output_size, panels, 1 + input_size, lanes), the bias first
    rows: int
    input_size: int
    output_size: int
    groups: int


class MatMulInstruction(NamedTuple):
    """Products of matrices that are values."""

    a: int  # arena: (matrices, n, k)
    b: int  # arena: (matrices, k, m), or transposed (matrices, m, k)
    y: int  # arena: (matrices, n, m)
    matrices: int
    n: int
    k: int
    m: int


class ReduceInstruction(NamedTuple):
    """A reduction over the middle axis."""

    x: int  # arena: (outer, n, inner)
    y: int  # arena: (outer, inner)
    outer: int
    n: int
    inner: int


class RunningReduceInstruction(NamedTuple):
    """A reduction over all frames so far."""

    x: int  # arena: (size,)
    y: int  # arena: (size,)
    total: int  # state: float64 (size,)
    count: int  # state: int64
    size: int


class RunningSoftmaxInstruction(NamedTuple):
    """Attention pooling of all frames so far."""

    scores: int  # arena: (groups,)
    x: int  # arena: (groups, size)
    y: int  # arena: (groups, size)
    largest: int  # state: float64 (groups,)
    total: int  # state: float64 (groups,)
    weighted: int  # state: float64 (groups, size)
    groups: int
    size: int


class LayerNormInstruction(NamedTuple):
    """Each of `rows` vectors brought to mean 0 and variance 1, or to mean square 1, then scaled and shifted."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, size)
    scale: int  # weights: (size,)
    bias: int  # weights: (size,)
    epsilon: int  # weights: float32
    rows: int
    size: int
    centred: int  # 0: the mean is taken for 0


class SelectInstruction(NamedTuple):
    """The largest or smallest numbers of each of `rows` vectors."""

    x: int  # arena: (rows, size)
    y: int  # arena: (rows, k), the numbers
    indices: int  # arena: int32 (rows, k)
    rows: int
    size: int
    k: int


class WhereInstruction(NamedTuple):
    """One of two numbers for each element."""

    condition: int  # arena: (size,)
    a: int  # arena: (size,)
    b: int  # arena: (size,)
    y: int  # arena: (size,)
    size: int


class LookupInstruction(NamedTuple):
    """Rows of a table by their ids."""

    ids: int  # arena: int32 (size,)
    y: int  # arena: (size, row_bytes)
    table: int  # weights: (rows, row_bytes)
    size: int
    rows: int
    row_bytes: int


Instruction = TypeVar("Instruction", bound=tuple[int, ...])


def slots(instruction: type[Instruction]) -> Instruction:
    """The slot of each field of an instruction, by the field's name: kernels read ``slot(row, SOFTMAX.size)``.

    >>> slots(SoftmaxInstruction)
    SoftmaxInstruction(x=1, y=2, rows=3, size=4)
    """
    fields: tuple[str, ...] = instruction._fields  # type: ignore[attr-defined]  # a NamedTuple
    return instruction._make(range(1, 1 + len(fields)))  # type: ignore[attr-defined]


class OutputSchedule(NamedTuple):
    """When outputs come: at the steps first + j * period, of an ended sequence (steps + extra) // period of them."""

    first: int
    period: int
    extra: int
    at_end: int  # 1: only in the last step of the tail, if more than `least` steps came before
    least: int


class ExecutionContext(NamedTuple):
    """What the compiled step and run loops know of a runner: addresses, sizes and counters, as int64.

    The second half serves the entry from Python (entry.py): addresses of Python objects and of two of its functions.
    """

    rows: int  # address of the instructions
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
    tail_steps: int  # that end a sequence
    prefix: int  # address of a scratch copy, on which each step ends the stream so far; 0: none
    prefix_bytes: int  # of the state's content
    output_schedules: int  # address of a table: a OutputSchedule for each schedule that outputs have
    schedule_count: int
    step_count: int  # since the reset
    finished: int  # 1 after flush()
    inputs: int  # address of a table: for each input its address in the arena and its bytes
    input_count: int
    outputs: int  # the same for the outputs, and each one's beat
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
    results: int  # address of a table: the object that a step returns, by its set of beats; first None
    slow_step: int  # callable that takes whatever the entry does not
    increment_reference: int  # Py_IncRef
    call_with_one: int  # PyObject_CallOneArg
