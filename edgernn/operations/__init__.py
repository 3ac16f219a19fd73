"""Every step operation: its inputs, attributes, state and shapes. The single truth for all back ends.

To add one, write its class here, then one file per back end; CONTRIBUTING.md has the recipe.
"""

from edgernn.operations.base import MAX_ELEMENTS, Operation, Shape, StateRegion, Value, Weights
from edgernn.operations.dense import Dense
from edgernn.operations.elementwise import BINARY_FUNCTIONS, UNARY_FUNCTIONS, Binary, Softmax, Unary
from edgernn.operations.layout import ReadState, Rearrange, WriteState
from edgernn.operations.recurrent import SIGMOID, TANH, GateFunction, Gru, Lstm, RecurrentOperation, Rnn

# all operations that a program file may hold, told apart by "kind"
AnyOperation = Dense | Rnn | Gru | Lstm | Unary | Binary | Softmax | Rearrange | ReadState | WriteState

__all__ = [
    "BINARY_FUNCTIONS",
    "MAX_ELEMENTS",
    "SIGMOID",
    "TANH",
    "UNARY_FUNCTIONS",
    "AnyOperation",
    "Binary",
    "Dense",
    "GateFunction",
    "Gru",
    "Lstm",
    "Operation",
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
