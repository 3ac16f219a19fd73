"""Casts between number types. Source: ONNX Cast, CastLike."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.importers.onnx.graph.tensors import NUMBER_TYPES, type_name
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_unary
from edgernn.importers.onnx.rules.number_types import converted, floats, is_integer, is_truth
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor


def cast(call: Call) -> Results:
    """Cast: streams are float32 whatever float type the graph has; constants are converted."""
    to = call.node.integer("to", 0)
    if to not in NUMBER_TYPES:
        raise call.node.unsupported(f"casts to {type_name(to)}: export the model in float32")
    return (_cast(call, call.tensor(0), np.dtype(NUMBER_TYPES[to])),)


def cast_like(call: Call) -> Results:
    """CastLike: a cast to the number type of another tensor."""
    like = call.tensor(1)
    if isinstance(like, Signal):
        return (_cast(call, call.tensor(0), np.dtype("int32" if is_integer(call.builder, like) else "float32")),)
    return (_cast(call, call.tensor(0), np.dtype(np.int64) if like.elements.dtype == object else like.elements.dtype),)


def _cast(call: Call, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    call.node.ignore("saturate", "round_mode")
    if isinstance(x, Constant):
        return x if x.elements.dtype == object else x.moved(x.axes, x.elements.astype(dtype))
    assert isinstance(x, Signal)
    if dtype.kind == "f":
        return converted(call, x, "float32", call.output) if is_integer(call.builder, x) else x
    x = materialize_padding(call.builder, x)
    if dtype.kind == "b":
        return truth(call, x, call.output)
    if dtype.itemsize < 4 and not is_truth(call.builder, x):
        raise call.node.unsupported(f"casts a signal to {dtype}, in which numbers may overflow: cast it to int32")
    return converted(call, x, "int32", call.output)


def truth(call: Call, x: Signal, output: str) -> Signal:
    """1 where x is not 0."""
    x = floats(call, x)
    if is_truth(call.builder, x):
        return x
    return emit_unary(call, emit_unary(call, x, call.builder.unique(f"{output}:not"), "Not"), output, "Not")
