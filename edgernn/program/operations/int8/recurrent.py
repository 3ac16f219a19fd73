"""Integer recurrent cells. Gates, their order and their equations are those of the float cells in recurrent.py.

W and R are int8 with multipliers and shifts of their own for every row. The state h is int16, or for a GRU with slow
units int32 with 16 more fraction bits; the cell of an LSTM likewise.
"""

from __future__ import annotations

from math import frexp
from typing import ClassVar

import msgspec

from edgernn.program.operations.base import StateRegion, Value, Weights
from edgernn.program.operations.int8.elementwise import GATE_SCALE, UNIT_SCALE, IntegerFunction, IntegerOperation

NO_CLIP = 1 << 17  # in Q3.12, more than any gate's input


class Int8RecurrentOperation(IntegerOperation, frozen=True, kw_only=True):
    """What the three cells share.

    `scale` is that of the output h (of the high half of an int32 state), a power of two. `clip` limits gate inputs, in
    Q3.12. `int32_state` makes the slow state, h of a GRU or c of an LSTM, int32.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("W", "W_multiplier", "W_shift", "R", "R_multiplier", "R_shift", "B")
    state_fields: ClassVar[tuple[str, ...]] = ("h",)
    changes_state: ClassVar[bool] = True
    gates: ClassVar[int] = 1
    functions: ClassVar[int] = 1

    W: str
    W_multiplier: str
    W_shift: str
    R: str
    R_multiplier: str
    R_shift: str
    B: str
    h: StateRegion
    activations: tuple[IntegerFunction, ...]
    operand_bits: int
    scale: float = UNIT_SCALE
    clip: int = NO_CLIP

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if len(inputs[0].shape) != 1:
            raise self.malformed(f"input {self.inputs[0]} has shape {inputs[0].shape}, one frame must be a vector")
        rows = self.expect_rows(weights, (self.R, self.R_multiplier, self.R_shift), None, self.operand_bits)
        hidden_size = int(weights[self.R].shape[1])
        if rows != self.gates * hidden_size:
            raise self.malformed(f"R has {rows} rows for {hidden_size} units, it must have {self.gates * hidden_size}")
        names = (self.W, self.W_multiplier, self.W_shift)
        if self.expect_rows(weights, names, inputs[0].size, self.operand_bits) != rows:
            raise self.malformed(f"weight {self.W} must have {rows} rows")
        self.expect_bias(weights, self.B, self.bias_rows * hidden_size)
        if len(self.activations) != self.functions:
            raise self.malformed(f"has {len(self.activations)} activations, needs {self.functions}")
        for function in self.activations:
            self.expect_function(weights, function)
        if self.gates > 1 and not self.is_gate(self.activations[0], weights):
            raise self.malformed("the activation of its gates can be negative")
        if not 0 < self.clip <= NO_CLIP:
            raise self.malformed(f"clip is {self.clip}, it must be from 1 to {NO_CLIP}")
        self.expect_power_of_two(self.scale)
        if self.activations[-1].function in ("Sigmoid", "Tanh") and self.scale != UNIT_SCALE:
            raise self.malformed(f"its activation gives h with a scale of {UNIT_SCALE}, it is {self.scale}")
        return (Value((hidden_size,), "int16", self.scale),)

    @property
    def bias_rows(self) -> int:
        """Biases for each unit."""
        return self.gates

    @staticmethod
    def is_gate(function: IntegerFunction, weights: Weights) -> bool:
        """Whether a function's values are never negative."""
        if function.table is not None:
            return function.function != "OddOctaves" and bool(weights[function.table].min() >= 0)
        return function.function == "Sigmoid" or (function.function == "Clip" and function.low >= 0)

    def expect_power_of_two(self, scale: float) -> None:
        """Check the scale of a state."""
        self.expect_scale(scale)
        if frexp(scale)[0] != 0.5:
            raise self.malformed(f"the scale of a state is {scale}, it must be a power of two")

    def weight_names(self) -> tuple[str, ...]:
        tables = tuple(function.table for function in self.activations if function.table is not None)
        return super().weight_names() + tables

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return dict.fromkeys(self.state_fields, int(weights[self.R].shape[1]))

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"h": ("int16", self.scale)}

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return int(weights[self.W].size + weights[self.R].size)


class Int8Rnn(Int8RecurrentOperation, frozen=True, kw_only=True):
    """Elman cell; the gate's input has the format of h unless the activation is Sigmoid or Tanh."""


class Int8Gru(Int8RecurrentOperation, frozen=True, kw_only=True):
    """Gated recurrent unit. B holds z, r, h of W and h of R; where the reset comes first, h of both in one."""

    gates: ClassVar[int] = 3
    functions: ClassVar[int] = 2

    linear_before_reset: bool
    int32_state: bool = msgspec.field(default=False, name="wide")  # the file's name

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        outputs = super().infer(inputs, weights)
        if self.int32_state and self.activations[0].function != "Sigmoid":
            raise self.malformed("an int32 state needs Sigmoid gates")
        return outputs

    @property
    def bias_rows(self) -> int:
        return 4 if self.linear_before_reset else 3

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"h": ("int32", self.scale / 65536) if self.int32_state else ("int16", self.scale)}


class Int8Lstm(Int8RecurrentOperation, frozen=True, kw_only=True):
    """Long short-term memory. The peepholes are a signed multiplier and a shift for each of i, o, f.

    `cell_scale` is that of c (of the high half of an int32 c), `candidate_scale` that of the candidate's activation;
    both are powers of two, the candidate's at most as large.
    """

    weight_fields: ClassVar[tuple[str, ...]] = (*Int8RecurrentOperation.weight_fields, "P_multiplier", "P_shift")
    state_fields: ClassVar[tuple[str, ...]] = ("h", "c")
    gates: ClassVar[int] = 4
    functions: ClassVar[int] = 3

    c: StateRegion
    P_multiplier: str | None = None
    P_shift: str | None = None
    input_forget: bool = False
    cell_scale: float
    candidate_scale: float = UNIT_SCALE
    int32_state: bool = msgspec.field(default=False, name="wide")  # the file's name

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        outputs = super().infer(inputs, weights)
        if (self.P_multiplier is None) != (self.P_shift is None):
            raise self.malformed("P_multiplier and P_shift must both be there or both be absent")
        if self.P_multiplier is not None and self.P_shift is not None:
            self.expect_multipliers(weights, self.P_multiplier, self.P_shift, 3 * outputs[0].size, signed=True)
        self.expect_power_of_two(self.cell_scale)
        self.expect_power_of_two(self.candidate_scale)
        if not 0 <= self.candidate_shift <= 15 or not -15 <= self.cell_shift <= 15:
            raise self.malformed(f"the scale of c, {self.cell_scale}, is out of range")
        if self.int32_state and self.activations[0].function != "Sigmoid":
            raise self.malformed("an int32 state needs Sigmoid gates")
        return outputs

    @property
    def candidate_shift(self) -> int:
        """Fraction bits that the candidate has more than c."""
        return frexp(self.cell_scale)[1] - frexp(self.candidate_scale)[1]

    @property
    def cell_shift(self) -> int:
        """Fraction bits that c has more than the input of the output function."""
        if self.activations[2].function not in ("Sigmoid", "Tanh"):
            return 0
        return frexp(GATE_SCALE)[1] - frexp(self.cell_scale)[1]

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        cell: tuple[str, float | None] = (
            ("int32", self.cell_scale / 65536) if self.int32_state else ("int16", self.cell_scale)
        )
        return {"h": ("int16", self.scale), "c": cell}
