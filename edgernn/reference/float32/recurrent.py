"""Float recurrent cells in plain NumPy, as the ONNX operators RNN, GRU and LSTM define them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    GateFunction,
    Gru,
    Lstm,
    Rnn,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.float32.elementwise import saturate, unary

Array = NDArray[np.floating[Any]]

GateTuple = tuple[str, float | None, float | None]  # ONNX name, alpha, beta


def _wide(*arrays: Array) -> list[Array]:
    """Arrays in float64."""
    return [array.astype(np.float64, copy=False) for array in arrays]


def _bias(B: Array | None, size: int) -> tuple[Array, Array]:
    """The two halves of a bias, each of `size` numbers."""
    return (np.zeros(size),) * 2 if B is None else (B[:size].astype(np.float64), B[size:].astype(np.float64))


def _gate(x: Array, function: GateTuple, clip: float | None) -> Array:
    return unary(x if clip is None else np.clip(x, -clip, clip), *function)


def rnn(
    x: Array,
    h: Array,
    W: Array,
    R: Array,
    B: Array | None,
    activations: Sequence[GateTuple],
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
    activations: Sequence[GateTuple],
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
    activations: Sequence[GateTuple],
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


def _gates(activations: Sequence[GateFunction]) -> list[GateTuple]:
    return [(gate.function, gate.alpha, gate.beta) for gate in activations]


def step_rnn(
    x: Array, h: Array, W: Array, R: Array, B: Array | None, activations: Sequence[GateFunction], clip: float | None
) -> Array:
    """The new h, which also goes into the state."""
    h[...] = rnn(x, h, W, R, B, _gates(activations), clip)
    return h.copy()


def step_gru(
    x: Array,
    h: Array,
    W: Array,
    R: Array,
    B: Array | None,
    activations: Sequence[GateFunction],
    linear_before_reset: bool,
    clip: float | None,
) -> Array:
    """The new h, which also goes into the state."""
    h[...] = gru(x, h, W, R, B, _gates(activations), linear_before_reset, clip)
    return h.copy()


def step_lstm(
    x: Array,
    h: Array,
    c: Array,
    W: Array,
    R: Array,
    B: Array | None,
    P: Array | None,
    activations: Sequence[GateFunction],
    clip: float | None,
    input_forget: bool,
) -> Array:
    """The new h, which also goes into the state, as the new c does."""
    h[...], c[...] = lstm(x, h, c, W, R, B, P, _gates(activations), clip, input_forget)
    return h.copy()


OPERATIONS: dict[type, Reference] = {
    Rnn: step_rnn,
    Gru: step_gru,
    Lstm: step_lstm,
}
