"""Integer operations of an int8 program, but for its recurrent cells. firmware_export/ARITHMETIC.md defines them.

Values are int16 and stand for ``q * scale``. Weights of matrix products are int8, each row with an int16 multiplier and
an int8 shift that bring its accumulator to the output's format, and an int32 bias in that format.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Sizes, Weight
from edgernn.program.operations.int8.base import (
    COUNT_SHIFTS,
    GATE_SCALE,
    IntegerFunction,
    IntegerOperation,
)


class Quantize(Operation, frozen=True, kw_only=True):
    """``q = floor((x - mean) * inverse + 0.5)``, saturated: the way from float32 into the integer part of a program.

    `mean` and `inverse` are float32 weights, one number for each element of the last axis. `counts`, where present, is
    the way from the sensor's own integers instead: an int32 weight (5, channels) that holds origin, narrowing,
    multiplier, offset and shift of each.
    """

    input_ports: ClassVar[Operands] = (Operand("a", ("*size",)),)
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int16", scale=Attribute("scale")),)

    mean: Annotated[str, Weight(("*channels",))]
    inverse: Annotated[str, Weight(("*channels",))]
    counts: Annotated[str | None, Weight(("5", "*channels"), "int32")] = None
    scale: float

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if sizes.shape(("*channels",)) != inputs[0].shape[-1:]:
            raise self.malformed(
                f"weight {self.mean} does not have a number for each of {inputs[0].shape[-1:]} channels"
            )
        if not (weights[self.inverse] > 0).all() or not 1e-30 < self.scale < 1e30:
            raise self.malformed("inverse and scale must be above 0 and finite")
        if self.counts is not None:
            limits = ((-(1 << 30), 1 << 30), (0, 15), (-32767, 32767), (1 - (1 << 30), (1 << 30) - 1), COUNT_SHIFTS)
            for row, (low, high) in zip(weights[self.counts], limits, strict=True):
                if (row < low).any() or (row > high).any():
                    raise self.malformed(f"weight {self.counts} holds a number outside {low} to {high}")


class Dequantize(IntegerOperation, frozen=True, kw_only=True):
    """``y = q * scale`` of the input's scale: the way from the integer part of a program to float32."""

    input_ports: ClassVar[Operands] = (Operand("a", dtype="int16"),)
    output_ports: ClassVar[Operands] = (Operand("y"),)


class Int8Affine(IntegerOperation, frozen=True, kw_only=True):
    """``y = x * multiplier / 2^shift + B`` for each element, with broadcasting: arithmetic with constants."""

    input_ports: ClassVar[Operands] = (Operand("a", ("*shape",), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int16", scale=Attribute("scale")),)

    multiplier: Annotated[str, Weight(("*constants",), "int16")]
    shift: Annotated[str, Weight(("*constants",), "int8")]
    B: Annotated[str, Weight(("*constants",), "int32")]
    scale: float

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(size=self.broadcast(inputs[0].shape, weights[self.multiplier].shape))
        return sizes

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_multiplier_range(weights[self.multiplier], weights[self.shift], signed=True)
        self.expect_bias_range(weights[self.B], self.B)
        self.expect_scale(self.scale)


class Int8Binary(IntegerOperation, frozen=True, kw_only=True):
    """Two values, each rescaled to the output's format and combined; for ``Mul`` and ``Div`` the result is rescaled."""

    input_ports: ClassVar[Operands] = (Operand("a", ("*a_shape",), "int16"), Operand("b", ("*b_shape",), "int16"))
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int16", scale=Attribute("scale")),)

    function: Literal["Add", "Sub", "Mul", "Div", "Min", "Max"]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    scale: float

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(size=self.broadcast(inputs[0].shape, inputs[1].shape))
        return sizes

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        count = 1 if self.function in ("Mul", "Div") else 2
        if len(self.multipliers) != count or len(self.shifts) != count:
            raise self.malformed(f"{self.function} needs {count} multipliers and shifts")
        self.expect_multiplier_range(np.array(self.multipliers), np.array(self.shifts))
        if self.function == "Mul" and self.shifts[0] < 17:
            raise self.malformed("the product of two values needs a shift of at least 17")
        self.expect_scale(self.scale)


class Int8Unary(IntegerOperation, frozen=True, kw_only=True):
    """One activation of each element."""

    input_ports: ClassVar[Operands] = (Operand("a", dtype="int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int16", scale=Attribute("scale")),)

    function: IntegerFunction
    scale: float

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_function(weights, self.function)
        expected = {"Sigmoid": GATE_SCALE, "Tanh": GATE_SCALE, "Clip": self.scale}.get(self.function.function)
        if expected is not None and inputs[0].scale != expected:
            raise self.malformed(
                f"{self.function.function} needs an input of scale {expected}, it is {inputs[0].scale}"
            )
        self.expect_scale(self.scale)

    def weight_names(self) -> tuple[str, ...]:
        return () if self.function.table is None else (self.function.table,)
