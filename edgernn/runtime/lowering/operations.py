"""The operations of a program as instructions, with the gates and loops around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.instructions import (
    ROW_SLOTS,
    GateInstruction,
    LoopInstruction,
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
    Schedule,
    Unary,
)
from edgernn.runtime.lowering import elementwise, loops, movement, products, recurrent, reductions, selection, time
from edgernn.runtime.lowering.int8 import elementwise as int8_elementwise
from edgernn.runtime.lowering.int8 import products as int8_products
from edgernn.runtime.lowering.int8 import recurrent as int8_recurrent
from edgernn.runtime.lowering.int8 import reductions as int8_reductions
from edgernn.runtime.lowering.int8 import selection as int8_selection
from edgernn.runtime.lowering.int8.elementwise import lower_int8_affine
from edgernn.runtime.lowering.int8.products import lower_int8_dense, lower_int8_grouped_dense
from edgernn.runtime.lowering.int8.reductions import lower_int8_softmax
from edgernn.runtime.lowering.products import FUSED_FUNCTIONS, lower_dense
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering

FLOAT_FAMILIES = (elementwise, products, recurrent, reductions, selection, movement, time, loops)
INT8_FAMILIES = (int8_elementwise, int8_products, int8_recurrent, int8_reductions, int8_selection)
LOWERINGS: dict[type, Lowering] = {
    operation: lower for family in (*FLOAT_FAMILIES, *INT8_FAMILIES) for operation, lower in family.OPERATIONS.items()
}
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
        LOWERINGS[type(operation)](builder, operation)
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
