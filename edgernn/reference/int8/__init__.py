"""The integer arithmetic in plain NumPy: firmware_export/ARITHMETIC.md. Every back end equals it.

Everything is computed in int64, so that nothing here can overflow; the ranges that the document proves are what lets
the other back ends use int32. Values are int64 arrays that hold int16 numbers, (..., n): any leading axes are
independent streams or rows. ``>>`` rounds down, also for negative numbers.
"""

from edgernn.reference.int8.base import (
    INT16_MAX,
    INT16_MIN,
    INT32_MAX,
    INT32_MIN,
    Rows,
    bit_length,
    multiply_fine,
    operand,
    power_of_two,
    product,
    reciprocal,
    rescale,
    saturate16,
    saturate32,
)
from edgernn.reference.int8.elementwise import (
    Function,
    activate,
    affine,
    binary,
    dequantize,
    divide,
    fine_sigmoid,
    octaves,
    quantize,
    quantize_counts,
    sigmoid,
    table,
    tanh,
)
from edgernn.reference.int8.products import dense
from edgernn.reference.int8.recurrent import gru, lstm, rnn
from edgernn.reference.int8.reductions import log_softmax, softmax

__all__ = [
    "INT16_MAX",
    "INT16_MIN",
    "INT32_MAX",
    "INT32_MIN",
    "Function",
    "Rows",
    "activate",
    "affine",
    "binary",
    "bit_length",
    "dense",
    "dequantize",
    "divide",
    "fine_sigmoid",
    "gru",
    "log_softmax",
    "lstm",
    "multiply_fine",
    "octaves",
    "operand",
    "power_of_two",
    "product",
    "quantize",
    "quantize_counts",
    "reciprocal",
    "rescale",
    "rnn",
    "saturate16",
    "saturate32",
    "sigmoid",
    "softmax",
    "table",
    "tanh",
]
