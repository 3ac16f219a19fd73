"""The loops that run an operation table: one step, or many. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.functions import INFINITY
from edgernn.kernels.layout import copy_bytes
from edgernn.kernels.rows import ROW_SLOTS, STATE_PRELUDE_BYTES, Header
from edgernn.kernels.simd import (
    LARGEST,
    absolute,
    broadcast,
    inline,
    load,
    load_float,
    load_long,
    slot,
    store_long,
    sum_of_lanes,
    where_less,
)
from edgernn.kernels.target import processor

LANES = processor().lanes
# the header's entries, by name
ENTRY = {name: index for index, name in enumerate(Header._fields)}
ROWS, ROW_COUNT, STATE_ROW_COUNT = ENTRY["rows"], ENTRY["row_count"], ENTRY["state_row_count"]
WEIGHTS, STATE, ARENA = ENTRY["weights"], ENTRY["state"], ENTRY["arena"]
WINDOW_STEPS, WINDOW_PERIOD, COPIES = ENTRY["window_steps"], ENTRY["window_period"], ENTRY["copies"]
COPY_BYTES, INITIAL, INITIAL_BYTES = ENTRY["copy_bytes"], ENTRY["initial"], ENTRY["initial_bytes"]
WARMUP_STEPS, STEP_COUNT = ENTRY["warmup_steps"], ENTRY["step_count"]
INPUTS, INPUT_COUNT, OUTPUTS, OUTPUT_COUNT = (
    ENTRY["inputs"],
    ENTRY["input_count"],
    ENTRY["outputs"],
    ENTRY["output_count"],
)
ROW_BYTES = 8 * ROW_SLOTS
LIMITS = {"is_finite": INFINITY, "is_in_range": LARGEST}  # a diverging state is kept at the largest float32


@intrinsic
def call_kernel(typing, address, row, weights, state, arena):
    """Call the kernel at an address."""

    def lower(context, builder, signature, arguments):
        long = ir.IntType(64)
        kernel = builder.inttoptr(arguments[0], ir.FunctionType(long, [long] * 4).as_pointer())
        return builder.call(kernel, arguments[1:])

    return types.int64(*[types.int64] * 5), lower


@inline
def run_rows(header, state, first, last):
    """Run the operations `first` to `last` - 1 of the table on one copy of the state."""
    weights, arena = slot(header, WEIGHTS), slot(header, ARENA)
    row = slot(header, ROWS) + first * ROW_BYTES
    end = slot(header, ROWS) + last * ROW_BYTES
    while row < end:
        call_kernel(load_long(row), row, weights, state, arena)
        row += ROW_BYTES


@inline
def advance_clock(header, state):
    """Count a step of a copy's clock, from the end of its period back to zero."""
    clock = load_long(state) + 1
    store_long(state, 0 if clock == slot(header, WINDOW_PERIOD) else clock)


@inline
def step(header):
    """One time step, with the inputs in the arena; 1 if there are outputs."""
    state, row_count = slot(header, STATE), slot(header, ROW_COUNT)
    store_long(header + 8 * STEP_COUNT, slot(header, STEP_COUNT) + 1)
    window_steps = slot(header, WINDOW_STEPS)
    if window_steps == 0:
        run_rows(header, state, 0, row_count)
        return 1 if slot(header, STEP_COUNT) > slot(header, WARMUP_STEPS) else 0
    due = 0  # the copy whose window ends; it runs last, because all copies share the arena
    for _ in range(slot(header, COPIES)):
        clock = load_long(state)
        if clock == 0:
            copy_bytes(state + STATE_PRELUDE_BYTES, slot(header, INITIAL), slot(header, INITIAL_BYTES))
        if clock == window_steps - 1:
            due = state
        else:
            if 0 <= clock < window_steps:
                run_rows(header, state, 0, slot(header, STATE_ROW_COUNT))
            advance_clock(header, state)
        state += slot(header, COPY_BYTES)
    if due == 0:
        return 0
    run_rows(header, due, 0, row_count)
    advance_clock(header, due)
    return 1


def step_once(header):
    """`step`, called from Python."""
    return step(header)


def run(header, places, steps, indices):
    """Many time steps; the number of steps that had outputs.

    `places` is the address of a table of addresses: where the first row of each input lies, then where the first row of
    each output goes. Rows follow each other without gaps. `indices`, unless 0, is where the int64 index of each step
    with outputs goes.
    """
    input_count, output_count = slot(header, INPUT_COUNT), slot(header, OUTPUT_COUNT)
    inputs, outputs = slot(header, INPUTS), slot(header, OUTPUTS)
    frames = 0
    for t in range(steps):
        for port in range(input_count):
            size = load_long(inputs + 16 * port + 8)
            copy_bytes(load_long(inputs + 16 * port), load_long(places + 8 * port) + t * size, size)
        if step(header) == 1:
            for port in range(output_count):
                size = load_long(outputs + 16 * port + 8)
                target = load_long(places + 8 * (input_count + port)) + frames * size
                copy_bytes(target, load_long(outputs + 16 * port), size)
            if indices != 0:
                store_long(indices + 8 * frames, t)
            frames += 1
    return frames


def _make_is_below(limit):
    """A function that tells whether the first `size` float32 of each row are below `limit`; NaN is not."""

    def is_below(address, rows, row_bytes, size):
        above = broadcast(0.0, LANES)
        whole = size - size % LANES
        for row in range(rows):
            begin = address + row * row_bytes
            for k in range(0, 4 * whole, 4 * LANES):
                above = where_less(absolute(load(begin + k, LANES)), limit, above, 1.0)
            for k in range(4 * whole, 4 * size, 4):
                number = load_float(begin + k)
                if not -limit < number < limit:
                    return 0
        return 1 if sum_of_lanes(above) == 0.0 else 0

    return is_below


def build(what):
    """The function called `what`."""
    if what in LIMITS:
        return _make_is_below(LIMITS[what])
    return {"step": step_once, "run": run}[what]
