"""Operations on each element by itself: activations of one value, arithmetic of two."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import numpy as np

from edgernn.program.operations.base import Operation, Value, Weights

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
    "Sign": (None, None),
    "Floor": (None, None),
    "Ceil": (None, None),
    "Round": (None, None),  # halves to the even number
    "Not": (None, None),  # 1 where x is 0, else 0
}

# comparisons give 1 where they hold and 0 where they do not; And, Or and Xor take what is not 0 for true
BinaryFunction = Literal[
    "Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Mod",
    "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor",
]  # fmt: skip
BINARY_FUNCTIONS: tuple[str, ...] = get_args(BinaryFunction)


class Unary(Operation, frozen=True, kw_only=True):
    """``y = function(x)`` for each element, named and defined as the ONNX operator."""

    function: str
    alpha: float | None = None
    beta: float | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if self.function not in UNARY_FUNCTIONS:
            raise self.malformed(f"function {self.function} is not one of {', '.join(UNARY_FUNCTIONS)}")
        if any(constant is not None and not np.isfinite(constant) for constant in (self.alpha, self.beta)):
            raise self.malformed("alpha and beta must be finite")
        return (inputs[0],)


class Binary(Operation, frozen=True, kw_only=True):
    """``y = function(a, b)`` for each element, with NumPy's broadcasting. One side may be a weight.

    With `constant`, there is one input and the weight `constant` stands on the side that `constant_side` names.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("constant",)

    function: BinaryFunction
    constant: str | None = None
    constant_side: Literal["left", "right"] = "right"

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=2 if self.constant is None else 1, outputs=1)
        shapes = [value.shape for value in inputs]
        if self.constant is not None:
            if self.constant not in weights:
                raise self.malformed(f"weight {self.constant} is missing")
            shapes.append(self.weight(weights, self.constant, weights[self.constant].ndim).shape)
        try:
            return (Value(np.broadcast_shapes(*shapes)),)
        except ValueError as error:
            raise self.malformed(f"shapes {shapes[0]} and {shapes[1]} do not broadcast") from error


class Softmax(Operation, frozen=True, kw_only=True):
    """``exp(x - max) / sum`` over the last axis, or its logarithm."""

    logarithm: bool = False

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not inputs[0].shape:
            raise self.malformed(f"input {self.inputs[0]} is a scalar, it needs an axis")
        return (inputs[0],)


class Where(Operation, frozen=True, kw_only=True):
    """``y = a where condition is not 0, else b``, for each element of three values of one shape. Source: ONNX Where."""

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=3, outputs=1)
        if len({value.shape for value in inputs}) > 1:
            raise self.malformed(f"shapes {', '.join(str(value.shape) for value in inputs)} differ")
        return (inputs[0],)


class Convert(Operation, frozen=True, kw_only=True):
    """The numbers in another number type, float32 or int32; fractions are cut off. Source: ONNX Cast."""

    input_dtype: ClassVar[str | None] = None

    dtype: Literal["float32", "int32"]

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if inputs[0].dtype not in ("float32", "int32") or inputs[0].scale is not None:
            raise self.malformed(f"input {self.inputs[0]} is {inputs[0].dtype}, it must be float32 or int32")
        return (Value(inputs[0].shape, self.dtype),)
