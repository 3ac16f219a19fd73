"""Integer operations of an int8 program, but for its recurrent cells. firmware_export/ARITHMETIC.md defines them.

Values are int16 and stand for ``q * scale``. Weights of matrix products are int8, each row with an int16 multiplier and
an int8 shift that bring its accumulator to the output's format, and an int32 bias in that format.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations.base import Operation, Value, Weights

GATE_SCALE = 2.0**-12  # of the input of Sigmoid and Tanh, Q3.12
UNIT_SCALE = 2.0**-15  # of their output, Q0.15
SHIFTS = (2, 46)  # smallest and largest shift of a multiplier
SIGNED_SHIFTS = (2, 30)  # of a multiplier with a sign, which only 16-bit numbers meet
COUNT_SHIFTS = (0, 30)  # on the way from sensor counts
MAX_BIAS = 1 << 28
MIN_LOGARITHM_SHIFT = 11  # 2^24 units of an octave, times 2^(17 - 11), are below 2^31
TABLE_ENTRIES = 513
OCTAVE_ENTRIES = 482  # one at 0, 32 in each of 15 octaves, one at 2^15


class IntegerFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An activation of int16 values.

    ``Sigmoid`` and ``Tanh`` use the tables that all programs share, from Q3.12 to Q0.15. ``Clip`` keeps the format and
    limits to [low, high]. ``Table`` is any other function: an int16 weight of 513 entries. ``Octaves`` is one of
    numbers above 0 that changes fast near 0: a weight of 482 entries, as many for each power of two; ``OddOctaves`` is
    such a function with f(-x) = -f(x).
    """

    function: Literal["Sigmoid", "Tanh", "Clip", "Table", "Octaves", "OddOctaves"]
    low: int = -32768
    high: int = 32767
    table: str | None = None


class IntegerOperation(Operation, frozen=True, kw_only=True):
    """What the integer operations share: int16 inputs, and checks of rows, functions and scales."""

    input_dtype: ClassVar[str | None] = "int16"

    def expect_scale(self, scale: float) -> None:
        """Check that a scale is a positive number."""
        if not 1e-30 < scale < 1e30:
            raise self.malformed(f"scale is {scale}, it must be above 0 and finite")

    def expect_multipliers(
        self, weights: Weights, multiplier: str, shift: str, rows: int, signed: bool = False
    ) -> None:
        """Check the multiplier and the shift of each row or element."""
        m, s = self.weight(weights, multiplier, 1, "int16"), self.weight(weights, shift, 1, "int8")
        self.expect_shape(m, multiplier, (rows,))
        self.expect_shape(s, shift, (rows,))
        self.expect_multiplier_range(m, s, signed)

    def expect_multiplier_range(self, m: NDArray[Any], s: NDArray[Any], signed: bool = False) -> None:
        """Check multipliers to be 0 or of 15 bits, and shifts to be in range."""
        magnitude = np.abs(m.astype(np.int64)) if signed else m.astype(np.int64)
        if ((magnitude != 0) & ((magnitude < 1 << 14) | (magnitude >= 1 << 15))).any():
            raise self.malformed("a multiplier is neither 0 nor from 16384 to 32767")
        low, high = SIGNED_SHIFTS if signed else SHIFTS
        if ((s < low) | (s > high)).any():
            raise self.malformed(f"a shift is outside {low} to {high}")

    def expect_rows(self, weights: Weights, names: tuple[str, str, str], columns: int | None, bits: int) -> int:
        """Check int8 rows (weights, multiplier, shift), prove that no accumulator overflows, and count them."""
        W = self.weight(weights, names[0], 2, "int8")
        if not W.size or (columns is not None and W.shape[1] != columns):
            raise self.malformed(f"weight {names[0]} has shape {W.shape}, it needs {columns} columns")
        self.expect_multipliers(weights, names[1], names[2], W.shape[0])
        if bits not in (8, 16):
            raise self.malformed(f"operand_bits is {bits}, it must be 8 or 16")
        largest = accumulator_bound(W, bits)
        if largest.max() >= 1 << 31:
            raise self.malformed(f"row {int(largest.argmax())} of weight {names[0]} could overflow 32 bits")
        return int(W.shape[0])

    def expect_bias(self, weights: Weights, name: str, rows: int) -> None:
        """Check an int32 bias."""
        B = self.weight(weights, name, 1, "int32")
        self.expect_shape(B, name, (rows,))
        self.expect_bias_range(B, name)

    def expect_bias_range(self, B: NDArray[Any], name: str) -> None:
        """Check that a bias leaves room for what it is added to."""
        if B.size and np.abs(B.astype(np.int64)).max() > MAX_BIAS:
            raise self.malformed(f"weight {name} holds a bias larger than 2^28")

    def expect_function(self, weights: Weights, function: IntegerFunction) -> None:
        """Check an activation and its table."""
        if not -32768 <= function.low <= function.high <= 32767:
            raise self.malformed(f"clips to [{function.low}, {function.high}]")
        entries = {"Table": TABLE_ENTRIES, "Octaves": OCTAVE_ENTRIES, "OddOctaves": OCTAVE_ENTRIES}
        if (function.function in entries) != (function.table is not None):
            raise self.malformed(f"activation {function.function} and table {function.table} do not fit together")
        if function.table is not None:
            table = self.weight(weights, function.table, 1, "int16")
            self.expect_shape(table, function.table, (entries[function.function],))
            if function.function == "OddOctaves" and (table == -32768).any():
                raise self.malformed(f"weight {function.table} holds -32768, which has no opposite number")


