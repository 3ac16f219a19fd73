"""What decides which rows of the table run. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import load_long, slot, store_long
from edgernn.kernels.instructions import CLOCK, END, IS_PREFIX, GateInstruction, LoopInstruction, slots

GATE = slots(GateInstruction)
LOOP = slots(LoopInstruction)


def build(what):
    """The gate or loop called `what`."""
    return {"each": each, "beat": beat, "at_end": at_end, "stream": stream, "repeat": repeat}[what]


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
