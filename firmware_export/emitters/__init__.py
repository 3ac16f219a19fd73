"""How each step operation is written as C: one function for each, in a file for each family.

To add an operation, write its kernel in runtime/, its emitter here, and an entry in `EMITTERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from edgernn.errors import ExportError
from edgernn.program.operations import (
    AnyOperation,
    ArgMax,
    Binary,
    Constant,
    Convert,
    DelayLine,
    Dense,
    Dequantize,
    GroupedDense,
    Gru,
    Int8Affine,
    Int8Binary,
    Int8Compare,
    Int8Dense,
    Int8FineGate,
    Int8GroupedDense,
    Int8Gru,
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Lstm,
    Int8MatMul,
    Int8Reduce,
    Int8Rnn,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
    Int8Unary,
    Int8Where,
    Int32StateUpdate,
    LayerNorm,
    Lookup,
    Lstm,
    MatMul,
    PutFrame,
    Quantize,
    ReadState,
    Rearrange,
    Reduce,
    Repeat,
    Rnn,
    RunningReduce,
    RunningSoftmax,
    Softmax,
    TakeFrame,
    TopK,
    Unary,
    Where,
    WriteState,
)
from edgernn.program.program import Program
from firmware_export.emitters import (
    cells_float,
    cells_int8,
    elements_float,
    elements_int8,
    layout,
    products_int8,
    reductions,
    reductions_int8,
    selection_int8,
    time,
    wide_int8,
)
from firmware_export.step import StepWriter


class Emitter(NamedTuple):
    """`write` returns the C lines of an operation, `temporaries` the arrays that it needs while it runs."""

    write: Callable[[StepWriter, Any], list[str]]
    temporaries: Callable[[Program, Any], list[tuple[str, int]]] = lambda program, operation: []


EMITTERS: dict[type, Emitter] = {
    Dense: Emitter(cells_float.dense),
    GroupedDense: Emitter(cells_float.grouped_dense),
    MatMul: Emitter(cells_float.matmul),
    Rnn: Emitter(cells_float.rnn),
    Gru: Emitter(cells_float.gru, cells_float.gru_temporaries),
    Lstm: Emitter(cells_float.lstm),
    Unary: Emitter(elements_float.unary),
    Binary: Emitter(elements_float.binary),
    Where: Emitter(elements_float.where),
    Softmax: Emitter(elements_float.softmax),
    LayerNorm: Emitter(reductions.layer_norm),
    Reduce: Emitter(reductions.reduce),
    RunningReduce: Emitter(reductions.running_reduce),
    RunningSoftmax: Emitter(reductions.running_softmax),
    ArgMax: Emitter(reductions.arg_max),
    TopK: Emitter(reductions.top_k),
    Lookup: Emitter(layout.lookup),
    DelayLine: Emitter(time.history),
    Constant: Emitter(layout.constant),
    Convert: Emitter(layout.convert),
    TakeFrame: Emitter(layout.take_frame),
    PutFrame: Emitter(layout.put_frame),
    Rearrange: Emitter(layout.rearrange),
    ReadState: Emitter(layout.read_state),
    WriteState: Emitter(layout.write_state),
    Quantize: Emitter(elements_int8.quantize),
    Dequantize: Emitter(elements_int8.dequantize),
    Int8Affine: Emitter(elements_int8.affine),
    Int8Binary: Emitter(elements_int8.binary),
    Int8Unary: Emitter(elements_int8.unary),
    Int8Softmax: Emitter(elements_int8.softmax, elements_int8.softmax_temporaries),
    Int8LogSoftmax: Emitter(elements_int8.log_softmax),
    Int8Compare: Emitter(selection_int8.compare),
    Int8Where: Emitter(selection_int8.where),
    Int8FineGate: Emitter(wide_int8.fine_gate),
    Int32StateUpdate: Emitter(wide_int8.wide_update),
    Int8LayerNorm: Emitter(reductions_int8.layer_norm),
    Int8Reduce: Emitter(reductions_int8.reduce),
    Int8RunningReduce: Emitter(reductions_int8.running_reduce),
    Int8RunningSoftmax: Emitter(reductions_int8.running_softmax),
    Int8Dense: Emitter(cells_int8.dense, cells_int8.dense_temporaries),
    Int8GroupedDense: Emitter(products_int8.grouped_dense),
    Int8MatMul: Emitter(products_int8.matmul),
    Int8Rnn: Emitter(cells_int8.rnn, cells_int8.cell_temporaries),
    Int8Gru: Emitter(cells_int8.gru, cells_int8.cell_temporaries),
    Int8Lstm: Emitter(cells_int8.lstm, cells_int8.cell_temporaries),
}


def _emitter(operation: AnyOperation) -> Emitter:
    try:
        return EMITTERS[type(operation)]
    except KeyError:
        raise ExportError(
            f"operation {operation.name}: {type(operation).__name__} cannot be written as C yet"
        ) from None


def writer(program: Program, prefix: str) -> StepWriter:
    """A StepWriter whose scratch memory holds what the operations of `program` need.

    Raises
    ------
    ExportError
        An operation has no emitter.
    """

    def temporaries(operation: AnyOperation) -> list[tuple[str, int]]:
        return [] if isinstance(operation, Repeat) else _emitter(operation).temporaries(program, operation)

    return StepWriter(program, prefix, temporaries)


def write(step: StepWriter, operation: AnyOperation) -> list[str]:
    """The C lines of one operation."""
    return _emitter(operation).write(step, operation)
