"""What the integer operations share. firmware_export/ARITHMETIC.md defines their arithmetic.

Values are int16 and stand for ``q * scale``. Weights of matrix products are int8, each row with an int16 multiplier and
an int8 shift that bring its accumulator to the output's format, and an int32 bias in that format.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations.base import Operation, Weights

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

    def expect_scale(self, scale: float) -> None:
        """Check that a scale is a positive number."""
        if not 1e-30 < scale < 1e30:
            raise self.malformed(f"scale is {scale}, it must be above 0 and finite")

    def expect_multiplier_range(self, m: NDArray[Any], s: NDArray[Any], signed: bool = False) -> None:
        """Check multipliers to be 0 or of 15 bits, and shifts to be in range."""
        magnitude = np.abs(m.astype(np.int64)) if signed else m.astype(np.int64)
        if ((magnitude != 0) & ((magnitude < 1 << 14) | (magnitude >= 1 << 15))).any():
            raise self.malformed("a multiplier is neither 0 nor from 16384 to 32767")
        low, high = SIGNED_SHIFTS if signed else SHIFTS
        if ((s < low) | (s > high)).any():
            raise self.malformed(f"a shift is outside {low} to {high}")

    def expect_rows(self, weights: Weights, field: str, bits: int) -> None:
        """Check int8 rows with their multipliers and shifts, and prove that no accumulator overflows."""
        W, m, s = (weights[getattr(self, field + suffix)] for suffix in ("", "_multiplier", "_shift"))
        self.expect_multiplier_range(m, s)
        if bits not in (8, 16):
            raise self.malformed(f"operand_bits is {bits}, it must be 8 or 16")
        largest = accumulator_bound(W, bits)
        if largest.max() >= 1 << 31:
            raise self.malformed(f"row {int(largest.argmax())} of {field} could overflow 32 bits")

    def expect_softmax_size(self, size: int) -> None:
        """Check that the exponentials of a row can be added up in 32 bits."""
        if size > 32767:
            raise self.malformed(f"the last axis of input {self.inputs[0]} has {size} numbers, the most is 32767")

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
            table = self.weight(weights, function.table, "int16")
            self.expect_shape(table, function.table, (entries[function.function],))
            if function.function == "OddOctaves" and (table == -32768).any():
                raise self.malformed(f"weight {function.table} holds -32768, which has no opposite number")


def accumulator_bound(W: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """The largest magnitude that the accumulator of each row can have; W (rows, columns) -> (rows,)."""
    magnitude: NDArray[np.int64] = np.abs(W.astype(np.int64)).sum(axis=1) * (1 << (bits - 1))
    return magnitude
