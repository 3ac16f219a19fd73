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
    store_byte,
    store_first,
    store_int,
)
from edgernn.kernels.target import processor

LANES = processor().lanes


@inline
def copy_bytes(target, source, count):
    """Copy bytes; the two places do not overlap."""
    whole = count & ~3
    for k in range(0, whole, 4):
        store_int(target + k, load_int(source + k))
    for k in range(whole, count):
        store_byte(target + k, load_byte(source + k))


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
    target, source, size = state + slot(row, TARGET), arena + slot(row, SOURCE), slot(row, SIZE_BYTES) // 4
    for k in range(0, size, LANES):
        store_first(target + 4 * k, settle(load(source + 4 * k, LANES)), size - k, LANES)
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
