"""Operations that move numbers without changing them, and explicit reads and writes of state."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import msgspec

from edgernn.program.operations.base import MAX_ELEMENTS, Operation, Shape, StateRegion, Value, Weights


class Rearrange(Operation, frozen=True, kw_only=True):
    """``y.flat = concatenate(inputs, each flattened)[indices]``, shaped as `shape`.

    The one form of Concat, Slice, Split, Gather by constants, Transpose, Expand and Reshape inside a step. `indices` is
    an int32 weight with as many elements as the output; absent, the inputs are laid end to end as they are.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("indices",)
    input_dtype: ClassVar[str | None] = None

    shape: Shape
    indices: str | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=max(1, len(self.inputs)), outputs=1)
        if any(extent < 1 for extent in self.shape) or prod(self.shape) > MAX_ELEMENTS:
            raise self.malformed(f"shape {self.shape} is empty or too large")
        available, size = sum(value.size for value in inputs), prod(self.shape)
        if self.indices is None:
            if size != available:
                raise self.malformed(f"shape {self.shape} has {size} elements, the inputs have {available}")
        else:
            indices = self.weight(weights, self.indices, 1, "int32")
            self.expect_shape(indices, self.indices, (size,))
            if indices.min() < 0 or indices.max() >= available:
                raise self.malformed(f"weight {self.indices} points outside the {available} elements of the inputs")
        return (msgspec.structs.replace(inputs[0], shape=self.shape),)


class ReadState(Operation, frozen=True, kw_only=True):
    """The content that a state has at this point of the step, shaped as `shape`.

    That is what it held when the step began, or, after a recurrent cell that owns it, the cell's new state. With
    `latched` it comes after a WriteState, whose last value it is, also in steps in which nothing is written. `dtype`
    and `scale` are the state's; of an int32 state with a scale the high half is read, as int16.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("region",)

    region: StateRegion
    shape: Shape
    latched: bool = msgspec.field(default=False, name="held")  # the file's name
    dtype: str = "float32"
    scale: float | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=0, outputs=1)
        if any(extent < 1 for extent in self.shape) or prod(self.shape) > MAX_ELEMENTS:
            raise self.malformed(f"shape {self.shape} is empty or too large")
        if self.dtype == "int32" and self.scale is not None:
            return (Value(self.shape, "int16", self.scale * 65536),)
        return (Value(self.shape, self.dtype, self.scale),)

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return {"region": prod(self.shape)}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"region": (self.dtype, self.scale)}


class WriteState(Operation, frozen=True, kw_only=True):
    """Makes a value, flattened, the state's content for the next step. Writes come after all reads of the region.

    With `begins` it is the other way round: the state begins anew in this step, and what follows goes on from there.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("region",)
    changes_state: ClassVar[bool] = True
    input_dtype: ClassVar[str | None] = None

    region: StateRegion
    size: int
    begins: bool = False
    dtype: str = "float32"
    scale: float | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=0)
        if inputs[0].size != self.size:
            raise self.malformed(f"input {self.inputs[0]} has {inputs[0].size} elements, the state region {self.size}")
        if (inputs[0].dtype, inputs[0].scale) != (self.dtype, self.scale):
            raise self.malformed(f"input {self.inputs[0]} is {inputs[0].dtype} of scale {inputs[0].scale}")
        return ()

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        return {"region": self.size}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        return {"region": (self.dtype, self.scale)}
