"""Makes a step shorter without changing what it computes: a bias that is added after a matrix product joins it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

from edgernn.operations import AnyOperation, Binary, Dense


def fuse_biases(
    operations: list[AnyOperation], weights: Mapping[str, NDArray[Any]], kept_values: Collection[str]
) -> list[AnyOperation]:
    """Dense followed by Add of a constant vector becomes one Dense.

    `kept_values` are values that something outside of the operations reads.
    """
    readers = Counter(name for operation in operations for name in operation.inputs)
    readers.update(kept_values)
    fused: list[AnyOperation] = []
    products: dict[str, int] = {}  # value -> place of the Dense without bias that writes it
    for operation in operations:
        place = products.get(operation.inputs[0]) if isinstance(operation, Binary) else None
        if place is not None and isinstance(operation, Binary) and readers[operation.inputs[0]] == 1:
            product = fused[place]
            assert isinstance(product, Dense)
            if _is_bias(operation, len(weights[product.W]), weights):
                fused[place] = msgspec.structs.replace(
                    product,
                    outputs=operation.outputs,
                    sources=(*product.sources, *operation.sources),
                    B=operation.constant,
                )
                continue
        if isinstance(operation, Dense) and operation.B is None:
            products[operation.outputs[0]] = len(fused)
        fused.append(operation)
    return fused


def _is_bias(operation: Binary, size: int, weights: Mapping[str, NDArray[Any]]) -> bool:
    return (
        operation.function == "Add" and operation.constant is not None and weights[operation.constant].shape == (size,)
    )
