"""Kernels that move numbers without changing them. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import (
    inline,
    load,
    load_byte,
    load_int,
    load_long,
    load_short,
    slot,
    store,
    store_byte,
    store_int,
    store_long,
    store_short,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.functions import flush_denormals
from edgernn.kernels.instructions import (
    CLOCK,
    CopyInstruction,
    FrameInstruction,
    GatherInstruction,
    LookupInstruction,
    slots,
)

LANES = processor().lanes


@inline
def copy_bytes(target, source, count):
    """Copy bytes; the two places do not overlap."""
    end = source + count
    while source + 4 * LANES <= end:
        store(target, load(source, LANES))
        source += 4 * LANES
        target += 4 * LANES
    while source + 16 <= end:
        store(target, load(source, 4))
        source += 16
        target += 16
    while source + 4 <= end:
        store_int(target, load_int(source))
        source += 4
        target += 4
    while source < end:
        store_byte(target, load_byte(source))
        source += 1
        target += 1


@inline
def copy_registers(target, source, count):
    """Copy bytes in whole registers: what lies behind the last one is overwritten."""
    for k in range(0, count, 4 * LANES):
        store(target + k, load(source + k, LANES))


def build(what, item_bytes="4"):
    """The kernel called `what`; `item_bytes` of a number, where it moves single ones."""
    if what == "gather":
        return _gather(*ITEMS[item_bytes])
    return {
        "copy": copy,
        "read_state": read_state,
        "read_high": read_high,
        "write_floats": write_floats,
        "write_state": write_state,
        "collect_frame": collect_frame,
        "lookup": lookup,
    }[what]


COPY = slots(CopyInstruction)


def copy(row, weights, state, arena):
    """From the arena to the arena."""
    copy_bytes(arena + slot(row, COPY.target), arena + slot(row, COPY.source), slot(row, COPY.size_bytes))
    return 0


def read_state(row, weights, state, arena):
    """From the state to the arena."""
    copy_bytes(arena + slot(row, COPY.target), state + slot(row, COPY.source), slot(row, COPY.size_bytes))
    return 0


def read_high(row, weights, state, arena):
    """The high halves of an int32 state to the arena; the row counts the bytes in the arena."""
    target, source = arena + slot(row, COPY.target), state + slot(row, COPY.source)
    for k in range(0, slot(row, COPY.size_bytes), 2):
        store_short(target + k, load_int(source + 2 * k) >> 16)
    return 0


def write_state(row, weights, state, arena):
    """From the arena to the state."""
    copy_bytes(state + slot(row, COPY.target), arena + slot(row, COPY.source), slot(row, COPY.size_bytes))
    return 0


def write_floats(row, weights, state, arena):
    """From the arena to the state, float32: tiny numbers become zero."""
    target, source = state + slot(row, COPY.target), arena + slot(row, COPY.source)
    end = source + slot(row, COPY.size_bytes)
    while source + 4 * LANES <= end:
        store(target, flush_denormals(load(source, LANES)))
        source += 4 * LANES
        target += 4 * LANES
    while source < end:
        store(target, flush_denormals(load(source, 1)))
        source += 4
        target += 4
    return 0


GATHER = slots(GatherInstruction)
ITEMS = {  # how a number of so many bytes is moved
    "1": (1, load_byte, store_byte),
    "2": (2, load_short, store_short),
    "4": (4, load_int, store_int),
    "8": (8, load_long, store_long),
}


def _gather(item_bytes, load_item, store_item):
    def gather(row, weights, state, arena):
        target, offsets = arena + slot(row, GATHER.target), weights + slot(row, GATHER.offsets)
        for k in range(slot(row, GATHER.size)):
            store_item(target + item_bytes * k, load_item(arena + load_long(offsets + 8 * k)))
        return 0

    return gather


FRAME = slots(FrameInstruction)


def collect_frame(row, weights, state, arena):
    """This step's frame into the frames of the window, at the place that the window's clock tells."""
    piece_bytes, count = slot(row, FRAME.piece_bytes), slot(row, FRAME.count)
    frame = (load_long(state + CLOCK) - slot(row, FRAME.first)) // slot(row, FRAME.period)
    if frame < 0 or frame >= count:
        return 0
    source, target = arena + slot(row, FRAME.source), state + slot(row, FRAME.frames) + frame * piece_bytes
    for _ in range(slot(row, FRAME.outer)):
        copy_bytes(target, source, piece_bytes)
        source += piece_bytes
        target += count * piece_bytes
    return 0


LOOKUP = slots(LookupInstruction)


def lookup(row, weights, state, arena):
    """Rows of a table; ids below 0 count from the end, those outside give the nearest row."""
    ids, y, table = arena + slot(row, LOOKUP.ids), arena + slot(row, LOOKUP.y), weights + slot(row, LOOKUP.table)
    rows, row_bytes = slot(row, LOOKUP.rows), slot(row, LOOKUP.row_bytes)
    for k in range(slot(row, LOOKUP.size)):
        index = int(load_int(ids + 4 * k))
        if index < 0:
            index += rows
        index = max(0, min(index, rows - 1))
        copy_registers(y, table + index * row_bytes, row_bytes)
        y += row_bytes
    return 0
