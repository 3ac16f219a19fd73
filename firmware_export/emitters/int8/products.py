"""Integer matrix products, in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    Int8Dense,
    Int8GroupedDense,
    Int8MatMul,
    Int8RecurrentOperation,
)
from edgernn.program.program import Program
from firmware_export.emitters.c_loops import count, rows
from firmware_export.emitters.calls import Emitter, scale_word
from firmware_export.packing import BLOCK, LIMITED, NOT_ON_AVR, blocks, fours, panels, scale_words, small_shifts
from firmware_export.step import StepWriter

Array: TypeAlias = NDArray[Any]
Order = Callable[[Array], Array]  # of the rows


def matrix_rows(
    step: StepWriter, operation: Int8Dense | Int8RecurrentOperation, field: str, order: Order, sizes: list[int]
) -> str:
    """The line that declares the rows of a matrix, called as the field."""
    step.need("product")
    W, shift = (
        step.program.weights[getattr(operation, field)],
        step.program.weights[getattr(operation, field + "_shift")],
    )
    shape = " x ".join(str(extent) for extent in W.shape)
    what = f"{operation.name}: {field}, {shape}"
    table = step.table(f"{operation.name}_{field}", panels(order(W), sizes), what, aligned=True)
    shifts = small_shifts(W, shift, operation.operand_bits)
    declaration = f"const edgernn_rows {field} = {{{table}, {operation.operand_bits}, {shifts}}};"
    return declaration if shifts < LIMITED else f"{NOT_ON_AVR}\n{declaration}"


def scales(step: StepWriter, operation: Int8Dense | Int8RecurrentOperation, field: str) -> Array:
    """Scale words of the rows of a matrix (rows,)."""
    weights = step.program.weights
    return scale_words(*(weights[getattr(operation, field + suffix)] for suffix in ("_multiplier", "_shift")))


def constants_table(step: StepWriter, operation: Int8Dense | Int8RecurrentOperation, numbers: Array) -> str:
    """C name of the table of a layer's constants."""
    return step.table(f"{operation.name}_constants", numbers.astype(np.int32), f"{operation.name}: scales and biases")


def alternating(scale: Array, B: Array) -> Array:
    """Scale and bias of each row (2 * rows,)."""
    return np.stack([scale, B], axis=1).ravel()


def unchanged(array: Array) -> Array:
    """Rows in the order that they have."""
    return array


def dense(step: StepWriter, operation: Int8Dense) -> list[str]:
    """A call for each row of the input."""
    step.need("dense_int8")
    N, K = step.program.weights[operation.W].shape
    declaration = matrix_rows(step, operation, "W", unchanged, fours(N))
    numbers = alternating(scales(step, operation, "W"), step.program.weights[operation.B])
    constants = constants_table(step, operation, numbers)
    x, y, operand = step.place(operation.inputs[0]), step.place(operation.outputs[0]), step.temporary(operation)
    calls = rows(
        step.value(operation.inputs[0]).shape,
        lambda at: f"edgernn_dense_int8({x}{at(K)}, {K}, &W, {constants}, {N}, {y}{at(N)}, {operand});",
    )
    return ["{", "    " + declaration, *("    " + call for call in calls), "}"]


def dense_temporaries(program: Program, operation: Int8Dense) -> list[tuple[str, int]]:
    """The operand of one row."""
    return [("int16", BLOCK * blocks(program.weights[operation.W].shape[1]))]


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
    scale = scale_word(operation)
    return rows(
        (*batch, n * k),
        lambda at: (
            f"edgernn_matmul_int8({a}{at(n * k)}, {b}{at(k * m)}, {sizes}, {operation.operand_bits}, {scale}, "
            f"{y}{at(n * m)});"
        ),
    )


OPERATIONS: dict[type, Emitter] = {
    Int8Dense: Emitter(dense, dense_temporaries),
    Int8GroupedDense: Emitter(grouped_dense),
    Int8MatMul: Emitter(matmul),
}
