"""The last frames of a sequence, as instructions."""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    DelayLineInstruction,
)
from edgernn.program.operations import (
    EVERY_STEP,
    DelayLine,
)
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering


def _lower_delay_line(builder: InstructionBuilder, operation: DelayLine) -> None:
    item, width = np.dtype(operation.dtype), "narrow" if operation.int8_storage else "wide"
    row = builder.fill(
        DelayLineInstruction,
        operation,
        frame_bytes=operation.size * item.itemsize,
    )
    if builder.program.tail_steps == 0 and operation.when == operation.read == EVERY_STEP:
        builder.emit(Kernel("float32.time", ("every", width)), row, operation.name)
        return
    row = row._replace(
        padding=builder.pack(np.full(operation.size, operation.fill, item)),
        first=operation.when.first,
        period=operation.when.period,
        extra=operation.when.extra,
        read_first=operation.read.first,
        read_period=operation.read.period,
        read_extra=operation.read.extra,
    )
    builder.emit(Kernel("float32.time", ("timed", width)), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    DelayLine: _lower_delay_line,
}
