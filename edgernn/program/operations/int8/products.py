"""Integer matrix products beside `Int8Dense`: of weights with each group of a vector, of two values."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edgernn.program.operations.base import Value, Weights
from edgernn.program.operations.int8.elementwise import IntegerOperation, accumulator_bound

MAX_OPERAND = {8: 1 << 7, 16: 1 << 15}  # magnitude, by bits


class Int8GroupedDense(IntegerOperation, frozen=True, kw_only=True):
    """`GroupedDense` in integers: x (..., inputs, groups) -> y (..., outputs, groups).

    W is int8 (outputs, inputs, groups); multiplier (int16), shift (int8) and B (int32) have a number for each output of
    each group, (outputs, groups).
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("W", "W_multiplier", "W_shift", "B")

    W: str
    W_multiplier: str
    W_shift: str
    B: str
    operand_bits: int
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        W, shape = self.weight(weights, self.W, 3, "int8"), inputs[0].shape
        if not W.size or len(shape) < 2 or shape[-2:] != W.shape[1:]:
            raise self.malformed(f"input {self.inputs[0]} has shape {shape}, W of shape {W.shape} does not fit")
        outputs, _, groups = W.shape
        m = self.weight(weights, self.W_multiplier, 2, "int16")
        s = self.weight(weights, self.W_shift, 2, "int8")
        B = self.weight(weights, self.B, 2, "int32")
        for array, name in ((m, self.W_multiplier), (s, self.W_shift), (B, self.B)):
            self.expect_shape(array, name, (outputs, groups))
        self.expect_multiplier_range(m, s)
        self.expect_bias_range(B, self.B)
        if self.operand_bits not in MAX_OPERAND:
            raise self.malformed(f"operand_bits is {self.operand_bits}, it must be 8 or 16")
        rows = W.transpose(0, 2, 1).reshape(outputs * groups, -1)
        if accumulator_bound(rows, self.operand_bits).max() >= 1 << 31:
            raise self.malformed(f"a row of weight {self.W} could overflow 32 bits")
        self.expect_scale(self.scale)
        return (Value((*shape[:-2], outputs, groups), "int16", self.scale),)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class Int8MatMul(IntegerOperation, frozen=True, kw_only=True):
    """`MatMul` in integers: b is read in 8 bits, a in `operand_bits`; one multiplier and shift rescale the sums."""

    input_dtype: ClassVar[str | None] = "int16"

    transposed: bool = False
    operand_bits: int
    multiplier: int
    shift: int
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=2, outputs=1)
        a, b = (value.shape for value in inputs)
        if len(a) < 2 or len(b) != len(a) or a[:-2] != b[:-2] or a[-1] != b[-1 if self.transposed else -2]:
            raise self.malformed(f"shapes {a} and {b} do not fit{', transposed' if self.transposed else ''}")
        if self.operand_bits not in MAX_OPERAND:
            raise self.malformed(f"operand_bits is {self.operand_bits}, it must be 8 or 16")
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))
        if matmul_bound(a[-1], self.operand_bits, self.shift) >= 1 << 31:
            raise self.malformed(f"a sum of {a[-1]} products could overflow 32 bits")
        self.expect_scale(self.scale)
        return (Value((*a[:-1], b[-2 if self.transposed else -1]), "int16", self.scale),)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        b = inputs[1].shape
        return inputs[0].size * b[-2 if self.transposed else -1]


def matmul_bound(terms: int, operand_bits: int, shift: int) -> int:
    """The largest magnitude of a sum of so many products of two values before it is multiplied."""
    return (terms * MAX_OPERAND[8] * MAX_OPERAND[operand_bits]) << max(0, 17 - shift)
