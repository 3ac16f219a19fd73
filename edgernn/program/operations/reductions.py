"""Many numbers made one: over the features of a frame, or over all frames so far."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from edgernn.program.operations.base import Operation, StateRegion, Value, Weights

ReduceFunction = Literal["Sum", "Mean", "Max", "Min", "Prod"]


class Reduce(Operation, frozen=True, kw_only=True):
    """A reduction over one axis, which is left out of the output. Source: ONNX ReduceSum, ReduceMean, ...

    ``y = function(x, axis)``; of an input of one axis the output has the shape (1,).
    """

    function: ReduceFunction
    axis: int = 0

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        shape = inputs[0].shape
        if not 0 <= self.axis < len(shape):
            raise self.malformed(f"axis {self.axis} does not exist in the shape {shape}")
        return (Value((*shape[: self.axis], *shape[self.axis + 1 :]) or (1,)),)


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

    state_fields: ClassVar[tuple[str, ...]] = ("total", "count")
    changes_state: ClassVar[bool] = True

    function: Literal["Sum", "Mean", "Max", "Min"]
    total: StateRegion
    count: StateRegion
    size: int

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if inputs[0].size != self.size:
            raise self.malformed(f"input {self.inputs[0]} has {inputs[0].size} elements, the state {self.size}")
        return (inputs[0],)

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return {"total": self.size, "count": 1}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"total": ("float64", None), "count": ("int64", None)}


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

    state_fields: ClassVar[tuple[str, ...]] = ("largest", "total", "weighted")
    changes_state: ClassVar[bool] = True

    largest: StateRegion
    total: StateRegion
    weighted: StateRegion
    groups: int
    size: int

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=2, outputs=1)
        scores, values = inputs
        if self.groups < 1 or scores.shape != (self.groups,) or values.shape != (self.groups, self.size):
            raise self.malformed(f"reads shapes {scores.shape} and {values.shape} for {self.groups} groups")
        return (Value((self.groups, self.size)),)

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return {"largest": self.groups, "total": self.groups, "weighted": self.groups * self.size}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return dict.fromkeys(self.state_fields, ("float64", None))


class LayerNorm(Operation, frozen=True, kw_only=True):
    """``y = (x - mean) / sqrt(variance + epsilon) * scale + bias`` over the last axis. Source: ONNX LayerNormalization.

    `scale` and `bias` are weights with a number for each element of the last axis, or absent. Without `centred` nothing
    is subtracted, and the mean square stands for the variance: ONNX RMSNormalization.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("scale", "bias")

    scale: str | None = None
    bias: str | None = None
    epsilon: float = 1e-5
    centred: bool = True

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not inputs[0].shape:
            raise self.malformed(f"input {self.inputs[0]} is a scalar, it needs an axis")
        for name in (self.scale, self.bias):
            if name is not None:
                self.expect_shape(self.weight(weights, name, 1), name, inputs[0].shape[-1:])
        if not 0.0 <= self.epsilon < 1e30:
            raise self.malformed(f"epsilon is {self.epsilon}, it must be from 0 and finite")
        return (inputs[0],)


class ArgMax(Operation, frozen=True, kw_only=True):
    """Index of the largest number along the last axis, the first of equal ones, as int32. Source: ONNX ArgMax."""

    input_dtype: ClassVar[str | None] = None

    last: bool = False  # the last of equal ones: ONNX's select_last_index
    smallest: bool = False  # ArgMin

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not inputs[0].shape:
            raise self.malformed(f"input {self.inputs[0]} is a scalar, it needs an axis")
        return (Value(inputs[0].shape[:-1] or (1,), "int32"),)


class TopK(Operation, frozen=True, kw_only=True):
    """The k largest (or smallest) numbers of the last axis in order, and their indices as int32. Source: ONNX TopK."""

    input_dtype: ClassVar[str | None] = None

    k: int
    largest: bool = True

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=2)
        if not inputs[0].shape or not 1 <= self.k <= inputs[0].shape[-1]:
            raise self.malformed(f"k is {self.k}, the input's shape {inputs[0].shape}")
        shape = (*inputs[0].shape[:-1], self.k)
        return (msgspec.structs.replace(inputs[0], shape=shape), Value(shape, "int32"))
