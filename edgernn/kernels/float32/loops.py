"""What decides which rows of the table run. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, load_long, slot, store_long
from edgernn.kernels.float32.movement import copy_bytes, copy_registers
from edgernn.kernels.instructions import (
    CLOCK,
    END,
    IS_PREFIX,
    GateInstruction,
    LoopFrameInstruction,
    LoopInstruction,
    slots,
)

GATE = slots(GateInstruction)
LOOP = slots(LoopInstruction)
LOOP_FRAME = slots(LoopFrameInstruction)


def build(what):
    """The kernel called `what`."""
    return {
        "each": each,
        "beat": beat,
        "at_end": at_end,
        "stream": stream,
        "repeat": repeat,
        "take_frame": take_frame,
        "put_frame": put_frame,
    }[what]


def each(row, weights, state, arena):
    """Open in every step from `first` on, up to the last frame."""
    waited = load_long(state + CLOCK) - slot(row, GATE.first)
    is_open = waited >= 0 and waited < load_long(state + END) + slot(row, GATE.extra)
    return 0 if is_open else slot(row, GATE.skip_bytes)


def beat(row, weights, state, arena):
    """Open in every `period`-th step from `first` on, up to the last frame."""
    waited, period = load_long(state + CLOCK) - slot(row, GATE.first), slot(row, GATE.period)
    is_open = waited >= 0 and waited % period == 0 and waited + period <= load_long(state + END) + slot(row, GATE.extra)
    return 0 if is_open else slot(row, GATE.skip_bytes)


def at_end(row, weights, state, arena):
    """Open in the last step of the tail of sequences of more than `first` steps."""
    end = load_long(state + END)
    is_open = load_long(state + CLOCK) == end - 1 + slot(row, GATE.extra) and end > slot(row, GATE.first)
    return 0 if is_open else slot(row, GATE.skip_bytes)


def stream(row, weights, state, arena):
    """Open unless a prefix of the stream is ended on a scratch copy of the state."""
    return slot(row, GATE.skip_bytes) if load_long(state + IS_PREFIX) != 0 else 0


def repeat(row, weights, state, arena):
    """The end of a loop's body: back to its beginning, until all rounds are over. Rounds begin at 0, as memory does."""
    count = load_long(arena + slot(row, LOOP.round)) + 1
    if count < slot(row, LOOP.count):
        store_long(arena + slot(row, LOOP.round), count)
        return -slot(row, LOOP.body_bytes)
    store_long(arena + slot(row, LOOP.round), 0)
    return 0


@inline
def frame_offset(row, arena):
    """Bytes from the first of a loop's frames to that of the round, forwards or backwards."""
    round_, last = load_long(arena + slot(row, LOOP_FRAME.round)), slot(row, LOOP_FRAME.last)
    return slot(row, LOOP_FRAME.frame_bytes) * (round_ if last < 0 else last - round_)


def take_frame(row, weights, state, arena):
    """The round's frame out of frames."""
    source = arena + slot(row, LOOP_FRAME.source) + frame_offset(row, arena)
    copy_registers(arena + slot(row, LOOP_FRAME.target), source, slot(row, LOOP_FRAME.frame_bytes))
    return 0


def put_frame(row, weights, state, arena):
    """The round's frame into frames."""
    target = arena + slot(row, LOOP_FRAME.target) + frame_offset(row, arena)
    copy_bytes(target, arena + slot(row, LOOP_FRAME.source), slot(row, LOOP_FRAME.frame_bytes))
    return 0