def accumulator_bound(W: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """The largest magnitude that the accumulator of each row can have; W (rows, columns) -> (rows,)."""
    magnitude: NDArray[np.int64] = np.abs(W.astype(np.int64)).sum(axis=1) * (1 << (bits - 1))
    return magnitude


class Quantize(Operation, frozen=True, kw_only=True):
    """``q = floor((x - mean) * inverse + 0.5)``, saturated: the way from float32 into the integer part of a program.

    `mean` and `inverse` are float32 weights, one number for each element of the last axis. `counts`, where present, is
    the way from the sensor's own integers instead: an int32 weight (5, channels) that holds origin, narrowing,
    multiplier, offset and shift of each.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("mean", "inverse", "counts")

    mean: str
    inverse: str
    counts: str | None = None
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        shape = inputs[0].shape[-1:]
        for name in (self.mean, self.inverse):
            self.expect_shape(self.weight(weights, name, len(shape)), name, shape)
        if not (weights[self.inverse] > 0).all() or not 1e-30 < self.scale < 1e30:
            raise self.malformed("inverse and scale must be above 0 and finite")
        if self.counts is not None:
            settings = self.weight(weights, self.counts, 1 + len(shape), "int32")
            self.expect_shape(settings, self.counts, (5, *shape))
            limits = ((-(1 << 30), 1 << 30), (0, 15), (-32767, 32767), (1 - (1 << 30), (1 << 30) - 1), COUNT_SHIFTS)
            for row, (low, high) in zip(settings, limits, strict=True):
                if (row < low).any() or (row > high).any():
                    raise self.malformed(f"weight {self.counts} holds a number outside {low} to {high}")
        return (Value(inputs[0].shape, "int16", self.scale),)


class Dequantize(IntegerOperation, frozen=True, kw_only=True):
    """``y = q * scale`` of the input's scale: the way from the integer part of a program to float32."""

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        return (Value(inputs[0].shape),)


class Int8Dense(IntegerOperation, frozen=True, kw_only=True):
    """`Dense` in integers: accumulate, rescale, add the bias, saturate."""

    weight_fields: ClassVar[tuple[str, ...]] = ("W", "W_multiplier", "W_shift", "B")

    W: str
    W_multiplier: str
    W_shift: str
    B: str
    operand_bits: int
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not inputs[0].shape:
            raise self.malformed(f"input {self.inputs[0]} is a scalar, it needs an axis")
        names = (self.W, self.W_multiplier, self.W_shift)
        rows = self.expect_rows(weights, names, inputs[0].shape[-1], self.operand_bits)
        self.expect_bias(weights, self.B, rows)
        self.expect_scale(self.scale)
        return (Value((*inputs[0].shape[:-1], rows), "int16", self.scale),)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class Int8Affine(IntegerOperation, frozen=True, kw_only=True):
    """``y = x * multiplier / 2^shift + B`` for each element, with broadcasting: arithmetic with constants."""

    weight_fields: ClassVar[tuple[str, ...]] = ("multiplier", "shift", "B")

    multiplier: str
    shift: str
    B: str
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        for name in self.weight_names():
            if name not in weights:
                raise self.malformed(f"weight {name} is missing")
        ndim = weights[self.multiplier].ndim
        m, s = self.weight(weights, self.multiplier, ndim, "int16"), self.weight(weights, self.shift, ndim, "int8")
        B = self.weight(weights, self.B, ndim, "int32")
        self.expect_shape(s, self.shift, m.shape)
        self.expect_shape(B, self.B, m.shape)
        self.expect_multiplier_range(m, s, signed=True)
        self.expect_bias_range(B, self.B)
        self.expect_scale(self.scale)
        try:
            return (Value(np.broadcast_shapes(inputs[0].shape, m.shape), "int16", self.scale),)
        except ValueError as error:
            raise self.malformed(f"shapes {inputs[0].shape} and {m.shape} do not broadcast") from error


class Int8Binary(IntegerOperation, frozen=True, kw_only=True):
    """Two values, each rescaled to the output's format and combined; for ``Mul`` and ``Div`` the result is rescaled."""

    function: Literal["Add", "Sub", "Mul", "Div", "Min", "Max"]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=2, outputs=1)
        count = 1 if self.function in ("Mul", "Div") else 2
        if len(self.multipliers) != count or len(self.shifts) != count:
            raise self.malformed(f"{self.function} needs {count} multipliers and shifts")
        self.expect_multiplier_range(np.array(self.multipliers), np.array(self.shifts))
        if self.function == "Mul" and self.shifts[0] < 17:
            raise self.malformed("the product of two values needs a shift of at least 17")
        self.expect_scale(self.scale)
        try:
            return (Value(np.broadcast_shapes(inputs[0].shape, inputs[1].shape), "int16", self.scale),)
        except ValueError as error:
            raise self.malformed(f"shapes {inputs[0].shape} and {inputs[1].shape} do not broadcast") from error


