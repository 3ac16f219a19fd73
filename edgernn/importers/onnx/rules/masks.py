"""Constants that hold minus infinity, as attention masks do: no weight may, so they hold the lowest float instead.

That gives the same only where a Softmax reads it, so everything that is reached on the way to one is looked at.
"""

from __future__ import annotations

import numpy as np

from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.streams.values import Constant

LOWEST = float(np.finfo(np.float32).min)
CARRIERS = {"Add", "Where", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Cast", "Identity", "Slice"}


def finite(call: Call, constant: Constant) -> Constant:
    """The constant with its minus infinities replaced, if nothing but a Softmax can tell.

    Raises
    ------
    UnsupportedModelError
        Something else reads them, or there are other numbers that are not finite.
    """
    numbers = constant.elements
    if numbers.dtype.kind != "f" or np.isfinite(numbers).all():
        return constant
    if np.isnan(numbers).any() or np.isposinf(numbers).any() or not _ends_in_softmax(call):
        raise call.node.unsupported(
            "combines a signal with a constant that is not finite: only a mask before a Softmax may be minus infinity"
        )
    return constant.moved(constant.axes, np.maximum(numbers, LOWEST))


def _ends_in_softmax(call: Call) -> bool:
    """Whether the node's output goes into Softmax and nothing else."""
    waiting, seen = list(call.node.outputs), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in call.graph.outputs:
            return False
        for reader in call.graph.consumers(name):
            if reader.operator in CARRIERS:
                waiting.extend(reader.outputs)
            elif reader.operator != "Softmax":
                return False
    return True
