"""Every step operation: its inputs, attributes, state and shapes. The single truth for all back ends.

To add one, write its class here, then one file per back end; CONTRIBUTING.md has the recipe.
"""

from edgernn.operations.base import MAX_ELEMENTS, Operation, Shape, StateRegion, Value, Weights
from edgernn.operations.dense import Dense
from edgernn.operations.elementwise import BINARY_FUNCTIONS, UNARY_FUNCTIONS, Binary, Softmax, Unary
from edgernn.operations.int8 import (
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Dense,
    Int8Softmax,
    Int8Unary,
    IntegerFunction,
    IntegerOperation,
    Quantize,
)
from edgernn.operations.int8_recurrent import Int8Gru, Int8Lstm, Int8RecurrentOperation, Int8Rnn
from edgernn.operations.layout import ReadState, Rearrange, WriteState
from edgernn.operations.recurrent import SIGMOID, TANH, GateFunction, Gru, Lstm, RecurrentOperation, Rnn

# all operations that a program file may hold, told apart by "kind"
FloatOperation = Dense | Rnn | Gru | Lstm | Unary | Binary | Softmax
Int8Operation = Int8Dense | Int8Rnn | Int8Gru | Int8Lstm | Int8Unary | Int8Affine | Int8Binary | Int8Softmax
AnyOperation = FloatOperation | Int8Operation | Quantize | Dequantize | Rearrange | ReadState | WriteState

__all__ = [
    "BINARY_FUNCTIONS",
    "MAX_ELEMENTS",
    "SIGMOID",
    "TANH",
    "UNARY_FUNCTIONS",
    "AnyOperation",
    "Binary",
    "Dense",
    "Dequantize",
    "FloatOperation",
    "GateFunction",
    "Gru",
    "Int8Affine",
    "Int8Binary",
    "Int8Dense",
    "Int8Gru",
    "Int8Lstm",
    "Int8Operation",
    "Int8RecurrentOperation",
    "Int8Rnn",
    "Int8Softmax",
    "Int8Unary",
    "IntegerFunction",
    "IntegerOperation",
    "Lstm",
    "Operation",
    "Quantize",
    "ReadState",
    "Rearrange",
    "RecurrentOperation",
    "Rnn",
    "Shape",
    "Softmax",
    "StateRegion",
    "Unary",
    "Value",
    "Weights",
    "WriteState",
]
