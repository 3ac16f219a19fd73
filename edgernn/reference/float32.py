"""The float operations in plain NumPy, written as the ONNX operators define them. Slow and obvious: the oracle's text.

Every function gives the number type of its arguments, so that float64 arrays give a float64 reference. What comes of
finite numbers is finite: sums and products that are too large for float32 saturate at its largest number, also in
float64; only a function at its pole gives infinity. Cells and matrix products compute in float64 at the least, in which
nothing overflows on the way.
Source: the ONNX operator definitions of RNN, GRU, LSTM, Gemm, Softmax and of the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erf, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
MAX_FLOAT32 = float(np.finfo(np.float32).max)
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
    "Sin": (0.0, 0.0, lambda x, a, b: np.sin(x)),
    "Cos": (0.0, 0.0, lambda x, a, b: np.cos(x)),
    "Sign": (0.0, 0.0, lambda x, a, b: np.sign(x)),
    "Floor": (0.0, 0.0, lambda x, a, b: np.floor(x)),
    "Ceil": (0.0, 0.0, lambda x, a, b: np.ceil(x)),
    "Round": (0.0, 0.0, lambda x, a, b: np.rint(x)),
    "Not": (0.0, 0.0, lambda x, a, b: x == 0),
    # only as gates of recurrent operators
    "Affine": (1.0, 0.0, lambda x, a, b: a * x + b),
    "ScaledTanh": (1.0, 1.0, lambda x, a, b: a * np.tanh(b * x)),
}

POLES = frozenset({"Exp", "Log", "Reciprocal"})  # infinite by definition, for some finite numbers


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
REDUCE: dict[str, Callable[..., Array]] = {
    "Sum": np.sum,
    "Mean": np.mean,
    "Max": np.max,
    "Min": np.min,
    "Prod": np.prod,
}


def unary(x: Array, function: str, alpha: float | None = None, beta: float | None = None) -> Array:
    """``function(x)`` for each element, by ONNX name."""
    default_alpha, default_beta, compute = UNARY[function]
    y = compute(x, default_alpha if alpha is None else alpha, default_beta if beta is None else beta)
    return (y if function in POLES else _saturate_overflow(y, x)).astype(x.dtype, copy=False)


def binary(a: Array, b: Array, function: str) -> Array:
    """``function(a, b)`` with broadcasting, by ONNX name; what is true is 1."""
    return np.asarray(BINARY[function](a, b)).astype(a.dtype, copy=False)


def dense(x: Array, W: Array, B: Array | None) -> Array:
    """``x @ W.T + B``; x (..., K), W (N, K), B (N,) -> (..., N)."""
    y = x @ W.T.astype(np.float64)
    return saturate(y if B is None else y + B).astype(x.dtype)


def grouped_dense(x: Array, W: Array, B: Array | None) -> Array:
    """x (..., I, G), W (O, I, G), B (O, G) -> (..., O, G)."""
    y: Array = np.einsum("...ig,oig->...og", x, W)
    return y if B is None else y + B


def layer_norm(x: Array, scale: Array | None, bias: Array | None, epsilon: float, centred: bool = True) -> Array:
    """Layer normalisation over the last axis, or by the root mean square; scale and bias (N,)."""
    x = x - x.mean(axis=-1, keepdims=True) if centred else x
    y: Array = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
    y = y if scale is None else y * scale
    return y if bias is None else y + bias


def arg_max(x: Array, last: bool, smallest: bool) -> NDArray[np.int64]:
    """Index of the largest number of the last axis, or the smallest; of equal ones the first, or the last."""
    ordered = -x if smallest else x
    index: NDArray[np.int64] = np.asarray(
        x.shape[-1] - 1 - ordered[..., ::-1].argmax(axis=-1) if last else ordered.argmax(axis=-1)
    )
    return index


def top_k(x: Array, k: int, largest: bool) -> tuple[Array, NDArray[np.int64]]:
    """The k largest numbers of the last axis, or smallest, in order, and where they are; of equal ones the first."""
    indices = np.argsort(-x if largest else x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices


def running_reduce(x: Array, total: NDArray[np.float64], count: NDArray[np.int64], function: str) -> Array:
    """Takes a frame into `total` and `count`, in place, and gives the reduction of all frames so far."""
    count += 1
    flat = x.ravel()
    if function in ("Max", "Min"):
        total[...] = BINARY[function](total, flat)
    else:
        total += flat
    y = total / count[0] if function == "Mean" else total
    return y.reshape(x.shape).astype(x.dtype)


def running_softmax(
    scores: Array,
    values: Array,
    largest: NDArray[np.float64],
    total: NDArray[np.float64],
    weighted: NDArray[np.float64],
) -> Array:
    """Attention pooling of all frames so far; scores (G,), values (G, N), states of a group each -> (G, N)."""
    larger = np.maximum(largest, scores)
    decay, weight = np.exp(largest - larger), np.exp(scores - larger)
    largest[...] = larger
    total[...] = total * decay + weight
    weighted[...] = (weighted.reshape(values.shape) * decay[:, None] + weight[:, None] * values).ravel()
    return (weighted.reshape(values.shape) / total[:, None]).astype(values.dtype)


def softmax(x: Array, logarithm: bool = False) -> Array:
    """Softmax over the last axis, or its logarithm."""
    shifted = x - x.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    y: Array = saturate(shifted - np.log(total)) if logarithm else exponentials / total
    return y


def _wide(*arrays: Array) -> list[Array]:
    """Arrays in float64."""
    return [array.astype(np.float64, copy=False) for array in arrays]


def _bias(B: Array | None, size: int) -> tuple[Array, Array]:
    """The two halves of a bias, each of `size` numbers."""
    return (np.zeros(size),) * 2 if B is None else (B[:size].astype(np.float64), B[size:].astype(np.float64))


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
    x_wide, h_wide, W, R = _wide(x, h, W, R)
    Wb, Rb = _bias(B, h.size)
    return _gate(saturate(W @ x_wide + R @ h_wide + Wb + Rb), activations[0], clip).astype(x.dtype)


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
    H, dtype = h.size, x.dtype
    x, h, W, R = _wide(x, h, W, R)
    Wb, Rb = _bias(B, 3 * H)
    input_part = W @ x + Wb  # (3 H,)
    zr = saturate(input_part[: 2 * H] + R[: 2 * H] @ h + Rb[: 2 * H])
    z, r = _gate(zr[:H], activations[0], clip), _gate(zr[H:], activations[0], clip)
    if linear_before_reset:
        n = saturate(input_part[2 * H :]) + r * saturate(R[2 * H :] @ h + Rb[2 * H :])
    else:
        n = input_part[2 * H :] + R[2 * H :] @ saturate(r * h) + Rb[2 * H :]
    return saturate((1 - z) * _gate(saturate(n), activations[1], clip) + z * h).astype(dtype)


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
    H, dtype = h.size, x.dtype
    x, h, c, W, R = _wide(x, h, c, W, R)
    Wb, Rb = _bias(B, 4 * H)
    gates = saturate(W @ x + R @ h + Wb + Rb)  # (4 H,)
    Pi, Po, Pf = (np.zeros(H),) * 3 if P is None else _wide(P[:H], P[H : 2 * H], P[2 * H :])
    i = _gate(saturate(gates[:H] + Pi * c), activations[0], clip)
    f = 1 - i if input_forget else _gate(saturate(gates[2 * H : 3 * H] + Pf * c), activations[0], clip)
    c_new = saturate(f * c + i * _gate(gates[3 * H :], activations[1], clip))
    o = _gate(saturate(gates[H : 2 * H] + Po * c_new), activations[0], clip)
    return saturate(o * unary(c_new, *activations[2])).astype(dtype), c_new.astype(dtype)
