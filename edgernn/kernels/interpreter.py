"""The loops that run instructions: one step, or many. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import (
    MAX_FLOAT32,
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
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.functions import INFINITY
from edgernn.kernels.float32.movement import copy_bytes
from edgernn.kernels.instructions import END, ENDLESS, ROW_SLOTS, STATE_PRELUDE_BYTES, ExecutionContext, OutputSchedule

LANES = processor().lanes
# the header's entries, by name
ENTRY = {name: index for index, name in enumerate(ExecutionContext._fields)}
ROWS, ROW_COUNT, STATE_ROW_COUNT = ENTRY["rows"], ENTRY["row_count"], ENTRY["state_row_count"]
WEIGHTS, STATE, ARENA = ENTRY["weights"], ENTRY["state"], ENTRY["arena"]
WINDOW_STEPS, WINDOW_PERIOD, COPIES = ENTRY["window_steps"], ENTRY["window_period"], ENTRY["copies"]
COPY_BYTES, INITIAL, INITIAL_BYTES = ENTRY["copy_bytes"], ENTRY["initial"], ENTRY["initial_bytes"]
TAIL_STEPS, PREFIX, PREFIX_BYTES = ENTRY["tail_steps"], ENTRY["prefix"], ENTRY["prefix_bytes"]
BEATS, BEAT_COUNT, STEP_COUNT = ENTRY["output_schedules"], ENTRY["schedule_count"], ENTRY["step_count"]
INPUTS, INPUT_COUNT = ENTRY["inputs"], ENTRY["input_count"]
OUTPUTS, OUTPUT_COUNT = ENTRY["outputs"], ENTRY["output_count"]
BEAT_FIRST, BEAT_PERIOD, BEAT_EXTRA, BEAT_AT_END, BEAT_LEAST = range(len(OutputSchedule._fields))
BEAT_BYTES = 8 * len(OutputSchedule._fields)
INPUT_BYTES, OUTPUT_BYTES = 16, 24
ROW_BYTES = 8 * ROW_SLOTS
LIMITS = {"is_finite": INFINITY, "is_in_range": MAX_FLOAT32}  # a diverging state is kept at the largest float32


@intrinsic
def call_kernel(typing, address, row, weights, state, arena):
    """Call the kernel at an address."""

    def lower(context, builder, signature, arguments):
        long = ir.IntType(64)
        kernel = builder.inttoptr(arguments[0], ir.FunctionType(long, [long] * 4).as_pointer())
        return builder.call(kernel, arguments[1:])

    return types.int64(*[types.int64] * 5), lower


@inline
def run_rows(context, state, first, last):
    """Run the operations `first` to `last` - 1 of the table on one copy of the state."""
    weights, arena = slot(context, WEIGHTS), slot(context, ARENA)
    row = slot(context, ROWS) + first * ROW_BYTES
    end = slot(context, ROWS) + last * ROW_BYTES
    while row < end:
        row += ROW_BYTES + call_kernel(load_long(row), row, weights, state, arena)


@inline
def advance_clock(context, state):
    """Count a step of a copy's clock, from the end of its period back to zero."""
    clock = load_long(state) + 1
    store_long(state, 0 if clock == slot(context, WINDOW_PERIOD) else clock)


@inline
def run_tail(context, state):
    """End the sequence of a copy: steps without input, until its last frames have come."""
    store_long(state + END, load_long(state))
    for _ in range(slot(context, TAIL_STEPS)):
        run_rows(context, state, 0, slot(context, ROW_COUNT))
        store_long(state, load_long(state) + 1)


@inline
def schedules_due(context, clock):
    """Which of the outputs' schedules have a frame in a step of a stream that goes on, one bit each."""
    schedule, due = slot(context, BEATS), 0
    for index in range(slot(context, BEAT_COUNT)):
        waited, period = clock - slot(schedule, BEAT_FIRST), slot(schedule, BEAT_PERIOD)
        if waited >= 0 and (period == 1 or waited % period == 0):
            due |= 1 << index
        schedule += BEAT_BYTES
    return due


@inline
def schedules_due_in_tail(context, clock, end):
    """Which of the outputs' schedules have a frame in a step of the tail of a sequence of `end` steps."""
    schedule, due = slot(context, BEATS), 0
    for index in range(slot(context, BEAT_COUNT)):
        waited, period = clock - slot(schedule, BEAT_FIRST), slot(schedule, BEAT_PERIOD)
        if slot(schedule, BEAT_AT_END) != 0:
            if clock == end - 1 + slot(context, TAIL_STEPS) and end > slot(schedule, BEAT_LEAST):
                due |= 1 << index
        elif waited >= 0 and waited % period == 0 and waited + period <= end + slot(schedule, BEAT_EXTRA):
            due |= 1 << index
        schedule += BEAT_BYTES
    return due


