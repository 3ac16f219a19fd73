"""Makes a step shorter without changing what it computes: constants after a matrix product join it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.fusions.log import FusionLog
from edgernn.program.operations import AnyOperation, Binary, Dense
from edgernn.program.program import Program
from edgernn.program.trees import rewritten


def fuse_biases(program: Program, log: FusionLog) -> Program:
    """Dense followed by Add of a constant vector, or Mul by one, becomes one Dense."""
    weights = dict(program.weights)
    fused: dict[str, Dense] = {}  # by the name of the product
    joined_operations: set[str] = set()
    products: dict[str, Dense] = {}  # by value, the Dense without bias that writes it
    for operation in program.operations:
        product = products.get(operation.inputs[0]) if operation.inputs else None
        if product is not None and isinstance(operation, Binary) and program.graph.is_read_once(operation.inputs[0]):
            joined = _joined(product, operation, weights)
            if joined is not None:
                fused[joined.name] = joined
                joined_operations.add(operation.name)
                log.fuse(f"matrix product, {operation.function} of a constant", joined)
                if joined.B is None:
                    products[joined.outputs[0]] = joined
        elif isinstance(operation, Dense) and operation.B is None:
            products[operation.outputs[0]] = operation

    def replaced(operation: AnyOperation) -> tuple[AnyOperation, ...]:
        return () if operation.name in joined_operations else (fused.get(operation.name, operation),)

    return program.with_operations(rewritten(program.description.operations, replaced), weights)


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
