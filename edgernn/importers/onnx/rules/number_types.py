"""Number types inside a step: float32, and int32 for what the graph holds as integers. What is true is 1 in float32.

Source: ONNX Cast, CastLike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.importers.onnx.graph.tensors import NUMBER_TYPES, type_name
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.values import Constant, Stream, Tensor
from edgernn.program.operations import Binary, Convert, Unary

COMPARISONS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
LOGIC = {"And", "Or", "Xor"}


def is_integer(builder: ProgramBuilder, x: Tensor) -> bool:
    """Whether a tensor holds integers."""
    if isinstance(x, Stream):
        return any(base in builder.values and builder.values[base].dtype == "int32" for base in x.bases)
    return x.elements.dtype.kind in "iu"


def floats(call: Call, x: Stream) -> Stream:
    """The stream in float32; integers of up to 24 bits are exact in it."""
    return converted(call, x, "float32", call.builder.unique(f"{x.bases[0]}:float"))


def converted(call: Call, x: Stream, dtype: str, output: str) -> Stream:
    """The stream in float32 or int32, fractions cut off."""
    builder = call.builder
    if is_integer(builder, x) == (dtype == "int32"):
        return x
    x = materialize_padding(builder, x)
    builder.emit(
        Convert(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value_of_any_shape(x),),
            outputs=(output,),
            sources=builder.sources,
            dtype=dtype,  # type: ignore[arg-type]
        ),
        x.timing,
    )
    return Stream.of(output, x.axes, x.timing)


def is_truth(builder: ProgramBuilder, x: Stream) -> bool:
    """Whether all numbers are known to be 0 or 1, as comparisons give them."""
    writers = {name: operation for operation in builder.operations for name in operation.outputs}
    return all(
        isinstance(operation := writers.get(base), Binary | Unary)
        and operation.function in COMPARISONS | LOGIC | {"Not"}
        for base in x.bases
    )


def cast(call: Call) -> Results:
    """Cast: streams are float32 whatever float type the graph has; constants are converted."""
    to = call.node.integer("to", 0)
    if to not in NUMBER_TYPES:
        raise call.node.unsupported(f"casts to {type_name(to)}: export the model in float32")
    return (_cast(call, call.tensor(0), np.dtype(NUMBER_TYPES[to])),)


def cast_like(call: Call) -> Results:
    """CastLike: a cast to the number type of another tensor."""
    like = call.tensor(1)
    if isinstance(like, Stream):
        return (_cast(call, call.tensor(0), np.dtype("int32" if is_integer(call.builder, like) else "float32")),)
    return (_cast(call, call.tensor(0), np.dtype(np.int64) if like.elements.dtype == object else like.elements.dtype),)


def _cast(call: Call, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    call.node.ignore("saturate", "round_mode")
    if isinstance(x, Constant):
        return x if x.elements.dtype == object else x.moved(x.axes, x.elements.astype(dtype))
    assert isinstance(x, Stream)
    if dtype.kind == "f":
        return converted(call, x, "float32", call.output) if is_integer(call.builder, x) else x
    x = materialize_padding(call.builder, x)
    if dtype.kind == "b":
        return truth(call, x, call.output)
    if dtype.itemsize < 4 and not is_truth(call.builder, x):
        raise call.node.unsupported(f"casts a signal to {dtype}, in which numbers may overflow: cast it to int32")
    return converted(call, x, "int32", call.output)


def truth(call: Call, x: Stream, output: str) -> Stream:
    """1 where x is not 0."""
    from edgernn.importers.onnx.rules.elementwise import emit_unary

    x = floats(call, x)
    if is_truth(call.builder, x):
        return x
    return emit_unary(call, emit_unary(call, x, call.builder.unique(f"{output}:not"), "Not"), output, "Not")
