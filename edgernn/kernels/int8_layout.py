"""Kernels that move int16 values. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.layout import copy_bytes
from edgernn.kernels.pointers import int16_at, int32_at, int64_at
from edgernn.kernels.rows import CopyRow, GatherRow, slots
from edgernn.kernels.simd import slot

SOURCE, TARGET, SIZE_BYTES = slots(CopyRow)
GATHER_TARGET, OFFSETS, GATHER_SIZE = slots(GatherRow)


def build(what):
    """The kernel called `what`."""
    return {"gather": gather, "read_high": read_high, "write_state": write_state}[what]


def gather(row, weights, state, arena):
    """Numbers of 2 bytes from anywhere in the arena, one after the other."""
    target, offsets = int16_at(arena + slot(row, GATHER_TARGET)), int64_at(weights + slot(row, OFFSETS))
    for k in range(slot(row, GATHER_SIZE)):
        target[k] = int16_at(arena + offsets[k])[0]
    return 0


def read_high(row, weights, state, arena):
    """The high halves of an int32 state to the arena; the row counts the bytes in the arena."""
    target, source = int16_at(arena + slot(row, TARGET)), int32_at(state + slot(row, SOURCE))
    for k in range(slot(row, SIZE_BYTES) // 2):
        target[k] = source[k] >> 16
    return 0


def write_state(row, weights, state, arena):
    """From the arena to the state."""
    copy_bytes(state + slot(row, TARGET), arena + slot(row, SOURCE), slot(row, SIZE_BYTES))
    return 0
