"""Matrix products and recurrent cells in float."""

from __future__ import annotations

from edgernn.program.operations import Dense, GroupedDense, Gru, Lstm, MatMul, RecurrentOperation, Rnn
from edgernn.program.program import Program
from firmware_export.emitters.elements_float import function
from firmware_export.emitters.loops import count, rows
from firmware_export.step import StepWriter


def _table(step: StepWriter, operation: Dense | GroupedDense | RecurrentOperation, field: str) -> str:
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
    W, B = _table(step, operation, "W"), _table(step, operation, "B")
    shape = step.value(operation.inputs[0]).shape
    return rows(shape, lambda at: f"edgernn_dense_float({x}{at(K)}, {K}, {W}, {B}, {N}, {y}{at(N)});")


def grouped_dense(step: StepWriter, operation: GroupedDense) -> list[str]:
    """A call for each matrix of inputs and groups."""
    step.need("grouped_dense_float")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    N, K, G = step.program.weights[operation.W].shape
    W, B = _table(step, operation, "W"), _table(step, operation, "B")
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
        *(_table(step, operation, field) for field in operation.weight_fields),
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
