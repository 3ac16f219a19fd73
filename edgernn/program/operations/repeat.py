"""A part of a step that is repeated within it: sequences inside a frame, reversed layers in a window, decoders."""

from __future__ import annotations

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Sizes
from edgernn.program.operations.elementwise import Binary, Convert, Unary
from edgernn.program.operations.int8.elementwise import Dequantize, Int8Affine, Int8Binary, Int8Unary, Quantize
from edgernn.program.operations.int8.products import Int8Dense, Int8GroupedDense, Int8MatMul
from edgernn.program.operations.int8.recurrent import (
    Int8FineGate,
    Int8Gru,
    Int8Lstm,
    Int8Rnn,
    Int32StateUpdate,
)
from edgernn.program.operations.int8.reductions import (
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
)
from edgernn.program.operations.int8.selection import Int8Compare, Int8Where
from edgernn.program.operations.loops import MAX_REPEATS, PutFrame, TakeFrame
from edgernn.program.operations.movement import ConstantValue, Lookup, ReadState, Rearrange, WriteState
from edgernn.program.operations.products import Dense, GroupedDense, MatMul
from edgernn.program.operations.recurrent import Gru, Lstm, Rnn
from edgernn.program.operations.reductions import LayerNorm, Reduce, RunningReduce, RunningSoftmax, Softmax
from edgernn.program.operations.selection import ArgMax, TopK, Where
from edgernn.program.operations.time import DelayLine

# all operations that a program file may hold, told apart by "kind"
FloatOperation = (
    (Dense | GroupedDense | MatMul | Rnn | Gru | Lstm)
    | (Unary | Binary | Where | Softmax | LayerNorm)
    | (Reduce | RunningReduce | RunningSoftmax | ArgMax | TopK | Lookup)
)
Int8Operation = (
    (Int8Dense | Int8GroupedDense | Int8MatMul | Int8Rnn | Int8Gru | Int8Lstm)
    | (Int8Unary | Int8Affine | Int8Binary | Int8Compare | Int8Where | Int8Softmax | Int8LogSoftmax | Int8LayerNorm)
    | (Int8Reduce | Int8RunningReduce | Int8RunningSoftmax | Int8FineGate | Int32StateUpdate)
)
# that move numbers of any type without changing them
Movement = Rearrange | ReadState | WriteState | DelayLine | TakeFrame | PutFrame | ConstantValue | Convert
SingleOperation = FloatOperation | Int8Operation | Quantize | Dequantize | Movement


class Repeat(Operation, frozen=True, kw_only=True):
    """Runs the operations of its `body` `count` times; they know the iteration as the index i, from 0.

    States that the body changes go from one iteration to the next. What an iteration writes into values, the next
    overwrites. A body may hold further Repeats.
    """

    count: int
    body: tuple[AnyOperation, ...] = ()

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if not 1 <= self.count <= MAX_REPEATS:
            raise self.malformed(f"repeats its body {self.count} times")


AnyOperation = SingleOperation | Repeat
