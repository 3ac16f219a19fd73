"""States of 32 bits in recurrences that are written out: what lets go of little in a step would stick in 16 bits."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import msgspec
import numpy as np

from edgernn.program.operations.base import MAX_ELEMENTS, Shape, StateRegion, Value, Weights
from edgernn.program.operations.int8.elementwise import IntegerOperation

FINE_INPUT_SCALE = 2.0**-11  # Q4.11, of the input of a fine gate
FINE_SCALE = 2.0**-30  # of a fine gate and of a factor, Q0.30
MAX_FACTOR = 1 << 30
MAX_SHIFT = 16
MAX_COLUMNS = 1 << 16  # of a matrix of 16 bits: sums below 2^46, times a multiplier below 2^61


class Int8FineGate(IntegerOperation, frozen=True, kw_only=True):
    """``sigmoid(x)``, or ``sigmoid(-x) = 1 - sigmoid(x)`` where `complement`, from Q4.11 to int32 Q0.30."""

    complement: bool = False

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if inputs[0].scale != FINE_INPUT_SCALE:
            raise self.malformed(f"needs an input of scale {FINE_INPUT_SCALE}, it is {inputs[0].scale}")
        return (Value(inputs[0].shape, "int32", FINE_SCALE),)


class StateMatrix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the weights of a matrix of 16 bits, which are two int8 planes: ``256 * high + low``.

    Attributes
    ----------
    W : str
        int16 (size of the state, size of the value).
    multiplier, shift, B : str
        int16, int8 and int32, one number for each row; B is in the format of the state.
    """

    W: str
    multiplier: str
    shift: str
    B: str

    def names(self) -> tuple[str, ...]:
        """All of them."""
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
    matrix : StateMatrix or None
        The value is multiplied with a matrix, and may have another size than the state.
    """

    x: int
    minus: int | None = None
    factor: str | None = None
    gate: int | None = None
    shift: int = 0
    negative: bool = False
    matrix: StateMatrix | None = None


class Int32StateUpdate(IntegerOperation, frozen=True, kw_only=True, tag="Int8WideUpdate"):  # the file's name
    """``h' = h + terms`` in int32; outputs are h' and its high half, as int16. Another operation writes the state.

    `scale` is that of h'; the high half has 65536 times as much.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("region",)

    region: StateRegion
    shape: Shape
    terms: tuple[Int32StateTerm, ...]
    scale: float
    floor: bool = False  # h' is not below 0

    def expect_dtypes(self, inputs: tuple[Value, ...]) -> None:
        """Values are int16, gates int32; `infer` tells them apart."""

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=max(1, len(self.inputs)), outputs=2)
        if any(extent < 1 for extent in self.shape) or prod(self.shape) > MAX_ELEMENTS or not self.terms:
            raise self.malformed(f"shape {self.shape} is empty or too large, or there is no term")
        self.expect_scale(self.scale)
        for term in self.terms:
            self._check_term(term, inputs, weights)
        wide = Value(self.shape, "int32", self.scale)
        return wide, Value(self.shape, "int16", self.scale * 65536)

    def _check_term(self, term: Int32StateTerm, inputs: tuple[Value, ...], weights: Weights) -> None:
        if term.matrix is not None:
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
            factor = self.weight(weights, term.factor, 1, "int32")
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
        if not 0 <= term.x < len(inputs) or inputs[term.x].dtype != "int16":
            raise self.malformed(f"a matrix reads input {term.x}, which is missing or no int16")
        W = self.weight(weights, matrix.W, 2, "int16")
        self.expect_shape(W, matrix.W, (rows, inputs[term.x].size))
        if W.shape[1] > MAX_COLUMNS:
            raise self.malformed(f"weight {matrix.W} has more than {MAX_COLUMNS} columns")
        self.expect_multipliers(weights, matrix.multiplier, matrix.shift, rows)
        self.expect_shape(self.weight(weights, matrix.B, 1, "int32"), matrix.B, (rows,))

    def weight_names(self) -> tuple[str, ...]:
        factors = tuple(term.factor for term in self.terms if term.factor is not None)
        return factors + tuple(name for term in self.terms if term.matrix is not None for name in term.matrix.names())

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return sum(int(weights[term.matrix.W].size) for term in self.terms if term.matrix is not None)

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return {"region": prod(self.shape)}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"region": ("int32", self.scale)}
