"""The last frames of a sequence, in a ring. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.layout import copy_bytes, copy_registers
from edgernn.kernels.rows import CLOCK, END, HistoryRow, slots
from edgernn.kernels.simd import inline, load_int, load_long, slot, store_int

SOURCE, Y, RING, POSITION, LENGTH, TAPS, DILATION, FRAME_BYTES, PADDING, *SCHEDULES = slots(HistoryRow)
FIRST, PERIOD, EXTRA, READ_FIRST, READ_PERIOD, READ_EXTRA = SCHEDULES


def build(form):
    """The kernel that works in "every" step, or "timed" by the schedules in its row."""
    return {"every": every, "timed": timed}[form]


@inline
def remember(row, state, source):
    """Write a frame; where the oldest one lies after that."""
    length = slot(row, LENGTH)
    place = state + slot(row, POSITION)
    position = load_int(place)
    if position < 0 or position >= length:
        position = 0  # a user may write states
    copy_bytes(state + slot(row, RING) + position * slot(row, FRAME_BYTES), source, slot(row, FRAME_BYTES))
    position += 1
    if position == length:
        position = 0
    store_int(place, position)
    return position


@inline
def give_taps(row, state, arena, oldest, source):
    """The taps out of the ring, the newest from its source, which spares a wait for what was just written."""
    length, dilation, frame_bytes = slot(row, LENGTH), slot(row, DILATION), slot(row, FRAME_BYTES)
    ring, y = state + slot(row, RING), arena + slot(row, Y)
    newest = length - 1 if oldest == 0 else oldest - 1
    position = oldest
    for _ in range(slot(row, TAPS)):
        copy_registers(y, source if position == newest else ring + position * frame_bytes, frame_bytes)
        y += frame_bytes
        position += dilation
        if position >= length:
            position -= length


def every(row, weights, state, arena):
    """A frame in each step, and all taps."""
    source = arena + slot(row, SOURCE)
    give_taps(row, state, arena, remember(row, state, source), source)
    return 0


def timed(row, weights, state, arena):
    """Frames and taps by their schedules; behind the sequence's end padding takes the place of frames."""
    clock, end = load_long(state + CLOCK), load_long(state + END)
    waited, period = clock - slot(row, FIRST), slot(row, PERIOD)
    if waited < 0 or waited % period != 0:
        return 0
    source = arena + slot(row, SOURCE)
    if waited + period > end + slot(row, EXTRA):
        source = weights + slot(row, PADDING)
    oldest = remember(row, state, source)
    waited, period = clock - slot(row, READ_FIRST), slot(row, READ_PERIOD)
    if waited >= 0 and waited % period == 0 and waited + period <= end + slot(row, READ_EXTRA):
        give_taps(row, state, arena, oldest, source)
    return 0
