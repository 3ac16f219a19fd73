"""Frames in and out of the iterations of a Repeat, in C; statements.py writes the loops."""

from __future__ import annotations

from edgernn.program.operations import (
    PutFrame,
    TakeFrame,
)
from firmware_export.emitters.c_loops import copy
from firmware_export.emitters.calls import Emitter
from firmware_export.step import StepWriter


def _frame(step: StepWriter, operation: TakeFrame | PutFrame, frames: int, size: int) -> str:
    """Offset of the frame of this round."""
    index = step.iterations[operation.loop]
    frame = f"({frames - 1}u - {index})" if operation.reverse else index
    return f"{size}u * {frame}"


def take_frame(step: StepWriter, operation: TakeFrame) -> list[str]:
    """A copy of the round's frame."""
    size, frames = step.value(operation.outputs[0]).size, step.value(operation.inputs[0]).shape[0]
    x = f"{step.place(operation.inputs[0])} + {_frame(step, operation, frames, size)}"
    return copy(size, step.place(operation.outputs[0]), x)


def put_frame(step: StepWriter, operation: PutFrame) -> list[str]:
    """A copy to the round's frame."""
    size = step.value(operation.inputs[0]).size
    y = f"{step.place(operation.outputs[0])} + {_frame(step, operation, operation.count, size)}"
    return copy(size, y, step.place(operation.inputs[0]))


OPERATIONS: dict[type, Emitter] = {
    TakeFrame: Emitter(take_frame),
    PutFrame: Emitter(put_frame),
}
