"""Float matrix products, in C."""

from __future__ import annotations

from edgernn.program.operations import (
    Dense,
    GroupedDense,
    MatMul,
    RecurrentOperation,
)
from firmware_export.emitters.c_loops import count, rows
from firmware_export.emitters.calls import Emitter
from firmware_export.step import StepWriter


def weight_table(step: StepWriter, operation: Dense | GroupedDense | RecurrentOperation, field: str) -> str:
    """C name of a weight, NULL if it is absent."""
    name = getattr(operation, field)
    if name is None:
        return "0"
    array = step.program.weights[name]
    shape = " x ".join(str(extent) for extent in array.shape)
    return step.table(f"{operation.name}_{field}", array, f"{operation.name}: {field}, {shape}")


def dense(step: StepWriter, operation: Dense) -> list[str]:
    """A call for each row of the input."""
    step.need("dense_float")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    N, K = step.program.weights[operation.W].shape
    W, B = weight_table(step, operation, "W"), weight_table(step, operation, "B")
    shape = step.value(operation.inputs[0]).shape
    return rows(shape, lambda at: f"edgernn_dense_float({x}{at(K)}, {K}, {W}, {B}, {N}, {y}{at(N)});")


def grouped_dense(step: StepWriter, operation: GroupedDense) -> list[str]:
    """A call for each matrix of inputs and groups."""
    step.need("grouped_dense_float")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    N, K, G = step.program.weights[operation.W].shape
    W, B = weight_table(step, operation, "W"), weight_table(step, operation, "B")
    sizes = [count(size, f"{operation.name}: an axis of W") for size in (K, G, N)]
    arguments = f"{sizes[0]}, {sizes[1]}, {W}, {B}, {sizes[2]}"
    return rows(
        (*step.value(operation.inputs[0]).shape[:-2], K * G),
        lambda at: f"edgernn_grouped_dense_float({x}{at(K * G)}, {arguments}, {y}{at(N * G)});",
    )


def matmul(step: StepWriter, operation: MatMul) -> list[str]:
    """A call for each matrix."""
    step.need("matmul_float")
    (a, b), y = (step.place(name) for name in operation.inputs), step.place(operation.outputs[0])
    *batch, n, k = step.value(operation.inputs[0]).shape
    m = step.value(operation.outputs[0]).shape[-1]
    down, across = (1, k) if operation.transposed else (m, 1)
    sizes = ", ".join(count(size, f"{operation.name}: an axis") for size in (n, k, m, down, across))
    return rows(
        (*batch, n * k),
        lambda at: f"edgernn_matmul_float({a}{at(n * k)}, {b}{at(k * m)}, {sizes}, {y}{at(n * m)});",
    )


OPERATIONS: dict[type, Emitter] = {
    Dense: Emitter(dense),
    GroupedDense: Emitter(grouped_dense),
    MatMul: Emitter(matmul),
}
