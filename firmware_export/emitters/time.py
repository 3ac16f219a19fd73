"""What remembers frames, in C."""

from __future__ import annotations

from edgernn.program.operations import (
    DelayLine,
)
from firmware_export.emitters.c_loops import count
from firmware_export.emitters.calls import Emitter
from firmware_export.literals import C_TYPES, float_literal, integer_literal
from firmware_export.step import StepWriter


def delay_line(step: StepWriter, operation: DelayLine) -> list[str]:
    """A write into the ring, of padding behind the sequence's end; and a read where one is due."""
    number = "narrow" if operation.int8_storage else C_TYPES[operation.dtype]
    step.need("history_narrow" if operation.int8_storage else f"history.{number}")
    ring, position = step.state(operation.ring), step.state(operation.position)
    sizes = (
        f"{count(operation.length, f'{operation.name}: frames')}, {count(operation.size, f'{operation.name}: size')}"
    )
    x, last = step.place(operation.inputs[0]), step.clock.when(operation.when).tail
    if last < step.clock.tail_steps:
        x = f"ended <= {last} ? {x} : 0" if last else f"ended == 0 ? {x} : 0"
    fill = float_literal(operation.fill) if number == "float" else integer_literal(int(operation.fill))
    lines = [f"edgernn_remember_{number}({ring}, {position}, {sizes}, {x}, {fill});"]
    runs, made = step.runs[operation.name], step.made[operation.outputs[0]]
    taps = f"{operation.taps}, {count(operation.dilation, f'{operation.name}: dilation')}"
    read = f"edgernn_recall_{number}({ring}, {position}, {sizes}, {taps}, {step.place(operation.outputs[0])});"
    flag = "" if made == runs else step.flag(made)
    return [*lines, f"if ({flag}) {read}" if flag else read]


OPERATIONS: dict[type, Emitter] = {
    DelayLine: Emitter(delay_line),
}
