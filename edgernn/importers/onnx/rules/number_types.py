"""Number types inside a step: float32, and int32 for what the graph holds as integers. What is true is 1 in float32."""

from __future__ import annotations

from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.values import Signal, Tensor
from edgernn.program.operations import Binary, Convert, Unary

COMPARISONS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
LOGIC = {"And", "Or", "Xor"}


def is_integer(builder: ProgramBuilder, x: Tensor) -> bool:
    """Whether a tensor holds integers."""
    if isinstance(x, Signal):
        return any(base in builder.values and builder.values[base].dtype == "int32" for base in x.bases)
    return x.elements.dtype.kind in "iu"


def floats(call: Call, x: Signal) -> Signal:
    """The stream in float32; integers of up to 24 bits are exact in it."""
    return converted(call, x, "float32", call.builder.unique(f"{x.bases[0]}:float"))


def converted(call: Call, x: Signal, dtype: str, output: str) -> Signal:
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
    return Signal.of(output, x.axes, x.timing)


def is_truth(builder: ProgramBuilder, x: Signal) -> bool:
    """Whether all numbers are known to be 0 or 1, as comparisons give them."""
    writers = {name: operation for operation in builder.operations for name in operation.outputs}
    return all(
        isinstance(operation := writers.get(base), Binary | Unary)
        and operation.function in COMPARISONS | LOGIC | {"Not"}
        for base in x.bases
    )
