"""Integer comparisons, and choices between values."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgernn.program.operations.base import Value, Weights
from edgernn.program.operations.int8.elementwise import IntegerOperation

TRUTH = 1 << 14  # the integer that stands for 1 where something holds; products with it keep their digits
TRUTH_SCALE = 2.0**-14


class Int8Compare(IntegerOperation, frozen=True, kw_only=True):
    """2^14 where it holds, else 0: two values, each rescaled to the finer of their formats and compared.

    And, Or and Xor take what is not 0 for true; multipliers and shifts then have no meaning.
    """

    function: Literal["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor"]
    multipliers: tuple[int, int] = (1 << 14, 1 << 14)
    shifts: tuple[int, int] = (14, 14)

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=2, outputs=1)
        if len(self.multipliers) != 2 or len(self.shifts) != 2:
            raise self.malformed("needs two multipliers and shifts")
        self.expect_multiplier_range(np.array(self.multipliers), np.array(self.shifts))
        try:
            return (Value(np.broadcast_shapes(inputs[0].shape, inputs[1].shape), "int16", TRUTH_SCALE),)
        except ValueError as error:
            raise self.malformed(f"shapes {inputs[0].shape} and {inputs[1].shape} do not broadcast") from error


class Int8Where(IntegerOperation, frozen=True, kw_only=True):
    """``y = a where condition is not 0, else b``, of three values of one shape; a and b have the same scale."""

    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=3, outputs=1)
        if len({value.shape for value in inputs}) > 1:
            raise self.malformed(f"shapes {', '.join(str(value.shape) for value in inputs)} differ")
        if {value.scale for value in inputs[1:]} != {self.scale}:
            raise self.malformed(f"scales {inputs[1].scale} and {inputs[2].scale} are not {self.scale}")
        return (inputs[1],)
