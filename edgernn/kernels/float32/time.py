"""The last frames of a sequence, in a ring. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import int8_at, int16_at
from edgernn.kernels.codegen.simd import inline, load_int, load_long, slot, store_int
from edgernn.kernels.codegen.simd_int32 import load8, load16, smaller, store8, store16
from edgernn.kernels.float32.movement import LANES, copy_bytes, copy_registers
from edgernn.kernels.instructions import CLOCK, END, DelayLineInstruction, slots

DELAY_LINE = slots(DelayLineInstruction)


def build(form, width="wide"):
    """The kernel that works in "every" step, or "timed" by its row; with int16 as int8 in a "narrow" ring."""
    remember, give_taps = (_remember_int8, _give_int8_taps) if width == "narrow" else (_remember, _give_taps)
    return {"every": _every, "timed": _timed}[form](remember, give_taps)


@inline
def _advance(row, state):
    """The row of the ring that is written now; moves to the next one."""
    length, place = slot(row, DELAY_LINE.length), state + slot(row, DELAY_LINE.position)
    position = load_int(place)
    if position < 0 or position >= length:
        position = 0  # a user may write states
    store_int(place, position + 1 if position + 1 < length else 0)
    return position


@inline
def _remember(row, state, source):
    """Write a frame; where the oldest one lies after that."""
    position = _advance(row, state)
    copy_bytes(
        state + slot(row, DELAY_LINE.ring) + position * slot(row, DELAY_LINE.frame_bytes),
        source,
        slot(row, DELAY_LINE.frame_bytes),
    )
    return position + 1 if position + 1 < slot(row, DELAY_LINE.length) else 0


@inline
def _give_taps(row, state, arena, oldest, source):
    """The taps out of the ring, the newest from its source, which spares a wait for what was just written."""
    length, dilation, frame_bytes = (
        slot(row, DELAY_LINE.length),
        slot(row, DELAY_LINE.dilation),
        slot(row, DELAY_LINE.frame_bytes),
    )
    ring, y = state + slot(row, DELAY_LINE.ring), arena + slot(row, DELAY_LINE.y)
    newest = length - 1 if oldest == 0 else oldest - 1
    position = oldest
    for _ in range(slot(row, DELAY_LINE.taps)):
        copy_registers(y, source if position == newest else ring + position * frame_bytes, frame_bytes)
        y += frame_bytes
        position += dilation
        if position >= length:
            position -= length


@inline
def _narrowed(x):
    """A register of int16 in 8 bits."""
    return smaller((x + 128) >> 8, 127)


@inline
def _remember_int8(row, state, source):
    """The same, each int16 rounded to 8 bits."""
    position, size, k = _advance(row, state), slot(row, DELAY_LINE.frame_bytes) >> 1, 0
    frame = state + slot(row, DELAY_LINE.ring) + position * size
    while k + LANES <= size:
        store8(frame + k, _narrowed(load16(source + 2 * k, LANES)))
        k += LANES
    ring, x = int8_at(frame), int16_at(source)
    for last in range(k, size):
        ring[last] = min((x[last] + 128) >> 8, 127)
    return position + 1 if position + 1 < slot(row, DELAY_LINE.length) else 0


@inline
def _give_int8_taps(row, state, arena, oldest, source):
    """The taps out of the ring, times 256, the newest from its source; what lies behind the last one is overwritten."""
    length, dilation, size = (
        slot(row, DELAY_LINE.length),
        slot(row, DELAY_LINE.dilation),
        slot(row, DELAY_LINE.frame_bytes) >> 1,
    )
    ring, y = state + slot(row, DELAY_LINE.ring), arena + slot(row, DELAY_LINE.y)
    newest = length - 1 if oldest == 0 else oldest - 1
    position = oldest
    for _ in range(slot(row, DELAY_LINE.taps)):
        if position == newest:
            for k in range(0, 2 * size, 2 * LANES):
                store16(y + k, _narrowed(load16(source + k, LANES)) * 256)
        else:
            for k in range(0, size, LANES):
                store16(y + 2 * k, load8(ring + position * size + k, LANES) * 256)
        y += 2 * size
        position += dilation
        if position >= length:
            position -= length


def _every(remember, give_taps):
    def every(row, weights, state, arena):
        """A frame in each step, and all taps."""
        source = arena + slot(row, DELAY_LINE.source)
        give_taps(row, state, arena, remember(row, state, source), source)
        return 0

    return every


def _timed(remember, give_taps):
    def timed(row, weights, state, arena):
        """Frames and taps by their schedules; behind the sequence's end padding takes the place of frames."""
        clock, end = load_long(state + CLOCK), load_long(state + END)
        waited, period = clock - slot(row, DELAY_LINE.first), slot(row, DELAY_LINE.period)
        if waited < 0 or waited % period != 0:
            return 0
        source = arena + slot(row, DELAY_LINE.source)
        if waited + period > end + slot(row, DELAY_LINE.extra):
            source = weights + slot(row, DELAY_LINE.padding)
        oldest = remember(row, state, source)
        waited, period = clock - slot(row, DELAY_LINE.read_first), slot(row, DELAY_LINE.read_period)
        if waited >= 0 and waited % period == 0 and waited + period <= end + slot(row, DELAY_LINE.read_extra):
            give_taps(row, state, arena, oldest, source)
        return 0

    return timed
