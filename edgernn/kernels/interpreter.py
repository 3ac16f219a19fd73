"""The loops that run an operation table: one step, or many. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import (
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
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.functions import INFINITY
from edgernn.kernels.float32.movement import copy_bytes
from edgernn.kernels.instructions import END, ENDLESS, ROW_SLOTS, STATE_PRELUDE_BYTES, BeatRow, Header

LANES = processor().lanes
# the header's entries, by name
ENTRY = {name: index for index, name in enumerate(Header._fields)}
ROWS, ROW_COUNT, STATE_ROW_COUNT = ENTRY["rows"], ENTRY["row_count"], ENTRY["state_row_count"]
WEIGHTS, STATE, ARENA = ENTRY["weights"], ENTRY["state"], ENTRY["arena"]
WINDOW_STEPS, WINDOW_PERIOD, COPIES = ENTRY["window_steps"], ENTRY["window_period"], ENTRY["copies"]
COPY_BYTES, INITIAL, INITIAL_BYTES = ENTRY["copy_bytes"], ENTRY["initial"], ENTRY["initial_bytes"]
TAIL_STEPS, PREFIX, PREFIX_BYTES = ENTRY["tail_steps"], ENTRY["prefix"], ENTRY["prefix_bytes"]
BEATS, BEAT_COUNT, STEP_COUNT = ENTRY["beats"], ENTRY["beat_count"], ENTRY["step_count"]
INPUTS, INPUT_COUNT = ENTRY["inputs"], ENTRY["input_count"]
OUTPUTS, OUTPUT_COUNT = ENTRY["outputs"], ENTRY["output_count"]
BEAT_FIRST, BEAT_PERIOD, BEAT_EXTRA, BEAT_AT_END, BEAT_LEAST = range(len(BeatRow._fields))
BEAT_BYTES = 8 * len(BeatRow._fields)
INPUT_BYTES, OUTPUT_BYTES = 16, 24
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
        row += ROW_BYTES + call_kernel(load_long(row), row, weights, state, arena)


@inline
def advance_clock(header, state):
    """Count a step of a copy's clock, from the end of its period back to zero."""
    clock = load_long(state) + 1
    store_long(state, 0 if clock == slot(header, WINDOW_PERIOD) else clock)


@inline
def run_tail(header, state):
    """End the sequence of a copy: steps without input, until its last frames have come."""
    store_long(state + END, load_long(state))
    for _ in range(slot(header, TAIL_STEPS)):
        run_rows(header, state, 0, slot(header, ROW_COUNT))
        store_long(state, load_long(state) + 1)


@inline
def beats_at(header, clock):
    """Which of the outputs' schedules have a frame in a step of a stream that goes on, one bit each."""
    beat, due = slot(header, BEATS), 0
    for index in range(slot(header, BEAT_COUNT)):
        waited, period = clock - slot(beat, BEAT_FIRST), slot(beat, BEAT_PERIOD)
        if waited >= 0 and (period == 1 or waited % period == 0):
            due |= 1 << index
        beat += BEAT_BYTES
    return due


@inline
def beats_in_tail(header, clock, end):
    """Which of the outputs' schedules have a frame in a step of the tail of a sequence of `end` steps."""
    beat, due = slot(header, BEATS), 0
    for index in range(slot(header, BEAT_COUNT)):
        waited, period = clock - slot(beat, BEAT_FIRST), slot(beat, BEAT_PERIOD)
        if slot(beat, BEAT_AT_END) != 0:
            if clock == end - 1 + slot(header, TAIL_STEPS) and end > slot(beat, BEAT_LEAST):
                due |= 1 << index
        elif waited >= 0 and waited % period == 0 and waited + period <= end + slot(beat, BEAT_EXTRA):
            due |= 1 << index
        beat += BEAT_BYTES
    return due


@inline
def end_prefix(header, state):
    """Run the tail of the stream so far on a scratch copy of the state."""
    prefix = slot(header, PREFIX)
    store_long(prefix, load_long(state))
    copy_bytes(prefix + STATE_PRELUDE_BYTES, state + STATE_PRELUDE_BYTES, slot(header, PREFIX_BYTES))
    run_tail(header, prefix)


@inline
def step_windows(header):
    """One time step of all copies of the state; 1 if a window has ended."""
    state, window_steps = slot(header, STATE), slot(header, WINDOW_STEPS)
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
    run_rows(header, due, 0, slot(header, ROW_COUNT))
    if slot(header, TAIL_STEPS) != 0:
        store_long(due, window_steps)
        run_tail(header, due)
        store_long(due + END, ENDLESS)
        store_long(due, window_steps - 1)
    advance_clock(header, due)
    return 1


@inline
def step(header):
    """One time step, with the inputs in the arena; the set of `beats_at`, 0 if there are no outputs."""
    store_long(header + 8 * STEP_COUNT, slot(header, STEP_COUNT) + 1)
    if slot(header, WINDOW_STEPS) != 0:
        return step_windows(header)
    state = slot(header, STATE)
    run_rows(header, state, 0, slot(header, ROW_COUNT))
    clock = load_long(state)
    store_long(state, clock + 1)
    if slot(header, PREFIX) != 0:
        end_prefix(header, state)
    return beats_at(header, clock)


def step_once(header):
    """`step`, called from Python."""
    return step(header)


@inline
def deliver(header, places, due):
    """Copy the outputs that have come to where their next frames go."""
    output = slot(header, OUTPUTS)
    for _ in range(slot(header, OUTPUT_COUNT)):
        if due >> slot(output, 2) & 1:
            target, size = load_long(places), slot(output, 1)
            copy_bytes(target, slot(output, 0), size)
            store_long(places, target + size)
        output += OUTPUT_BYTES
        places += 8


def run(header, places, steps):
    """Many time steps.

    `places` is the address of a table of addresses: where the next row of each input lies, then where the next frame of
    each output goes, then where the int64 index of the next step goes in which there are outputs of a beat, 0 for
    nowhere. Rows follow each other without gaps; the table is brought forward.
    """
    input_count = slot(header, INPUT_COUNT)
    targets = places + 8 * input_count
    indices = targets + 8 * slot(header, OUTPUT_COUNT)
    for t in range(steps):
        inputs, place = slot(header, INPUTS), places
        for _ in range(input_count):
            source, size = load_long(place), slot(inputs, 1)
            copy_bytes(slot(inputs, 0), source, size)
            store_long(place, source + size)
            inputs += INPUT_BYTES
            place += 8
        due = step(header)
        if due == 0:
            continue
        deliver(header, targets, due)
        place = indices
        for beat in range(slot(header, BEAT_COUNT)):
            index = load_long(place)
            if index != 0 and due >> beat & 1:
                store_long(index, t)
                store_long(place, index + 8)
            place += 8
    return 0


def drain(header, places):
    """The tail of the stream, after which it has ended. `places` tells where the frames of each output go."""
    state = slot(header, STATE)
    end = load_long(state)
    store_long(state + END, end)
    for clock in range(end, end + slot(header, TAIL_STEPS)):
        run_rows(header, state, 0, slot(header, ROW_COUNT))
        store_long(state, clock + 1)
        deliver(header, places, beats_in_tail(header, clock, end))
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
