"""Operations on each element by itself: activations of one value, arithmetic of two."""

from __future__ import annotations

from math import inf
from typing import Annotated, ClassVar, Literal, get_args

import numpy as np

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Sizes, Weight

# ONNX operator -> default (alpha, beta), None where the operator has no such constant
UNARY_FUNCTIONS: dict[str, tuple[float | None, float | None]] = {
    "Relu": (None, None),
    "Tanh": (None, None),
    "Sigmoid": (None, None),
    "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (1.0, None),
    "Elu": (1.0, None),
    "Celu": (1.0, None),
    "Selu": (1.6732631921768188, 1.0507010221481323),  # beta is ONNX's gamma
    "HardSigmoid": (0.2, 0.5),
    "HardSwish": (None, None),
    "Softplus": (None, None),
    "Softsign": (None, None),
    "Mish": (None, None),
    "Gelu": (None, None),  # exact, with erf
    "GeluTanh": (None, None),  # ONNX Gelu with approximate="tanh"
    "Erf": (None, None),
    "Abs": (None, None),
    "Neg": (None, None),
    "Exp": (None, None),
    "Log": (None, None),
    "Sqrt": (None, None),
    "Reciprocal": (None, None),
    "Clip": (None, None),  # alpha is the lower bound, beta the upper, None where there is none
    "Sin": (None, None),
    "Cos": (None, None),
    "Asin": (None, None),
    "Acos": (None, None),
    "Atan": (None, None),
    "Sinh": (None, None),
    "Cosh": (None, None),
    "Asinh": (None, None),
    "Acosh": (None, None),
    "Atanh": (None, None),
    "Sign": (None, None),
    "Floor": (None, None),
    "Ceil": (None, None),
    "Round": (None, None),  # halves to the even number
    "Not": (None, None),  # 1 where x is 0, else 0
}

# where a function is defined, if not everywhere; at an end it may be infinite
DOMAINS: dict[str, tuple[float, float]] = {
    "Log": (0.0, inf),
    "Sqrt": (0.0, inf),
    "Asin": (-1.0, 1.0),
    "Acos": (-1.0, 1.0),
    "Acosh": (1.0, inf),
    "Atanh": (-1.0, 1.0),
}

# comparisons give 1 where they hold and 0 where they do not; And, Or and Xor take what is not 0 for true
BinaryFunction = Literal[
    "Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Mod",
    "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor",
]  # fmt: skip
BINARY_FUNCTIONS: tuple[str, ...] = get_args(BinaryFunction)


class Unary(Operation, frozen=True, kw_only=True):
    """``y = function(x)`` for each element, named and defined as the ONNX operator."""

    input_ports: ClassVar[Operands] = (Operand("x"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*size",)),)

    function: str
    alpha: float | None = None
    beta: float | None = None

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if self.function not in UNARY_FUNCTIONS:
            raise self.malformed(f"function {self.function} is not one of {', '.join(UNARY_FUNCTIONS)}")
        if any(constant is not None and not np.isfinite(constant) for constant in (self.alpha, self.beta)):
            raise self.malformed("alpha and beta must be finite")


BINARY_PORTS = (Operand("a", ("*a_shape",)), Operand("b", ("*b_shape",)))


class Binary(Operation, frozen=True, kw_only=True):
    """``y = function(a, b)`` for each element, with NumPy's broadcasting. One side may be a weight.

    With `constant`, there is one input and the weight `constant` stands on the side that `constant_side` names.
    """

    output_ports: ClassVar[Operands] = (Operand("y"),)

    function: BinaryFunction
    constant: Annotated[str | None, Weight(("*constant",))] = None
    constant_side: Literal["left", "right"] = "right"

    @property
    def input_ports(self) -> tuple[Operand, ...]:  # type: ignore[override]
        """One input beside a constant, else two."""
        return BINARY_PORTS if self.constant is None else BINARY_PORTS[:1]

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        shapes = [value.shape for value in inputs]
        if self.constant is not None:
            shapes.append(weights[self.constant].shape)
        sizes.set(size=self.broadcast(*shapes))
        return sizes


class Convert(Operation, frozen=True, kw_only=True):
    """The numbers in another number type, float32 or int32; fractions are cut off. Source: ONNX Cast."""

    input_ports: ClassVar[Operands] = (Operand("x", dtype=None),)
    output_ports: ClassVar[Operands] = (Operand("y", dtype=Attribute("dtype")),)

    dtype: Literal["float32", "int32"]

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if inputs[0].dtype not in ("float32", "int32") or inputs[0].scale is not None:
            raise self.malformed(f"input {self.inputs[0]} is {inputs[0].dtype}, it must be float32 or int32")
