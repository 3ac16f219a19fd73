"""Integer matrix products beside `Int8Dense`: of weights with each group of a vector, of two values."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from edgernn.program.operations.base import Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Sizes, Weight
from edgernn.program.operations.int8.base import (
    IntegerOperation,
    accumulator_bound,
)

MAX_OPERAND = {8: 1 << 7, 16: 1 << 15}  # magnitude, by bits


class Int8Dense(IntegerOperation, frozen=True, kw_only=True):
    """`Dense` in integers: accumulate, rescale, add the bias, saturate."""

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "input_size"), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "output_size"), "int16", Attribute("scale")),)

    W: Annotated[str, Weight(("output_size", "input_size"), "int8")]
    W_multiplier: Annotated[str, Weight(("output_size",), "int16")]
    W_shift: Annotated[str, Weight(("output_size",), "int8")]
    B: Annotated[str, Weight(("output_size",), "int32")]
    operand_bits: int
    scale: float

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_rows(weights, "W", self.operand_bits)
        self.expect_bias_range(weights[self.B], self.B)
        self.expect_scale(self.scale)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class Int8GroupedDense(IntegerOperation, frozen=True, kw_only=True):
    """`GroupedDense` in integers: x (..., inputs, groups) -> y (..., outputs, groups).

    W is int8 (outputs, inputs, groups); multiplier (int16), shift (int8) and B (int32) have a number for each output of
    each group, (outputs, groups).
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "input_size", "groups"), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "output_size", "groups"), "int16", Attribute("scale")),)

    W: Annotated[str, Weight(("output_size", "input_size", "groups"), "int8")]
    W_multiplier: Annotated[str, Weight(("output_size", "groups"), "int16")]
    W_shift: Annotated[str, Weight(("output_size", "groups"), "int8")]
    B: Annotated[str, Weight(("output_size", "groups"), "int32")]
    operand_bits: int
    scale: float

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        W, s, B = weights[self.W], weights[self.W_shift], weights[self.B]
        self.expect_multiplier_range(weights[self.W_multiplier], s)
        self.expect_bias_range(B, self.B)
        if self.operand_bits not in MAX_OPERAND:
            raise self.malformed(f"operand_bits is {self.operand_bits}, it must be 8 or 16")
        rows = W.transpose(0, 2, 1).reshape(s.size, -1)
        if accumulator_bound(rows, self.operand_bits).max() >= 1 << 31:
            raise self.malformed(f"a row of weight {self.W} could overflow 32 bits")
        self.expect_scale(self.scale)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class Int8MatMul(IntegerOperation, frozen=True, kw_only=True):
    """`MatMul` in integers: b is read in 8 bits, a in `operand_bits`; one multiplier and shift rescale the sums."""

    input_ports: ClassVar[Operands] = (
        Operand("a", ("*matrices", "n", "k"), "int16"),
        Operand("b", Attribute("b_shape"), "int16"),
    )
    output_ports: ClassVar[Operands] = (Operand("y", ("*matrices", "n", "m"), "int16", Attribute("scale")),)

    transposed: bool = False
    operand_bits: int
    multiplier: int
    shift: int
    scale: float

    @property
    def b_shape(self) -> tuple[str, ...]:
        """Axes of b."""
        return ("*matrices", "m", "k") if self.transposed else ("*matrices", "k", "m")

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if self.operand_bits not in MAX_OPERAND:
            raise self.malformed(f"operand_bits is {self.operand_bits}, it must be 8 or 16")
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))
        if matmul_bound(sizes["k"], self.operand_bits, self.shift) >= 1 << 31:
            raise self.malformed(f"a sum of {sizes['k']} products could overflow 32 bits")
        self.expect_scale(self.scale)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        b = inputs[1].shape
        return inputs[0].size * b[-2 if self.transposed else -1]


def matmul_bound(terms: int, operand_bits: int, shift: int) -> int:
    """The largest magnitude of a sum of so many products of two values before it is multiplied."""
    return (terms * MAX_OPERAND[8] * MAX_OPERAND[operand_bits]) << max(0, 17 - shift)
