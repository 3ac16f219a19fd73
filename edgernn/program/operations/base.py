"""What all step operations have in common: named values in, named values out, weights, and regions of state."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar, TypeAlias

import msgspec
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError
from edgernn.program.operations.schedule import EVERY_STEP, Schedule

Shape: TypeAlias = tuple[int, ...]
Weights: TypeAlias = Mapping[str, NDArray[Any]]

MAX_ELEMENTS = 1 << 26  # of one value, weight or state; 256 MB of float32


class Value(msgspec.Struct, frozen=True):
    """What is known of a value inside a step: its shape for one time step (no time, no batch) and its number type.

    An integer that stands for a real number has a `scale`: the number is ``integer * scale``.
    """

    shape: Shape
    dtype: str = "float32"
    scale: float | None = None

    @property
    def size(self) -> int:
        """Elements, 1 for a scalar."""
        return prod(self.shape)


class StateRegion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of elements inside a state slot: `slot` is the slot's name, `offset` the first element, row-major."""

    slot: str
    offset: int = 0


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=True):
    """One operation of a step.

    Operations are plain descriptions: they hold names, never arrays, and are what a program file stores.

    Attributes
    ----------
    name : str
        Unique in its program; the ONNX node it came from where there is one.
    inputs, outputs : tuple of str
        Names of values. Every value is written by one operation, or is an input of the program.
    sources : tuple of str
        Names of all ONNX nodes that this operation stands for.
    when : Schedule
        The steps in which it runs. What it reads was written in the same step.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ()  # fields that hold the name of a weight, or None
    state_fields: ClassVar[tuple[str, ...]] = ()  # fields that hold a StateRegion
    changes_state: ClassVar[bool] = False
    input_dtype: ClassVar[str | None] = "float32"  # number type of the inputs, None for any that are alike

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: tuple[str, ...] = ()
    when: Schedule = EVERY_STEP

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        """Check everything about this operation and return the type of each output.

        Raises
        ------
        MalformedModelError
            A count, shape or attribute is wrong; the message begins with the operation's name.
        """
        raise self.malformed("has no shape rule")

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        """Elements of each state field, by field name. Called only after `infer` found the weights in order."""
        return {}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        """Number type and scale that each state field must have, by field name."""
        return dict.fromkeys(self.state_fields, ("float32", None))

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        """Multiply-accumulates of the matrix products in one step."""
        return 0

    def weight_names(self) -> tuple[str, ...]:
        """Names of the weights that this operation reads."""
        return tuple(name for field in self.weight_fields if (name := getattr(self, field)) is not None)

    def regions(self, weights: Weights) -> tuple[tuple[StateRegion, int], ...]:
        """State regions that this operation reads or writes, each with its number of elements."""
        return tuple((getattr(self, field), size) for field, size in self.state_sizes(weights).items())

    # what the rules of the subclasses have in common

    def expect_dtypes(self, inputs: tuple[Value, ...]) -> None:
        """Check the number type of every input; where any is good, all must be alike, their scales too."""
        for name, value in zip(self.inputs, inputs, strict=True):
            if self.input_dtype not in (None, value.dtype):
                raise self.malformed(f"input {name} is {value.dtype}, it must be {self.input_dtype}")
            if self.input_dtype is None and (value.dtype, value.scale) != (inputs[0].dtype, inputs[0].scale):
                raise self.malformed(f"input {name} is {value.dtype} of scale {value.scale}, unlike {self.inputs[0]}")

    def malformed(self, complaint: str) -> MalformedModelError:
        """The error for something wrong with this operation."""
        return MalformedModelError(f"operation {self.name} ({type(self).__name__}): {complaint}")

    def expect_counts(self, *, inputs: int, outputs: int) -> None:
        """Check how many inputs and outputs are connected."""
        for what, have, need in (("inputs", len(self.inputs), inputs), ("outputs", len(self.outputs), outputs)):
            if have != need:
                raise self.malformed(f"needs {need} {what}, has {have}")

    def weight(self, weights: Weights, name: str, ndim: int, dtype: str = "float32") -> NDArray[Any]:
        """The weight called `name`, checked to have `ndim` axes and number type `dtype`."""
        if name not in weights:
            raise self.malformed(f"weight {name} is missing")
        array = weights[name]
        if array.ndim != ndim or array.dtype != dtype:
            raise self.malformed(
                f"weight {name} is {array.dtype} with {array.ndim} axes, it must be {dtype} with {ndim}"
            )
        return array

    def expect_shape(self, array: NDArray[Any], name: str, shape: Shape) -> None:
        """Check the exact shape of a weight."""
        if array.shape != shape:
            raise self.malformed(f"weight {name} has shape {array.shape}, it must be {shape}")
