"""Float operations on each element by itself, in plain NumPy, as the ONNX operators define them."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    Binary,
    Convert,
    Unary,
)
from edgernn.reference.arguments import Reference

Array = NDArray[np.floating[Any]]

MAX_FLOAT32 = float(np.finfo(np.float32).max)


_erf = np.vectorize(erf, otypes=[np.float64])


# function name -> (default alpha, default beta, what it computes)
UNARY: dict[str, tuple[float, float, Callable[[Array, float, float], Array]]] = {
    "Relu": (0.0, 0.0, lambda x, a, b: np.maximum(x, 0)),
    "Tanh": (0.0, 0.0, lambda x, a, b: np.tanh(x)),
    "Sigmoid": (0.0, 0.0, lambda x, a, b: 0.5 * (np.tanh(0.5 * x) + 1)),
    "LeakyRelu": (0.01, 0.0, lambda x, a, b: np.where(x < 0, a * x, x)),
    "ThresholdedRelu": (1.0, 0.0, lambda x, a, b: np.where(x > a, x, 0 * x)),
    "Elu": (1.0, 0.0, lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x)),
    "Celu": (1.0, 0.0, lambda x, a, b: np.maximum(x, 0) + np.minimum(a * np.expm1(np.minimum(x, 0) / a), 0)),
    "Selu": (
        1.6732631921768188,
        1.0507010221481323,
        lambda x, a, b: b * np.where(x <= 0, a * np.expm1(np.minimum(x, 0)), x),
    ),
    "HardSigmoid": (0.2, 0.5, lambda x, a, b: np.clip(a * x + b, 0, 1)),
    "HardSwish": (0.0, 0.0, lambda x, a, b: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Softplus": (0.0, 0.0, lambda x, a, b: np.logaddexp(x, 0)),
    "Softsign": (0.0, 0.0, lambda x, a, b: x / (1 + np.abs(x))),
    "Mish": (0.0, 0.0, lambda x, a, b: x * np.tanh(np.logaddexp(x, 0))),
    "Gelu": (0.0, 0.0, lambda x, a, b: 0.5 * x * (1 + _erf(x / sqrt(2)).astype(x.dtype))),
    "GeluTanh": (0.0, 0.0, lambda x, a, b: 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))),
    "Erf": (0.0, 0.0, lambda x, a, b: _erf(x).astype(x.dtype)),
    "Abs": (0.0, 0.0, lambda x, a, b: np.abs(x)),
    "Neg": (0.0, 0.0, lambda x, a, b: -x),
    "Exp": (0.0, 0.0, lambda x, a, b: np.exp(x)),
    "Log": (0.0, 0.0, lambda x, a, b: np.log(x)),
    "Sqrt": (0.0, 0.0, lambda x, a, b: np.sqrt(x)),
    "Reciprocal": (0.0, 0.0, lambda x, a, b: 1 / x),
    "Clip": (-np.inf, np.inf, lambda x, a, b: np.minimum(np.maximum(x, a), b)),
    "Sin": (0.0, 0.0, lambda x, a, b: np.sin(x)),
    "Cos": (0.0, 0.0, lambda x, a, b: np.cos(x)),
    "Asin": (0.0, 0.0, lambda x, a, b: np.arcsin(x)),
    "Acos": (0.0, 0.0, lambda x, a, b: np.arccos(x)),
    "Atan": (0.0, 0.0, lambda x, a, b: np.arctan(x)),
    "Sinh": (0.0, 0.0, lambda x, a, b: np.sinh(x)),
    "Cosh": (0.0, 0.0, lambda x, a, b: np.cosh(x)),
    "Asinh": (0.0, 0.0, lambda x, a, b: np.arcsinh(x)),
    "Acosh": (0.0, 0.0, lambda x, a, b: np.arccosh(x)),
    "Atanh": (0.0, 0.0, lambda x, a, b: np.arctanh(x)),
    "Sign": (0.0, 0.0, lambda x, a, b: np.sign(x)),
    "Floor": (0.0, 0.0, lambda x, a, b: np.floor(x)),
    "Ceil": (0.0, 0.0, lambda x, a, b: np.ceil(x)),
    "Round": (0.0, 0.0, lambda x, a, b: np.rint(x)),
    "Not": (0.0, 0.0, lambda x, a, b: x == 0),
    # only as gates of recurrent operators
    "Affine": (1.0, 0.0, lambda x, a, b: a * x + b),
    "ScaledTanh": (1.0, 1.0, lambda x, a, b: a * np.tanh(b * x)),
}


POLES = frozenset({"Exp", "Log", "Reciprocal", "Atanh"})  # infinite by definition, for some finite numbers


def saturate(x: Array) -> Array:
    """Numbers within the range of float32; NaN stays NaN."""
    return np.clip(x, -MAX_FLOAT32, MAX_FLOAT32)


def _saturate_overflow(y: Array, *of: Array) -> Array:
    """Saturate what came of finite numbers."""
    return np.where(np.logical_and.reduce([np.isfinite(x) for x in np.broadcast_arrays(*of)]), saturate(y), y)


def _divide(a: Array, b: Array) -> Array:
    return np.where(b == 0, a / b, _saturate_overflow(a / b, a, b))


BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": lambda a, b: _saturate_overflow(a + b, a, b),
    "Sub": lambda a, b: _saturate_overflow(a - b, a, b),
    "Mul": lambda a, b: _saturate_overflow(a * b, a, b),
    "Div": _divide,
    "Min": np.minimum,
    "Max": np.maximum,
    "Pow": np.power,
    "Mod": np.fmod,
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}


def unary(x: Array, function: str, alpha: float | None = None, beta: float | None = None) -> Array:
    """``function(x)`` for each element, by ONNX name."""
    default_alpha, default_beta, compute = UNARY[function]
    with np.errstate(invalid="ignore"):  # outside of its domain a function is NaN
        y = compute(x, default_alpha if alpha is None else alpha, default_beta if beta is None else beta)
    return (y if function in POLES else _saturate_overflow(y, x)).astype(x.dtype, copy=False)


def binary(a: Array, b: Array, function: str) -> Array:
    """``function(a, b)`` with broadcasting, by ONNX name; what is true is 1."""
    return np.asarray(BINARY[function](a, b)).astype(a.dtype, copy=False)


def binary_of(inputs: list[Array], constant: Array | None, constant_side: str, function: str) -> Array:
    """Two inputs, or one and a constant on its side."""
    operands = list(inputs)
    if constant is not None:
        operands.insert(0 if constant_side == "left" else 1, constant)
    return binary(operands[0], operands[1], function)


def convert(x: Array, dtype: str, float_dtype: np.dtype[Any]) -> NDArray[Any]:
    """In another number type; fractions are cut off."""
    return x.astype(float_dtype if dtype == "float32" else np.int64)


OPERATIONS: dict[type, Reference] = {
    Unary: unary,
    Binary: binary_of,
    Convert: convert,
}