class Int8Unary(IntegerOperation, frozen=True, kw_only=True):
    """One activation of each element."""

    function: IntegerFunction
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        self.expect_function(weights, self.function)
        expected = {"Sigmoid": GATE_SCALE, "Tanh": GATE_SCALE, "Clip": self.scale}.get(self.function.function)
        if expected is not None and inputs[0].scale != expected:
            raise self.malformed(
                f"{self.function.function} needs an input of scale {expected}, it is {inputs[0].scale}"
            )
        self.expect_scale(self.scale)
        return (Value(inputs[0].shape, "int16", self.scale),)

    def weight_names(self) -> tuple[str, ...]:
        return () if self.function.table is None else (self.function.table,)


class Int8Softmax(IntegerOperation, frozen=True, kw_only=True):
    """Softmax over the last axis, Q0.15. The multiplier brings differences of inputs to 2^-12 octaves."""

    multiplier: int
    shift: int

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not inputs[0].shape or inputs[0].shape[-1] > 32767:
            raise self.malformed(
                f"input {self.inputs[0]} has shape {inputs[0].shape}, the last axis must have 1 to 32767"
            )
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))
        return (Value(inputs[0].shape, "int16", UNIT_SCALE),)


class Int8LogSoftmax(IntegerOperation, frozen=True, kw_only=True):
    """Logarithm of the softmax over the last axis.

    The first multiplier brings differences of inputs to 2^-12 octaves, the second such octaves to the output's format.
    """

    multiplier: int
    shift: int
    output_multiplier: int
    output_shift: int
    scale: float

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not inputs[0].shape or inputs[0].shape[-1] > 32767:
            raise self.malformed(
                f"input {self.inputs[0]} has shape {inputs[0].shape}, the last axis must have 1 to 32767"
            )
        shifts = np.array([self.shift, self.output_shift])
        self.expect_multiplier_range(np.array([self.multiplier, self.output_multiplier]), shifts)
        if self.output_shift < MIN_LOGARITHM_SHIFT:
            raise self.malformed(f"output_shift is {self.output_shift}, it must be at least {MIN_LOGARITHM_SHIFT}")
        self.expect_scale(self.scale)
        return (Value(inputs[0].shape, "int16", self.scale),)
