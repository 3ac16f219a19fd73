"""Integer matrix products beside the dense layer: of groups, of two values."""

from __future__ import annotations

import numpy as np

from edgernn.program.operations import Int8GroupedDense, Int8MatMul
from firmware_export.emitters.loops import count, rows
from firmware_export.packing import scale_words, small_shifts
from firmware_export.step import StepWriter


def grouped_dense(step: StepWriter, operation: Int8GroupedDense) -> list[str]:
    """A call for each matrix of inputs and groups."""
    step.need("grouped_dense_int8")
    weights = step.program.weights
    W, m, s, B = (weights[getattr(operation, field)] for field in ("W", "W_multiplier", "W_shift", "B"))
    N, K, G = W.shape
    table = step.table(f"{operation.name}_W", W, f"{operation.name}: W, {N} x {K} x {G}")
    numbers = np.stack([scale_words(m, s), B], axis=-1).astype(np.int32)  # (outputs, groups, 2)
    constants = step.table(f"{operation.name}_constants", numbers, f"{operation.name}: scales and biases")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    sizes = [count(size, f"{operation.name}: an axis of W") for size in (K, G, N)]
    calls = rows(
        (*step.value(operation.inputs[0]).shape[:-2], K * G),
        lambda at: (
            f"edgernn_grouped_dense_int8({x}{at(K * G)}, {sizes[0]}, {sizes[1]}, &W, {constants}, {sizes[2]}, "
            f"{y}{at(N * G)});"
        ),
    )
    shifts = small_shifts(W.transpose(0, 2, 1).reshape(N * G, K), s, operation.operand_bits)
    declaration = f"const edgernn_rows W = {{{table}, {operation.operand_bits}, {shifts}}};"
    return ["{", "    " + declaration, *("    " + call for call in calls), "}"]


def matmul(step: StepWriter, operation: Int8MatMul) -> list[str]:
    """A call for each matrix."""
    step.need("matmul_int8")
    (a, b), y = (step.place(name) for name in operation.inputs), step.place(operation.outputs[0])
    *batch, n, k = step.value(operation.inputs[0]).shape
    m = step.value(operation.outputs[0]).shape[-1]
    down, across = (1, k) if operation.transposed else (m, 1)
    sizes = ", ".join(count(size, f"{operation.name}: an axis") for size in (n, k, m, down, across))
    scale = int(scale_words(np.array([operation.multiplier]), np.array([operation.shift]))[0])
    return rows(
        (*batch, n * k),
        lambda at: (
            f"edgernn_matmul_int8({a}{at(n * k)}, {b}{at(k * m)}, {sizes}, {operation.operand_bits}, {scale}, "
            f"{y}{at(n * m)});"
        ),
    )
