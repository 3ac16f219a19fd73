"""Float reductions and norms in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    LayerNorm,
    Reduce,
    RunningReduce,
    RunningSoftmax,
    Shape,
    Softmax,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.float32.elementwise import BINARY, saturate

Array = NDArray[np.floating[Any]]

REDUCE: dict[str, Callable[..., Array]] = {
    "Sum": np.sum,
    "Mean": np.mean,
    "Max": np.max,
    "Min": np.min,
    "Prod": np.prod,
}


def reduce(x: Array, function: str, axis: int, output_shape: Shape) -> Array:
    """A reduction over one axis."""
    return np.asarray(REDUCE[function](x, axis=axis)).reshape(output_shape)


def layer_norm(x: Array, scale: Array | None, bias: Array | None, epsilon: float, centred: bool = True) -> Array:
    """Layer normalisation over the last axis, or by the root mean square; scale and bias (N,)."""
    x = x - x.mean(axis=-1, keepdims=True) if centred else x
    y: Array = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
    y = y if scale is None else y * scale
    return y if bias is None else y + bias


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
    x: Array,
    largest: NDArray[np.float64],
    total: NDArray[np.float64],
    weighted: NDArray[np.float64],
) -> Array:
    """Attention pooling of all frames so far; scores (G,), x (G, N), states of a group each -> (G, N)."""
    larger = np.maximum(largest, scores)
    decay, weight = np.exp(largest - larger), np.exp(scores - larger)
    largest[...] = larger
    total[...] = total * decay + weight
    weighted[...] = (weighted.reshape(x.shape) * decay[:, None] + weight[:, None] * x).ravel()
    return (weighted.reshape(x.shape) / total[:, None]).astype(x.dtype)


def softmax(x: Array, logarithm: bool = False) -> Array:
    """Softmax over the last axis, or its logarithm."""
    shifted = x - x.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    y: Array = saturate(shifted - np.log(total)) if logarithm else exponentials / total
    return y


OPERATIONS: dict[type, Reference] = {
    Softmax: softmax,
    Reduce: reduce,
    LayerNorm: layer_norm,
    RunningReduce: running_reduce,
    RunningSoftmax: running_softmax,
}
