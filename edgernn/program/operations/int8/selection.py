"""Integer comparisons, and choices between values."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from edgernn.program.operations.base import Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Sizes
from edgernn.program.operations.int8.base import (
    IntegerOperation,
)

TRUTH = 1 << 14  # the integer that stands for 1 where something holds; products with it keep their digits
TRUTH_SCALE = 2.0**-14


class Int8Compare(IntegerOperation, frozen=True, kw_only=True):
    """2^14 where it holds, else 0: two values, each rescaled to the finer of their formats and compared.

    And, Or and Xor take what is not 0 for true; multipliers and shifts then have no meaning.
    """

    input_ports: ClassVar[Operands] = (Operand("a", ("*a_shape",), "int16"), Operand("b", ("*b_shape",), "int16"))
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int16", scale=TRUTH_SCALE),)

    function: Literal["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor"]
    multipliers: tuple[int, int] = (1 << 14, 1 << 14)
    shifts: tuple[int, int] = (14, 14)

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(size=self.broadcast(inputs[0].shape, inputs[1].shape))
        return sizes

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if len(self.multipliers) != 2 or len(self.shifts) != 2:
            raise self.malformed("needs two multipliers and shifts")
        self.expect_multiplier_range(np.array(self.multipliers), np.array(self.shifts))


class Int8Where(IntegerOperation, frozen=True, kw_only=True):
    """``y = a where condition is not 0, else b``, of three values of one shape; a and b have the same scale."""

    input_ports: ClassVar[Operands] = (
        Operand("condition", dtype="int16"),
        Operand("a", dtype="int16"),
        Operand("b", dtype="int16"),
    )
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int16", scale=Attribute("scale")),)

    scale: float

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if {value.scale for value in inputs[1:]} != {self.scale}:
            raise self.malformed(f"scales {inputs[1].scale} and {inputs[2].scale} are not {self.scale}")
