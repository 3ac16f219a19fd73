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


class Int8FineGate(IntegerOperation, frozen=True, kw_only=True):
    """``sigmoid(x)``, or ``sigmoid(-x) = 1 - sigmoid(x)`` where `complement`, from Q4.11 to int32 Q0.30."""

    complement: bool = False

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if inputs[0].scale != FINE_INPUT_SCALE:
            raise self.malformed(f"needs an input of scale {FINE_INPUT_SCALE}, it is {inputs[0].scale}")
        return (Value(inputs[0].shape, "int32", FINE_SCALE),)


class Int32StateTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is added to a wide state: a product with a factor or a gate, or a value shifted left.

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
    """

    x: int
    minus: int | None = None
    factor: str | None = None
    gate: int | None = None
    shift: int = 0
    negative: bool = False


class Int32StateUpdate(IntegerOperation, frozen=True, kw_only=True, tag="Int8WideUpdate"):  # the file's name
    """``h' = h + terms`` in int32; outputs are h' and its high half, as int16. Another operation writes the state.

    `scale` is that of h'; the high half has 65536 times as much.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("region",)

    region: StateRegion
    shape: Shape
    terms: tuple[Int32StateTerm, ...]
    scale: float

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

    def weight_names(self) -> tuple[str, ...]:
        return tuple(term.factor for term in self.terms if term.factor is not None)

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return {"region": prod(self.shape)}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"region": ("int32", self.scale)}