@inline
def end_prefix(context, state):
    """Run the tail of the stream so far on a scratch copy of the state."""
    prefix = slot(context, PREFIX)
    store_long(prefix, load_long(state))
    copy_bytes(prefix + STATE_PRELUDE_BYTES, state + STATE_PRELUDE_BYTES, slot(context, PREFIX_BYTES))
    run_tail(context, prefix)


@inline
def step_windows(context):
    """One time step of all copies of the state; 1 if a window has ended."""
    state, window_steps = slot(context, STATE), slot(context, WINDOW_STEPS)
    due = 0  # the copy whose window ends; it runs last, because all copies share the arena
    for _ in range(slot(context, COPIES)):
        clock = load_long(state)
        if clock == 0:
            copy_bytes(state + STATE_PRELUDE_BYTES, slot(context, INITIAL), slot(context, INITIAL_BYTES))
        if clock == window_steps - 1:
            due = state
        else:
            if 0 <= clock < window_steps:
                run_rows(context, state, 0, slot(context, STATE_ROW_COUNT))
            advance_clock(context, state)
        state += slot(context, COPY_BYTES)
    if due == 0:
        return 0
    run_rows(context, due, 0, slot(context, ROW_COUNT))
    if slot(context, TAIL_STEPS) != 0:
        store_long(due, window_steps)
        run_tail(context, due)
        store_long(due + END, ENDLESS)
        store_long(due, window_steps - 1)
    advance_clock(context, due)
    return 1


@inline
def step(context):
    """One time step, with the inputs in the arena; the set of `schedules_due`, 0 if there are no outputs."""
    store_long(context + 8 * STEP_COUNT, slot(context, STEP_COUNT) + 1)
    if slot(context, WINDOW_STEPS) != 0:
        return step_windows(context)
    state = slot(context, STATE)
    run_rows(context, state, 0, slot(context, ROW_COUNT))
    clock = load_long(state)
    store_long(state, clock + 1)
    if slot(context, PREFIX) != 0:
        end_prefix(context, state)
    return schedules_due(context, clock)


def step_once(context):
    """`step`, called from Python."""
    return step(context)


@inline
def deliver(context, places, due):
    """Copy the outputs that have come to where their next frames go."""
    output = slot(context, OUTPUTS)
    for _ in range(slot(context, OUTPUT_COUNT)):
        if due >> slot(output, 2) & 1:
            target, size = load_long(places), slot(output, 1)
            copy_bytes(target, slot(output, 0), size)
            store_long(places, target + size)
        output += OUTPUT_BYTES
        places += 8


def run(context, places, steps):
    """Many time steps.

    `places` is the address of a table of addresses: where the next row of each input lies, then where the next frame of
    each output goes, then where the int64 index of the next step goes in which there are outputs of a beat, 0 for
    nowhere. Rows follow each other without gaps; the table is brought forward.
    """
    input_count = slot(context, INPUT_COUNT)
    targets = places + 8 * input_count
    indices = targets + 8 * slot(context, OUTPUT_COUNT)
    for t in range(steps):
        inputs, place = slot(context, INPUTS), places
        for _ in range(input_count):
            source, size = load_long(place), slot(inputs, 1)
            copy_bytes(slot(inputs, 0), source, size)
            store_long(place, source + size)
            inputs += INPUT_BYTES
            place += 8
        due = step(context)
        if due == 0:
            continue
        deliver(context, targets, due)
        place = indices
        for schedule in range(slot(context, BEAT_COUNT)):
            index = load_long(place)
            if index != 0 and due >> schedule & 1:
                store_long(index, t)
                store_long(place, index + 8)
            place += 8
    return 0


def drain(context, places):
    """The tail of the stream, after which it has ended. `places` tells where the frames of each output go."""
    state = slot(context, STATE)
    end = load_long(state)
    store_long(state + END, end)
    for clock in range(end, end + slot(context, TAIL_STEPS)):
        run_rows(context, state, 0, slot(context, ROW_COUNT))
        store_long(state, clock + 1)
        deliver(context, places, schedules_due_in_tail(context, clock, end))
    return 0


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
    return {"step": step_once, "run": run, "drain": drain}[what]
