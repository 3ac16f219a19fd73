"""Integer recurrent cells. Gates, their order and their equations are those of the float cells in recurrent.py.

W and R are int8 with multipliers and shifts of their own for every row. The state h is int16, or for a GRU with slow
units int32 with 16 more fraction bits; the cell of an LSTM likewise.
"""

from __future__ import annotations

from math import frexp, prod
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from edgernn.program.operations.base import MAX_ELEMENTS, Value, Weights
from edgernn.program.operations.declaration import (
    Attribute,
    Operand,
    Operands,
    Shape,
    Sizes,
    State,
    StateRegion,
    Weight,
)
from edgernn.program.operations.int8.base import (
    GATE_SCALE,
    UNIT_SCALE,
    IntegerFunction,
    IntegerOperation,
)

FINE_INPUT_SCALE = 2.0**-11  # Q4.11, of the input of a fine gate
FINE_SCALE = 2.0**-30  # of a fine gate and of a factor, Q0.30
MAX_FACTOR = 1 << 30
MAX_SHIFT = 16
MAX_COLUMNS = 1 << 16  # of a matrix of 16 bits: sums are at most 2^46 or, of 32 bits, 2^62
NO_CLIP = 1 << 17  # in Q3.12, more than any gate's input


class Int8RecurrentOperation(IntegerOperation, frozen=True, kw_only=True):
    """What the three cells share.

    `scale` is that of the output h (of the high half of an int32 state), a power of two. `clip` limits gate inputs, in
    Q3.12. `int32_state` makes the slow state, h of a GRU or c of an LSTM, int32.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("input_size",), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("hidden_size",), "int16", Attribute("scale")),)

    gates: ClassVar[int] = 1
    functions: ClassVar[int] = 1

    W: Annotated[str, Weight(("gates * hidden_size", "input_size"), "int8")]
    W_multiplier: Annotated[str, Weight(("gates * hidden_size",), "int16")]
    W_shift: Annotated[str, Weight(("gates * hidden_size",), "int8")]
    R: Annotated[str, Weight(("gates * hidden_size", "hidden_size"), "int8")]
    R_multiplier: Annotated[str, Weight(("gates * hidden_size",), "int16")]
    R_shift: Annotated[str, Weight(("gates * hidden_size",), "int8")]
    B: Annotated[str, Weight(("bias_rows * hidden_size",), "int32")]
    h: Annotated[StateRegion, State(Attribute("h_dtype"), ("hidden_size",), Attribute("h_scale"))]
    activations: tuple[IntegerFunction, ...]
    operand_bits: int
    scale: float = UNIT_SCALE
    clip: int = NO_CLIP

    @property
    def h_dtype(self) -> str:
        """Number type of the state h."""
        return "int16"

    @property
    def h_scale(self) -> float:
        """Scale of the state h."""
        return self.scale

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        for field in ("R", "W"):
            self.expect_rows(weights, field, self.operand_bits)
        self.expect_bias_range(weights[self.B], self.B)
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

    @property
    def h_dtype(self) -> str:
        return "int32" if self.int32_state else "int16"

    @property
    def h_scale(self) -> float:
        return self.scale / 65536 if self.int32_state else self.scale

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        super().check(inputs, weights, sizes)
        if self.int32_state and self.activations[0].function != "Sigmoid":
            raise self.malformed("an int32 state needs Sigmoid gates")

    @property
    def bias_rows(self) -> int:
        return 4 if self.linear_before_reset else 3


class Int8Lstm(Int8RecurrentOperation, frozen=True, kw_only=True):
    """Long short-term memory. The peepholes are a signed multiplier and a shift for each of i, o, f.

    `cell_scale` is that of c (of the high half of an int32 c), `candidate_scale` that of the candidate's activation;
    both are powers of two, the candidate's at most as large.
    """

    gates: ClassVar[int] = 4
    functions: ClassVar[int] = 3

    c: Annotated[StateRegion, State(Attribute("c_dtype"), ("hidden_size",), Attribute("c_scale"))]
    P_multiplier: Annotated[str | None, Weight(("3 * hidden_size",), "int16")] = None
    P_shift: Annotated[str | None, Weight(("3 * hidden_size",), "int8")] = None
    input_forget: bool = False
    cell_scale: float
    candidate_scale: float = UNIT_SCALE
    int32_state: bool = msgspec.field(default=False, name="wide")  # the file's name

    @property
    def c_dtype(self) -> str:
        """Number type of the state c."""
        return "int32" if self.int32_state else "int16"

    @property
    def c_scale(self) -> float:
        """Scale of the state c."""
        return self.cell_scale / 65536 if self.int32_state else self.cell_scale

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        super().check(inputs, weights, sizes)
        if (self.P_multiplier is None) != (self.P_shift is None):
            raise self.malformed("P_multiplier and P_shift must both be there or both be absent")
        if self.P_multiplier is not None and self.P_shift is not None:
            self.expect_multiplier_range(weights[self.P_multiplier], weights[self.P_shift], signed=True)
        self.expect_power_of_two(self.cell_scale)
        self.expect_power_of_two(self.candidate_scale)
        if not 0 <= self.candidate_shift <= 15 or not -15 <= self.cell_shift <= 15:
            raise self.malformed(f"the scale of c, {self.cell_scale}, is out of range")
        if self.int32_state and self.activations[0].function != "Sigmoid":
            raise self.malformed("an int32 state needs Sigmoid gates")

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


class Int8FineGate(IntegerOperation, frozen=True, kw_only=True):
    """``sigmoid(x)``, or ``sigmoid(-x) = 1 - sigmoid(x)`` where `complement`, from Q4.11 to int32 Q0.30."""

    input_ports: ClassVar[Operands] = (Operand("x", dtype="int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", dtype="int32", scale=FINE_SCALE),)

    complement: bool = False

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if inputs[0].scale != FINE_INPUT_SCALE:
            raise self.malformed(f"needs an input of scale {FINE_INPUT_SCALE}, it is {inputs[0].scale}")


class StateMatrix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the weights of a matrix, of 16 bits for an int16 value and of 32 bits for an int32 value.

    Attributes
    ----------
    W : str
        int16 or int32, (size of the state, size of the value).
    multiplier, shift, B : str
        int16, int8 and int32, one number for each row; B is in the format of the state.
    bits : 16 or 32
        Of W and of the value.
    """

    W: str
    multiplier: str
    shift: str
    B: str
    bits: Literal[16, 32] = 16

    def names(self) -> tuple[str, ...]:
        """All of the weights."""
        return self.W, self.multiplier, self.shift, self.B


