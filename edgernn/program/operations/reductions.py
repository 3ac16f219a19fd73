"""Many numbers made one: over the features of a frame, or over all frames so far."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Operand, Operands, Shape, Sizes, State, StateRegion, Weight

ReduceFunction = Literal["Sum", "Mean", "Max", "Min", "Prod"]


def sizes_of_reduction(operation: Operation, shape: Shape, axis: int) -> dict[str, int | Shape]:
    """The extents before, along and behind the axis of a reduction, and the shape that it leaves."""
    if not 0 <= axis < len(shape):
        raise operation.malformed(f"axis {axis} does not exist in the shape {shape}")
    outer, inner = shape[:axis], shape[axis + 1 :]
    return {"outer": prod(outer), "n": shape[axis], "inner": prod(inner), "kept": (*outer, *inner) or (1,)}


class Reduce(Operation, frozen=True, kw_only=True):
    """A reduction over one axis, which is left out of the output. Source: ONNX ReduceSum, ReduceMean, ...

    ``y = function(x, axis)``; of an input of one axis the output has the shape (1,).
    """

    input_ports: ClassVar[Operands] = (Operand("x"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*kept",)),)

    function: ReduceFunction
    axis: int = 0

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(**sizes_of_reduction(self, inputs[0].shape, self.axis))
        return sizes


class RunningReduce(Operation, frozen=True, kw_only=True):
    """A reduction over all frames since the reset, this one included: ``y = function(x[0], ..., x[t])``.

    Sums are kept in float64, so that ten million frames lose nothing that float32 can show.

    Attributes
    ----------
    total : StateRegion
        float64, a number for each of x: the sum so far, or the largest or smallest number. Begins with 0, or with what
        every number replaces.
    count : StateRegion
        int64, one number: frames so far.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*shape",)),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*shape",)),)

    function: Literal["Sum", "Mean", "Max", "Min"]
    total: Annotated[StateRegion, State("float64", ("size",))]
    count: Annotated[StateRegion, State("int64", ())]
    size: int

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if inputs[0].size != self.size:
            raise self.malformed(f"input {self.inputs[0]} has {inputs[0].size} elements, the state {self.size}")


class RunningSoftmax(Operation, frozen=True, kw_only=True):
    """Attention pooling: ``y = sum_t softmax(scores)_t * values_t`` over all frames since the reset, this one included.

    An online softmax: the sums of ``exp(score - largest)`` and of that times the value are kept, and scaled down when a
    larger score comes. Inputs are scores (groups,) and values (groups, size); each group has a softmax of its own.
    Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.

    Attributes
    ----------
    largest, total : StateRegion
        float64 (groups,): the largest score, which begins with -1e300, and the sum of exponentials.
    weighted : StateRegion
        float64 (groups, size): the sum of exponentials times values.
    """

    input_ports: ClassVar[Operands] = (Operand("scores", ("groups",)), Operand("x", ("groups", "size")))
    output_ports: ClassVar[Operands] = (Operand("y", ("groups", "size")),)

    largest: Annotated[StateRegion, State("float64", ("groups",))]
    total: Annotated[StateRegion, State("float64", ("groups",))]
    weighted: Annotated[StateRegion, State("float64", ("groups", "size"))]
    groups: int
    size: int


class LayerNorm(Operation, frozen=True, kw_only=True):
    """``y = (x - mean) / sqrt(variance + epsilon) * scale + bias`` over the last axis. Source: ONNX LayerNormalization.

    `scale` and `bias` are weights with a number for each element of the last axis, or absent. Without `centred` nothing
    is subtracted, and the mean square stands for the variance: ONNX RMSNormalization.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size")),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "size")),)

    scale: Annotated[str | None, Weight(("size",))] = None
    bias: Annotated[str | None, Weight(("size",))] = None
    epsilon: float = 1e-5
    centred: bool = True

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if not 0.0 <= self.epsilon < 1e30:
            raise self.malformed(f"epsilon is {self.epsilon}, it must be from 0 and finite")


class Softmax(Operation, frozen=True, kw_only=True):
    """``exp(x - max) / sum`` over the last axis, or its logarithm."""

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size")),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "size")),)

    logarithm: bool = False
