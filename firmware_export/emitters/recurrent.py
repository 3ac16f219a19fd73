"""Float recurrent cells, in C."""

from __future__ import annotations

from edgernn.program.operations import (
    Gru,
    Lstm,
    RecurrentOperation,
    Rnn,
)
from edgernn.program.program import Program
from firmware_export.emitters.calls import Emitter
from firmware_export.emitters.elementwise import function
from firmware_export.emitters.products import weight_table
from firmware_export.step import StepWriter


def _call(
    step: StepWriter, operation: RecurrentOperation, kernel: str, before: list[str], after: list[str]
) -> list[str]:
    """The call of a cell's kernel: input, states, weights, functions, output."""
    step.need(kernel)
    gates = [
        function(step, f"{operation.name}_{letter}", gate, None if letter == "h" else operation.clip)
        for letter, gate in zip("fgh", operation.activations, strict=False)
    ]
    W = step.program.weights[operation.W]
    states = [step.state(getattr(operation, field)) for field in operation.state_fields]
    arguments = [
        *(step.place(operation.inputs[0]), str(W.shape[1])),
        *states,
        str(step.program.weights[operation.R].shape[1]),
        *(weight_table(step, operation, field) for field in operation.weight_fields),
        *gates,
        *before,
        step.place(operation.outputs[0]),
        *after,
    ]
    return [f"edgernn_{kernel}({', '.join(arguments)});"]


def rnn(step: StepWriter, operation: Rnn) -> list[str]:
    """The Elman cell."""
    return _call(step, operation, "rnn_float", [], [])


def gru(step: StepWriter, operation: Gru) -> list[str]:
    """The gated recurrent unit; without scratch memory the reset gate comes after the product."""
    reset = "0" if operation.linear_before_reset else step.temporary(operation)
    return _call(step, operation, "gru_float", [], [reset])


def gru_temporaries(program: Program, operation: Gru) -> list[tuple[str, int]]:
    """The reset state, where the reset gate comes before the product."""
    return [] if operation.linear_before_reset else [("float32", program.weights[operation.R].shape[1])]


def lstm(step: StepWriter, operation: Lstm) -> list[str]:
    """The long short-term memory."""
    return _call(step, operation, "lstm_float", [str(int(operation.input_forget))], [])


OPERATIONS: dict[type, Emitter] = {
    Rnn: Emitter(rnn),
    Gru: Emitter(gru, gru_temporaries),
    Lstm: Emitter(lstm),
}
