"""The float operations in plain NumPy, written as the ONNX operators define them. Slow and obvious: the oracle's text.

Every function works in the number type of its arguments, so that float64 arrays give a float64 reference.
Source: the ONNX operator definitions of RNN, GRU, LSTM, Gemm, Softmax and of the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erf, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
GateFunction = tuple[str, float | None, float | None]  # ONNX name, alpha, beta

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
    # only as gates of recurrent operators
    "Affine": (1.0, 0.0, lambda x, a, b: a * x + b),
    "ScaledTanh": (1.0, 1.0, lambda x, a, b: a * np.tanh(b * x)),
}

BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Min": np.minimum,
    "Max": np.maximum,
    "Pow": np.power,
}


def unary(x: Array, function: str, alpha: float | None = None, beta: float | None = None) -> Array:
    """``function(x)`` for each element, by ONNX name."""
    default_alpha, default_beta, compute = UNARY[function]
    y = compute(x, default_alpha if alpha is None else alpha, default_beta if beta is None else beta)
    return y.astype(x.dtype, copy=False)


def dense(x: Array, W: Array, B: Array | None) -> Array:
    """``x @ W.T + B``; x (..., K), W (N, K), B (N,) -> (..., N)."""
    y: Array = x @ W.T
    return y if B is None else y + B


def softmax(x: Array, logarithm: bool = False) -> Array:
    """Softmax over the last axis, or its logarithm."""
    shifted = x - x.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    y: Array = shifted - np.log(total) if logarithm else exponentials / total
    return y


def _gate(x: Array, function: GateFunction, clip: float | None) -> Array:
    return unary(x if clip is None else np.clip(x, -clip, clip), *function)


def rnn(
    x: Array,
    h: Array,
    W: Array,
    R: Array,
    B: Array | None,
    activations: Sequence[GateFunction],
    clip: float | None = None,
) -> Array:
    """One Elman step; x (K,), h (H,), W (H, K), R (H, H), B (2 H,) -> new h (H,)."""
    a = W @ x + R @ h
    if B is not None:
        a = a + B[: h.size] + B[h.size :]
    return _gate(a, activations[0], clip)


def gru(
    x: Array,
    h: Array,
    W: Array,
    R: Array,
    B: Array | None,
    activations: Sequence[GateFunction],
    linear_before_reset: bool,
    clip: float | None = None,
) -> Array:
    """One GRU step; x (K,), h (H,), W (3 H, K), R (3 H, H), B (6 H,), gates z r h -> new h (H,)."""
    H = h.size
    Wb, Rb = (np.zeros(3 * H, x.dtype),) * 2 if B is None else (B[: 3 * H], B[3 * H :])
    input_part = W @ x + Wb  # (3 H,)
    zr = input_part[: 2 * H] + R[: 2 * H] @ h + Rb[: 2 * H]
    z, r = _gate(zr[:H], activations[0], clip), _gate(zr[H:], activations[0], clip)
    if linear_before_reset:
        n = input_part[2 * H :] + r * (R[2 * H :] @ h + Rb[2 * H :])
    else:
        n = input_part[2 * H :] + R[2 * H :] @ (r * h) + Rb[2 * H :]
    return (1 - z) * _gate(n, activations[1], clip) + z * h


def lstm(
    x: Array,
    h: Array,
    c: Array,
    W: Array,
    R: Array,
    B: Array | None,
    P: Array | None,
    activations: Sequence[GateFunction],
    clip: float | None = None,
    input_forget: bool = False,
) -> tuple[Array, Array]:
    """One LSTM step; x (K,), h, c (H,), W (4 H, K), R (4 H, H), B (8 H,), P (3 H,), gates i o f c -> new h, new c."""
    H = h.size
    gates = W @ x + R @ h  # (4 H,)
    if B is not None:
        gates = gates + B[: 4 * H] + B[4 * H :]
    Pi, Po, Pf = (np.zeros(H, x.dtype),) * 3 if P is None else (P[:H], P[H : 2 * H], P[2 * H :])
    i = _gate(gates[:H] + Pi * c, activations[0], clip)
    f = 1 - i if input_forget else _gate(gates[2 * H : 3 * H] + Pf * c, activations[0], clip)
    c_new = f * c + i * _gate(gates[3 * H :], activations[1], clip)
    o = _gate(gates[H : 2 * H] + Po * c_new, activations[0], clip)
    return o * unary(c_new, *activations[2]), c_new