class Int32StateTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is added to an int32 state: a product with a matrix, a factor or a gate, or a value shifted left.

    Attributes
    ----------
    x, minus : int, int or None
        Places among the operation's inputs: the value is ``inputs[x]``, less ``inputs[minus]`` where a gate is given.
    factor : str or None
        int32 weight, Q0.30 with sign, one number for each element.
    gate : int or None
        Place of a fine gate among the inputs.
    shift : int
        Without factor and gate: how many more fraction bits the state has than the value.
    negative : bool
        The term is subtracted.
    matrix : StateMatrix, optional
        The value is multiplied with a matrix, and may have another size than the state, and 32 bits.
    """

    x: int
    minus: int | None = None
    factor: str | None = None
    gate: int | None = None
    shift: int = 0
    negative: bool = False
    matrix: StateMatrix | msgspec.UnsetType = msgspec.UNSET  # not in files that do without: they keep their hash


class Int32StateUpdate(IntegerOperation, frozen=True, kw_only=True, tag="Int8WideUpdate"):  # the file's name
    """``h' = h + terms`` in int32; outputs are h' and its high half, as int16. Another operation writes the state.

    `scale` is that of h'; the high half has 65536 times as much.
    """

    input_ports: ClassVar[Operands] = (Operand("x", dtype=None, many=True),)
    output_ports: ClassVar[Operands] = (
        Operand("h", ("*shape",), "int32", Attribute("scale")),
        Operand("high", ("*shape",), "int16", Attribute("high_scale")),
    )

    region: Annotated[StateRegion, State("int32", ("*shape",), Attribute("scale"), changes=False)]
    shape: Shape
    terms: tuple[Int32StateTerm, ...]
    scale: float
    floor: bool | msgspec.UnsetType = msgspec.UNSET  # h' is not below 0

    def expect_dtypes(self, inputs: tuple[Value, ...]) -> None:
        """Values are int16, gates int32; `infer` tells them apart."""

    @property
    def high_scale(self) -> float:
        """Of the high half."""
        return self.scale * 65536

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        self._expect_counts()
        return self.weight_sizes(weights)  # `check` looks at the inputs of each term

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if any(extent < 1 for extent in self.shape) or prod(self.shape) > MAX_ELEMENTS or not self.terms:
            raise self.malformed(f"shape {self.shape} is empty or too large, or there is no term")
        self.expect_scale(self.scale)
        for term in self.terms:
            self._check_term(term, inputs, weights)

    def _check_term(self, term: Int32StateTerm, inputs: tuple[Value, ...], weights: Weights) -> None:
        if isinstance(term.matrix, StateMatrix):
            self._check_matrix(term, term.matrix, inputs, weights)
            return
        places = [place for place in (term.x, term.minus, term.gate) if place is not None]
        if not all(0 <= place < len(inputs) and inputs[place].size == prod(self.shape) for place in places):
            raise self.malformed(f"a term reads inputs {places}, which are missing or of another size")
        values = [inputs[place] for place in places if place != term.gate]
        if any(value.dtype != "int16" for value in values):
            raise self.malformed("a term is no int16")
        if term.gate is not None:
            if (inputs[term.gate].dtype, inputs[term.gate].scale) != ("int32", FINE_SCALE) or term.factor is not None:
                raise self.malformed("a gate is no int32 of scale 2^-30, or stands beside a factor")
        elif term.minus is not None:
            raise self.malformed("a difference needs a gate")
        if term.factor is not None:
            factor = self.weight(weights, term.factor, "int32")
            self.expect_shape(factor, term.factor, (prod(self.shape),))
            if np.abs(factor.astype(np.int64)).max() > MAX_FACTOR:
                raise self.malformed(f"weight {term.factor} holds a factor larger than 2^30")
        if not 0 <= term.shift <= MAX_SHIFT:
            raise self.malformed(f"a shift is {term.shift}, it must be from 0 to {MAX_SHIFT}")

    def _check_matrix(
        self, term: Int32StateTerm, matrix: StateMatrix, inputs: tuple[Value, ...], weights: Weights
    ) -> None:
        rows = prod(self.shape)
        if (term.minus, term.factor, term.gate, term.shift, term.negative) != (None, None, None, 0, False):
            raise self.malformed("a matrix stands beside what only other terms have")
        if not 0 <= term.x < len(inputs) or inputs[term.x].dtype != f"int{matrix.bits}":
            raise self.malformed(f"a matrix reads input {term.x}, which is missing or not of {matrix.bits} bits")
        W = self.weight(weights, matrix.W, inputs[term.x].dtype)
        self.expect_shape(W, matrix.W, (rows, inputs[term.x].size))
        if W.shape[1] > MAX_COLUMNS:
            raise self.malformed(f"weight {matrix.W} has more than {MAX_COLUMNS} columns")
        m, s, B = (
            self.weight(weights, name, dtype)
            for name, dtype in zip(matrix.names()[1:], ("int16", "int8", "int32"), strict=True)
        )
        for array, name in ((m, matrix.multiplier), (s, matrix.shift), (B, matrix.B)):
            self.expect_shape(array, name, (rows,))
        self.expect_multiplier_range(m, s)

    def weight_names(self) -> tuple[str, ...]:
        factors = tuple(term.factor for term in self.terms if term.factor is not None)
        return factors + tuple(name for matrix in self.matrices for name in matrix.names())

    @property
    def matrices(self) -> tuple[StateMatrix, ...]:
        """Those of all terms."""
        return tuple(term.matrix for term in self.terms if isinstance(term.matrix, StateMatrix))

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return sum(int(weights[matrix.W].size) for matrix in self.matrices)
