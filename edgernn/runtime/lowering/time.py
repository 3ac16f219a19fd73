"""Operations over time and the gates and loops around operations, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    ROW_SLOTS,
    DelayLineInstruction,
    GateInstruction,
    LoopInstruction,
    RunningReduceInstruction,
    RunningSoftmaxInstruction,
)
from edgernn.program.operations import (
    EVERY_STEP,
    AnyOperation,
    DelayLine,
    Dense,
    Dequantize,
    Int8Affine,
    Int8Dense,
    Int8GroupedDense,
    Int8Softmax,
    Int8Unary,
    Repeat,
    RunningReduce,
    RunningSoftmax,
    Schedule,
    Unary,
)
from edgernn.runtime.lowering.features import FEATURE_LOWERINGS
from edgernn.runtime.lowering.int8 import INT8_LOWERINGS, lower_int8_affine, lower_int8_dense, lower_int8_softmax
from edgernn.runtime.lowering.int8_cells import INT8_CELL_LOWERINGS
from edgernn.runtime.lowering.int8_features import INT8_FEATURE_LOWERINGS, lower_int8_grouped_dense
from edgernn.runtime.lowering.layout import LAYOUT_LOWERINGS
from edgernn.runtime.lowering.table import FUSED_FUNCTIONS, LOWERINGS, InstructionBuilder, lower_dense

ROW_BYTES = 8 * ROW_SLOTS


def lower_operations(
    builder: InstructionBuilder, operations: Sequence[AnyOperation], around: Schedule | None = None
) -> None:
    """Append the rows of operations in their order.

    Those of one schedule that follow each other share a gate; those of the schedule `around`, of the loop whose body
    they are, need none.
    """
    for when, found in groupby(operations, key=_schedule):
        run = list(found)
        kernel, row = (None, NO_GATE) if when in (None, around) else gate_of(when, builder.program.tail_steps)
        with builder.gate(kernel, row, run[0].name):
            _lower_run(builder, run)


def _schedule(operation: AnyOperation) -> Schedule | None:
    """When a gate lets an operation run, None if it knows by itself."""
    return None if isinstance(operation, DelayLine) else operation.when


NO_GATE = GateInstruction(0, 0, 0, 0)


def gate_of(when: Schedule, tail_steps: int) -> tuple[Kernel | None, GateInstruction]:
    """The gate of a schedule in a program with a tail of so many steps; no kernel where it is always open."""
    if when.at_end:
        if tail_steps:
            return Kernel("float32.loops", ("at_end",)), GateInstruction(0, when.first, 1, tail_steps)
        when = Schedule(first=when.first)
    if when == EVERY_STEP and not tail_steps:
        return None, NO_GATE
    return Kernel("float32.loops", ("each" if when.period == 1 else "beat",)), GateInstruction(
        0, when.first, when.period, when.extra
    )


def _lower_run(builder: InstructionBuilder, run: Sequence[AnyOperation]) -> None:
    """Operations of one schedule. A function of nothing but one result is done where that comes from, if it can be."""
    fused: AnyOperation | None = None
    for first, second in zip(run, [*run[1:], None], strict=True):
        if first is fused:
            continue
        fused = _lower_fused(builder, first, second)
        if fused is None:
            _lower_operation(builder, first)


def _lower_fused(builder: InstructionBuilder, first: AnyOperation, second: AnyOperation | None) -> AnyOperation | None:
    """Emit an operation together with the one that alone reads its result, which is returned.

    None if no kernel does both.
    """
    if second is None or len(first.outputs) != 1 or second.inputs != first.outputs:
        return None
    if not builder.program.graph.is_read_once(first.outputs[0]):
        return None
    lower: Callable[[InstructionBuilder, Any, Any], None] | None = None
    if isinstance(second, Unary) and second.function in FUSED_FUNCTIONS:
        lower = lower_dense if isinstance(first, Dense) else None
    elif isinstance(second, Dequantize):
        lower = lower_int8_softmax if isinstance(first, Int8Softmax) else None
    elif isinstance(second, Int8Unary):
        is_clip = second.function.function == "Clip"
        lower = FUSED_WITH_LIMITS.get(type(first)) if is_clip else None
        lower = lower_int8_affine if isinstance(first, Int8Affine) else lower
    if lower is None:
        return None
    lower(builder, first, second)
    return second


FUSED_WITH_LIMITS: dict[type, Callable[[InstructionBuilder, Any, Any], None]] = {
    Int8Dense: lower_int8_dense,
    Int8GroupedDense: lower_int8_grouped_dense,
}


def _lower_operation(builder: InstructionBuilder, operation: AnyOperation) -> None:
    """An operation, or a loop with its body."""
    if not isinstance(operation, Repeat):
        ALL_LOWERINGS[type(operation)](builder, operation)
        return
    counter = builder.iterations[operation.name] = builder.arena.take(8)
    begin = len(builder.rows)
    lower_operations(builder, operation.body, operation.when)
    body_bytes = ROW_BYTES * (len(builder.rows) + 1 - begin)
    builder.emit(
        Kernel("float32.loops", ("repeat",)), LoopInstruction(counter, operation.count, body_bytes), operation.name
    )
    # rounds are not told apart: the time of the whole loop is its own
    builder.operation_names[begin:] = [operation.name] * (len(builder.rows) - begin)


def _lower_history(builder: InstructionBuilder, operation: DelayLine) -> None:
    item, width = np.dtype(operation.dtype), "narrow" if operation.int8_storage else "wide"
    row = DelayLineInstruction(
        source=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        ring=builder.region(operation.ring),
        position=builder.region(operation.position),
        length=operation.length,
        taps=operation.taps,
        dilation=operation.dilation,
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


def _lower_running_reduce(builder: InstructionBuilder, operation: RunningReduce) -> None:
    row = RunningReduceInstruction(
        x=builder.value(operation.inputs[0]),
        y=builder.value(operation.outputs[0]),
        total=builder.region(operation.total),
        count=builder.region(operation.count),
        size=operation.size,
    )
    builder.emit(Kernel("float32.reductions.running", (operation.function,)), row, operation.name)


def _lower_running_softmax(builder: InstructionBuilder, operation: RunningSoftmax) -> None:
    row = RunningSoftmaxInstruction(
        scores=builder.value(operation.inputs[0]),
        x=builder.value(operation.inputs[1]),
        y=builder.value(operation.outputs[0]),
        largest=builder.region(operation.largest),
        total=builder.region(operation.total),
        weighted=builder.region(operation.weighted),
        groups=operation.groups,
        size=operation.size,
    )
    builder.emit(Kernel("float32.reductions.running", ("Softmax",)), row, operation.name)


ALL_LOWERINGS: dict[type, Callable[[InstructionBuilder, Any], None]] = {
    **LOWERINGS,
    **FEATURE_LOWERINGS,
    **LAYOUT_LOWERINGS,
    **INT8_LOWERINGS,
    **INT8_CELL_LOWERINGS,
    **INT8_FEATURE_LOWERINGS,
    DelayLine: _lower_history,
    RunningReduce: _lower_running_reduce,
    RunningSoftmax: _lower_running_softmax,
}
