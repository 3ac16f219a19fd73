"""Makes a step shorter without changing what it computes: constants after a matrix product join it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, MutableMapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.fusions.dead_code import with_bodies
from edgernn.program.operations import AnyOperation, Binary, Dense


def fuse_biases(
    operations: list[AnyOperation], weights: MutableMapping[str, NDArray[Any]], kept_values: Collection[str]
) -> list[AnyOperation]:
    """Dense followed by Add of a constant vector, or Mul by one, becomes one Dense.

    `kept_values` are values that something outside of the operations reads. Multiplied weights join `weights`.
    """
    readers = Counter(name for operation in operations for name in operation.inputs)
    readers.update(kept_values)
    fused: list[AnyOperation] = []
    products: dict[str, int] = {}  # value -> place of the Dense without bias that writes it
    for operation in operations:
        place = products.get(operation.inputs[0]) if operation.inputs else None
        if place is not None and isinstance(operation, Binary) and readers[operation.inputs[0]] == 1:
            product = fused[place]
            assert isinstance(product, Dense)
            joined = _joined(product, operation, weights)
            if joined is not None:
                fused[place] = joined
                if joined.B is None:
                    products[joined.outputs[0]] = place
                continue
        if isinstance(operation, Dense) and operation.B is None:
            products[operation.outputs[0]] = len(fused)
        fused.append(operation)
    return with_bodies(operations, fused)


def _joined(product: Dense, operation: Binary, weights: MutableMapping[str, NDArray[Any]]) -> Dense | None:
    """The product with the constant that follows it; None if it cannot join."""
    if operation.constant is None:
        return None
    constant, rows = weights[operation.constant], len(weights[product.W])
    W, B = product.W, product.B
    if operation.function == "Add" and constant.shape == (rows,):
        B = operation.constant
    elif operation.function == "Mul" and constant.shape in ((1,), (rows,)) and np.isfinite(constant).all():
        W = f"{product.W}*{operation.constant}"
        weights[W] = weights[product.W] * np.broadcast_to(constant, rows)[:, np.newaxis]
    else:
        return None
    sources = (*product.sources, *operation.sources)
    return msgspec.structs.replace(product, outputs=operation.outputs, sources=sources, W=W, B=B)
