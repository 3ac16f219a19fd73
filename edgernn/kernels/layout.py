"""Kernels that move numbers without changing them. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.functions import settle
from edgernn.kernels.rows import CopyRow, FrameRow, GatherRow, slots
from edgernn.kernels.simd import (
    inline,
    load,
    load_byte,
    load_int,
    load_long,
    slot,
    store,
    store_byte,
    store_int,
)
from edgernn.kernels.target import processor

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


def build(what):
    """The kernel called `what`."""
    return {
        "copy": copy,
        "read_state": read_state,
        "write_state": write_state,
        "gather": gather,
        "collect_frame": collect_frame,
    }[what]


SOURCE, TARGET, SIZE_BYTES = slots(CopyRow)


def copy(row, weights, state, arena):
    """From the arena to the arena."""
    copy_bytes(arena + slot(row, TARGET), arena + slot(row, SOURCE), slot(row, SIZE_BYTES))
    return 0


def read_state(row, weights, state, arena):
    """From the state to the arena."""
    copy_bytes(arena + slot(row, TARGET), state + slot(row, SOURCE), slot(row, SIZE_BYTES))
    return 0


def write_state(row, weights, state, arena):
    """From the arena to the state, float32."""
    target, source = state + slot(row, TARGET), arena + slot(row, SOURCE)
    end = source + slot(row, SIZE_BYTES)
    while source + 4 * LANES <= end:
        store(target, settle(load(source, LANES)))
        source += 4 * LANES
        target += 4 * LANES
    while source < end:
        store(target, settle(load(source, 1)))
        source += 4
        target += 4
    return 0


GATHER_TARGET, OFFSETS, GATHER_SIZE = slots(GatherRow)


def gather(row, weights, state, arena):
    """Numbers of 4 bytes from anywhere in the arena, one after the other."""
    target, offsets = arena + slot(row, GATHER_TARGET), weights + slot(row, OFFSETS)
    for k in range(slot(row, GATHER_SIZE)):
        store_int(target + 4 * k, load_int(arena + load_long(offsets + 8 * k)))
    return 0


FRAME_SOURCE, FRAMES, OUTER, PIECE_BYTES, STEPS = slots(FrameRow)


def collect_frame(row, weights, state, arena):
    """This step's frame into the frames of the window, at the place that the window's clock tells."""
    piece_bytes = slot(row, PIECE_BYTES)
    source = arena + slot(row, FRAME_SOURCE)
    target = state + slot(row, FRAMES) + load_long(state) * piece_bytes
    for _ in range(slot(row, OUTER)):
        copy_bytes(target, source, piece_bytes)
        source += piece_bytes
        target += slot(row, STEPS) * piece_bytes
    return 0
