"""Every step operation: its inputs, attributes, state and shapes. The single truth for all back ends.

To add one, write its class here, then one file per back end; CONTRIBUTING.md has the recipe.
"""

from edgernn.program.operations.base import MAX_ELEMENTS, Operation, Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Shape, Sizes, State, StateRegion, Weight
from edgernn.program.operations.elementwise import BINARY_FUNCTIONS, DOMAINS, UNARY_FUNCTIONS, Binary, Convert, Unary
from edgernn.program.operations.int8.base import IntegerFunction, IntegerOperation
from edgernn.program.operations.int8.elementwise import Dequantize, Int8Affine, Int8Binary, Int8Unary, Quantize
from edgernn.program.operations.int8.products import Int8Dense, Int8GroupedDense, Int8MatMul
from edgernn.program.operations.int8.recurrent import (
    Int8FineGate,
    Int8Gru,
    Int8Lstm,
    Int8RecurrentOperation,
    Int8Rnn,
    Int32StateTerm,
    Int32StateUpdate,
    StateMatrix,
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
from edgernn.program.operations.loops import PutFrame, TakeFrame
from edgernn.program.operations.movement import ConstantValue, Lookup, ReadState, Rearrange, WriteState
from edgernn.program.operations.products import Dense, GroupedDense, MatMul
from edgernn.program.operations.recurrent import SIGMOID, TANH, GateFunction, Gru, Lstm, RecurrentOperation, Rnn
from edgernn.program.operations.reductions import LayerNorm, Reduce, RunningReduce, RunningSoftmax, Softmax
from edgernn.program.operations.repeat import (
    AnyOperation,
    FloatOperation,
    Int8Operation,
    Movement,
    Repeat,
    SingleOperation,
)
from edgernn.program.operations.schedule import EVERY_STEP, Schedule
from edgernn.program.operations.selection import ArgMax, TopK, Where
from edgernn.program.operations.time import DelayLine

__all__ = [
    "BINARY_FUNCTIONS",
    "DOMAINS",
    "EVERY_STEP",
    "MAX_ELEMENTS",
    "SIGMOID",
    "TANH",
    "UNARY_FUNCTIONS",
    "AnyOperation",
    "ArgMax",
    "Attribute",
    "Binary",
    "ConstantValue",
    "Convert",
    "DelayLine",
    "Dense",
    "Dequantize",
    "FloatOperation",
    "GateFunction",
    "GroupedDense",
    "Gru",
    "Int8Affine",
    "Int8Binary",
    "Int8Compare",
    "Int8Dense",
    "Int8FineGate",
    "Int8GroupedDense",
    "Int8Gru",
    "Int8LayerNorm",
    "Int8LogSoftmax",
    "Int8Lstm",
    "Int8MatMul",
    "Int8Operation",
    "Int8RecurrentOperation",
    "Int8Reduce",
    "Int8Rnn",
    "Int8RunningReduce",
    "Int8RunningSoftmax",
    "Int8Softmax",
    "Int8Unary",
    "Int8Where",
    "Int32StateTerm",
    "Int32StateUpdate",
    "IntegerFunction",
    "IntegerOperation",
    "LayerNorm",
    "Lookup",
    "Lstm",
    "MatMul",
    "Movement",
    "Operand",
    "Operation",
    "PutFrame",
    "Quantize",
    "ReadState",
    "Rearrange",
    "RecurrentOperation",
    "Reduce",
    "Repeat",
    "Rnn",
    "RunningReduce",
    "RunningSoftmax",
    "Schedule",
    "Shape",
    "SingleOperation",
    "Sizes",
    "Softmax",
    "State",
    "StateMatrix",
    "StateRegion",
    "TakeFrame",
    "TopK",
    "Unary",
    "Value",
    "Weight",
    "Weights",
    "Where",
    "WriteState",
]
