"""Frames in and out of the iterations of a Repeat, as instructions; operations.py lowers the Repeat itself."""

from __future__ import annotations

from math import prod

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    LoopFrameInstruction,
)
from edgernn.program.operations import (
    PutFrame,
    TakeFrame,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering


def _lower_take_frame(builder: InstructionBuilder, operation: TakeFrame) -> None:
    frames = builder.program.values[operation.inputs[0]]
    frame_bytes = prod(frames.shape[1:]) * np.dtype(frames.dtype).itemsize
    _emit_loop_frame(builder, operation, "take_frame", frame_bytes, frames.shape[0])


def _lower_put_frame(builder: InstructionBuilder, operation: PutFrame) -> None:
    frame = builder.program.values[operation.inputs[0]]
    _emit_loop_frame(builder, operation, "put_frame", frame.size * np.dtype(frame.dtype).itemsize, operation.count)


def _emit_loop_frame(
    builder: InstructionBuilder, operation: TakeFrame | PutFrame, kernel: str, frame_bytes: int, count: int
) -> None:
    row = builder.fill(
        LoopFrameInstruction,
        operation,
        round=builder.iterations[operation.loop],
        frame_bytes=frame_bytes,
        last=count - 1 if operation.reverse else -1,
    )
    builder.emit(Kernel("float32.loops", (kernel,)), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    TakeFrame: _lower_take_frame,
    PutFrame: _lower_put_frame,
}
