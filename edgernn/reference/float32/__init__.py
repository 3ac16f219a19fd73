"""The float operations in plain NumPy, written as the ONNX operators define them, a module for each family.

Slow and obvious: the oracle's text. Every function gives the number type of its arguments, so that float64 arrays give
a float64 reference. What comes of finite numbers is finite: sums and products that are too large for float32 saturate
at its largest number, also in float64; only a function at its pole gives infinity. Cells and matrix products compute in
float64 at the least, in which nothing overflows on the way.
"""

from edgernn.reference.float32.elementwise import BINARY, MAX_FLOAT32, UNARY, binary, saturate, unary
from edgernn.reference.float32.products import dense, grouped_dense
from edgernn.reference.float32.recurrent import gru, lstm, rnn
from edgernn.reference.float32.reductions import REDUCE, layer_norm, running_reduce, running_softmax, softmax
from edgernn.reference.float32.selection import arg_max, top_k

__all__ = [
    "BINARY",
    "MAX_FLOAT32",
    "REDUCE",
    "UNARY",
    "arg_max",
    "binary",
    "dense",
    "grouped_dense",
    "gru",
    "layer_norm",
    "lstm",
    "rnn",
    "running_reduce",
    "running_softmax",
    "saturate",
    "softmax",
    "top_k",
    "unary",
]
