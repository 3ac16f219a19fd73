"""Float matrix products in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    Dense,
    GroupedDense,
    MatMul,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.float32.elementwise import saturate

Array = NDArray[np.floating[Any]]


def dense(x: Array, W: Array, B: Array | None) -> Array:
    """``x @ W.T + B``; x (..., K), W (N, K), B (N,) -> (..., N)."""
    y = x @ W.T.astype(np.float64)
    return saturate(y if B is None else y + B).astype(x.dtype)


def grouped_dense(x: Array, W: Array, B: Array | None) -> Array:
    """x (..., I, G), W (O, I, G), B (O, G) -> (..., O, G)."""
    y: Array = np.einsum("...ig,oig->...og", x, W)
    return y if B is None else y + B


def matmul(a: Array, b: Array, transposed: bool) -> Array:
    """a (..., n, k), b (..., k, m), or transposed (..., m, k) -> (..., n, m)."""
    product: Array = a @ (b.swapaxes(-1, -2) if transposed else b)
    return product


OPERATIONS: dict[type, Reference] = {
    Dense: dense,
    GroupedDense: grouped_dense,
    MatMul: matmul,
}
