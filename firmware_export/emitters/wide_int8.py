"""Updates of 32-bit states that are written out."""

from __future__ import annotations

import numpy as np

from edgernn.program.operations import Int8FineGate, Int32StateTerm, Int32StateUpdate, StateMatrix
from firmware_export.emitters.loops import count, elementwise
from firmware_export.packing import scale_words
from firmware_export.step import StepWriter


def fine_gate(step: StepWriter, operation: Int8FineGate) -> list[str]:
    """A sigmoid of each element."""
    step.need("fine_sigmoid_int8")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    factor = "-2" if operation.complement else "2"
    size = step.value(operation.inputs[0]).size
    return elementwise((size,), [], f"({y})[{{y}}] = edgernn_fine_sigmoid({factor} * (int32_t)({x})[{{y}}]);")


def wide_update(step: StepWriter, operation: Int32StateUpdate) -> list[str]:
    """All terms of one element after the other."""
    step.need("wide_int8")
    int32_state, high = (step.place(name) for name in operation.outputs)
    expression = f"({step.state(operation.region)})[{{y}}]"
    for term in operation.terms:
        expression = _with_term(step, operation, term, expression)
    size = step.value(operation.outputs[0]).size
    if operation.floor:
        expression = f"edgernn_wide_floor({expression})"
    lines = [*elementwise((size,), [], f"({int32_state})[{{y}}] = {expression};")]
    return [*lines, *elementwise((size,), [], f"({high})[{{y}}] = (int16_t)(({int32_state})[{{y}}] >> 16);")]


def _with_term(step: StepWriter, operation: Int32StateUpdate, term: Int32StateTerm, h: str) -> str:
    inputs = [f"({step.place(name)})[{{y}}]" for name in operation.inputs]
    negative = int(term.negative)
    if isinstance(term.matrix, StateMatrix):
        return _with_matrix(step, operation, term.x, term.matrix, h)
    x = inputs[term.x] if term.minus is None else f"(int32_t){inputs[term.x]} - {inputs[term.minus]}"
    if term.gate is not None:
        return f"edgernn_wide_product({h}, {x}, {inputs[term.gate]}, {negative})"
    if term.factor is not None:
        factors = step.program.weights[term.factor]
        table = step.table(term.factor, factors, f"{operation.name}: factors")
        return f"edgernn_wide_product({h}, {x}, edgernn_read_int32({table} + ({{y}})), {negative})"
    return f"edgernn_wide_shifted({h}, {x}, {term.shift}, {negative})"


def _with_matrix(step: StepWriter, operation: Int32StateUpdate, x: int, matrix: StateMatrix, h: str) -> str:
    W, m, s, B = (step.program.weights[name] for name in matrix.names())
    columns = count(W.shape[1], f"{operation.name}: columns of a matrix")
    table = step.table(matrix.W, W, f"{operation.name}: W, {W.shape[0]} x {columns}")
    numbers = np.stack([scale_words(m, s), B], axis=1).astype(np.int32)  # (rows, 2)
    constants = step.table(f"{matrix.W}_constants", numbers, f"{operation.name}: scales and biases")
    source = step.place(operation.inputs[x])
    bits = 32 if step.value(operation.inputs[x]).dtype == "int32" else 16
    return (
        f"edgernn_wide_matrix{bits}({h}, {table} + ({{y}}) * {columns}, {constants} + ({{y}}) * 2, {source}, {columns})"
    )
