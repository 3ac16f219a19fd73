"""Integer reductions: over an axis of a frame, over all frames so far, and normalisation over features."""

from __future__ import annotations

from math import log
from typing import Annotated, ClassVar, Literal

import numpy as np

from edgernn.program.operations.base import Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Sizes, State, StateRegion, Weight
from edgernn.program.operations.int8.base import (
    MIN_LOGARITHM_SHIFT,
    UNIT_SCALE,
    IntegerOperation,
)
from edgernn.program.operations.reductions import sizes_of_reduction

MAX_COUNT = 1 << 40  # frames that a running mean weighs equally
MEAN_BITS = (0, 7)  # more fraction bits that a running mean may have than what it is the mean of
SUM_SHIFTS = (0, 32)  # of a running sum before it is rescaled
REFERENCE_SCALE = log(2) / 4096  # of the score that weights of a running softmax are relative to, 2^-12 octaves
WEIGHT_SCALE = 2.0**-44  # of the sum of these weights
MAX_NORM_FEATURES = 2048  # of a layer normalisation: its sums of squares stay below 2^52
NORM_BITS = (6, 12)  # fraction bits of the normalised values
MAX_EPSILON = 1 << 60


class Int8Reduce(IntegerOperation, frozen=True, kw_only=True):
    """`Reduce` in integers: one multiplier and shift rescale sums and means, Max and Min keep the format.

    For Max and Min `multiplier` and `shift` have no meaning and stay as they are.
    """

    input_ports: ClassVar[Operands] = (Operand("x", dtype="int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*kept",), "int16", Attribute("scale")),)

    function: Literal["Sum", "Mean", "Max", "Min"]
    axis: int = 0
    multiplier: int = 0
    shift: int = 17
    scale: float

    @property
    def accumulates(self) -> bool:
        """Whether numbers are added up."""
        return self.function in ("Sum", "Mean")

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(**sizes_of_reduction(self, inputs[0].shape, self.axis))
        return sizes

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_scale(self.scale)
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))
        if not self.accumulates and inputs[0].scale != self.scale:
            raise self.malformed(f"{self.function} keeps the scale {inputs[0].scale}, it is {self.scale}")
        if self.accumulates and sum_bound(sizes["n"], self.shift) >= 1 << 31:
            raise self.malformed(f"a sum of {sizes['n']} numbers could overflow 32 bits")


def sum_bound(terms: int, shift: int) -> int:
    """The largest magnitude of a sum of so many int16 before it is multiplied."""
    return (terms << 15) << max(0, 17 - shift)


class Int8RunningReduce(IntegerOperation, frozen=True, kw_only=True):
    """`RunningReduce` in integers.

    Attributes
    ----------
    total : StateRegion
        For Sum and Mean int64, saturated at ±2^62; for Max and Min int16 and a number that every other replaces.
    count : StateRegion
        int64: frames so far. At 2^40 it is halved with the total: older frames then weigh less.
    mean_bits : int
        Mean: how many more fraction bits the mean has than x.
    sum_shift, multiplier, shift : int
        Sum: the total is shifted right, limited to ±2^30 and rescaled.
    input_scale, scale : float
        Of x and the result.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*shape",), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*shape",), "int16", Attribute("scale")),)

    function: Literal["Sum", "Mean", "Max", "Min"]
    total: Annotated[StateRegion, State(Attribute("total_dtype"), ("size",), Attribute("input_scale"))]
    count: Annotated[StateRegion, State("int64", ())]
    size: int
    mean_bits: int = 0
    sum_shift: int = 0
    multiplier: int = 0
    shift: int = 17
    input_scale: float
    scale: float

    @property
    def accumulates(self) -> bool:
        """Whether numbers are added up."""
        return self.function in ("Sum", "Mean")

    @property
    def total_dtype(self) -> str:
        """Number type of the total."""
        return "int64" if self.accumulates else "int16"

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if (inputs[0].size, inputs[0].scale) != (self.size, self.input_scale):
            raise self.malformed(f"input {self.inputs[0]} is {inputs[0]}, unlike size and input_scale")
        self.expect_scale(self.scale)
        if not self.accumulates and self.scale != self.input_scale:
            raise self.malformed(f"{self.function} keeps the scale {self.input_scale}, it is {self.scale}")
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))
        for name, number, (low, high) in (
            ("mean_bits", self.mean_bits, MEAN_BITS),
            ("sum_shift", self.sum_shift, SUM_SHIFTS),
        ):
            if not low <= number <= high:
                raise self.malformed(f"{name} is {number}, it must be from {low} to {high}")
        if self.function == "Sum" and self.shift < 17:
            raise self.malformed("a running sum needs a shift of at least 17")


class Int8RunningSoftmax(IntegerOperation, frozen=True, kw_only=True):
    """`RunningSoftmax` in integers.

    Attributes
    ----------
    reference : StateRegion
        int32 (groups,), in 2^-12 octaves: a weight is ``2^(score - reference)``. It rises with the scores, and by an
        octave when the sums become too large.
    total : StateRegion
        int64 (groups,): the sum of all weights, 2^43 to 2^45; 0 before the first frame.
    weighted : StateRegion
        int64 (groups, size): the sum of weights times values, at most 2^60.
    multiplier, shift : int
        Bring scores to 2^-12 octaves.
    mean_bits : int
        How many more fraction bits the result has than the values.
    input_scale : float
        Of the values.
    """

    input_ports: ClassVar[Operands] = (
        Operand("scores", ("groups",), "int16"),
        Operand("x", ("groups", "size"), "int16"),
    )
    output_ports: ClassVar[Operands] = (Operand("y", ("groups", "size"), "int16", Attribute("scale")),)

    reference: Annotated[StateRegion, State("int32", ("groups",), REFERENCE_SCALE)]
    total: Annotated[StateRegion, State("int64", ("groups",), WEIGHT_SCALE)]
    weighted: Annotated[StateRegion, State("int64", ("groups", "size"), Attribute("weighted_scale"))]
    groups: int
    size: int
    multiplier: int
    shift: int
    mean_bits: int = 0
    input_scale: float

    @property
    def scale(self) -> float:
        """Of the result."""
        return self.input_scale / float(1 << self.mean_bits)

    @property
    def weighted_scale(self) -> float:
        """Of the sum of weights times values."""
        return WEIGHT_SCALE * self.input_scale

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))
        if not MEAN_BITS[0] <= self.mean_bits <= MEAN_BITS[1]:
            raise self.malformed(f"mean_bits is {self.mean_bits}, it must be from {MEAN_BITS[0]} to {MEAN_BITS[1]}")
        self.expect_scale(self.input_scale)
        if inputs[1].scale != self.input_scale:
            raise self.malformed(f"input {self.inputs[1]} is {inputs[1]}, unlike input_scale")


class Int8LayerNorm(IntegerOperation, frozen=True, kw_only=True):
    """`LayerNorm` in integers, over the last axis of n <= 2048 features.

    Attributes
    ----------
    epsilon : int
        ``round(n^2 * epsilon / scale_of_x^2)``, added to n^2 times the variance of the integers.
    norm_bits : int
        Fraction bits of ``(x - mean) / deviation``, which is saturated to 16 bits.
    multiplier, shift, B : str
        int16 (with sign), int8 and int32 weights with a number for each feature: scale and bias.
    centred : bool
        As in `LayerNorm`.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size"), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "size"), "int16", Attribute("scale")),)

    epsilon: int
    norm_bits: int
    multiplier: Annotated[str, Weight(("size",), "int16")]
    shift: Annotated[str, Weight(("size",), "int8")]
    B: Annotated[str, Weight(("size",), "int32")]
    scale: float
    centred: bool = True

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if sizes["size"] > MAX_NORM_FEATURES:
            raise self.malformed(
                f"input {self.inputs[0]} has shape {inputs[0].shape}, the last axis must have 1 to {MAX_NORM_FEATURES}"
            )
        self.expect_multiplier_range(weights[self.multiplier], weights[self.shift], signed=True)
        self.expect_bias_range(weights[self.B], self.B)
        if not NORM_BITS[0] <= self.norm_bits <= NORM_BITS[1]:
            raise self.malformed(f"norm_bits is {self.norm_bits}, it must be from {NORM_BITS[0]} to {NORM_BITS[1]}")
        if not 0 <= self.epsilon <= MAX_EPSILON:
            raise self.malformed(f"epsilon is {self.epsilon}, it must be from 0 to 2^60")
        self.expect_scale(self.scale)


class Int8Softmax(IntegerOperation, frozen=True, kw_only=True):
    """Softmax over the last axis, Q0.15. The multiplier brings differences of inputs to 2^-12 octaves."""

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size"), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "size"), "int16", UNIT_SCALE),)

    multiplier: int
    shift: int

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_softmax_size(sizes["size"])
        self.expect_multiplier_range(np.array([self.multiplier]), np.array([self.shift]))


class Int8LogSoftmax(IntegerOperation, frozen=True, kw_only=True):
    """Logarithm of the softmax over the last axis.

    The first multiplier brings differences of inputs to 2^-12 octaves, the second such octaves to the output's format.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size"), "int16"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "size"), "int16", Attribute("scale")),)

    multiplier: int
    shift: int
    output_multiplier: int
    output_shift: int
    scale: float

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        self.expect_softmax_size(sizes["size"])
        shifts = np.array([self.shift, self.output_shift])
        self.expect_multiplier_range(np.array([self.multiplier, self.output_multiplier]), shifts)
        if self.output_shift < MIN_LOGARITHM_SHIFT:
            raise self.malformed(f"output_shift is {self.output_shift}, it must be at least {MIN_LOGARITHM_SHIFT}")
        self.expect_scale(self.scale)
