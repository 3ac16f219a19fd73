"""What is known of a tensor of the graph: its axes, and either its numbers or where they come from in each step.

Time and batch are followed as *roles*. Each axis of a tensor is a row of factors, and each factor is time, batch or
plain features: a tensor (batch, time, 6) that a Reshape flattens to (batch * time, 6) still knows its time. A step
holds one time index of one batch element, so in `Tensor.elements` factors of time and batch have extent 1, and every
operator that only moves numbers (Transpose, Slice, Concat, ...) moves `elements`, whatever they are:

- of a `Constant` they are its numbers, or unknown extents (`Dimension`) where Shape read them;
- of a `Signal` they are indices into the values of the step program that its `bases` name, laid end to end.

So a chain of such operators costs nothing, and only what an arithmetic operator reads becomes a Rearrange.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError
from edgernn.importers.onnx.streams.dimension import BATCH, Dimension, Extent, divide, product
from edgernn.importers.onnx.streams.timing import EVERY_FRAME, NeedsWindowError, Timing
from edgernn.program.operations import MAX_ELEMENTS

MAX_STEP_ELEMENTS = 1 << 22  # of one tensor in one step
MAX_RANK = 32  # NumPy allows 64


class Role(Enum):
    """What the numbers along a factor of an axis are."""

    FEATURE = "features"
    TIME = "time"
    BATCH = "batch"


@dataclass(frozen=True)
class Factor:
    """A part of an axis with one role; an extent of 1 is never written, unless it is not known to be one."""

    role: Role
    extent: Extent


Axis: TypeAlias = tuple[Factor, ...]


def features(extent: int) -> Axis:
    """An axis of plain features."""
    return () if extent == 1 else (Factor(Role.FEATURE, extent),)


def axis_of(extent: Extent) -> Axis:
    """An axis for an extent that Shape gave: unknown lengths keep their role."""
    if not isinstance(extent, Dimension):
        return features(extent)
    axis: Axis = ()
    while (rest := divide(extent, BATCH)) is not None:
        axis, extent = (*axis, Factor(Role.BATCH, BATCH)), rest
    if not isinstance(extent, Dimension):
        return axis + features(extent)
    if not extent.is_time:
        raise MalformedModelError(f"a tensor has the extent {extent}, which is no product of time and batch")
    return (*axis, Factor(Role.TIME, extent // extent.content), *features(extent.content))


def extent_of(axis: Axis) -> Extent:
    """Extent in the graph."""
    return product(factor.extent for factor in axis)


def width_of(axis: Axis) -> int:
    """Extent within one step."""
    return prod(factor.extent for factor in axis if factor.role is Role.FEATURE and isinstance(factor.extent, int))


def has_role(axis: Axis, role: Role) -> bool:
    """Whether a factor of the axis has the role."""
    return any(factor.role is role for factor in axis)


def is_features(axis: Axis) -> bool:
    """Whether the axis lies wholly within one step."""
    return all(factor.role is Role.FEATURE for factor in axis)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph; ``elements.shape`` is the width of each axis."""

    axes: tuple[Axis, ...]
    elements: NDArray[Any]

    def __post_init__(self) -> None:
        assert self.elements.shape == tuple(width_of(axis) for axis in self.axes)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def extents(self) -> tuple[Extent, ...]:
        """Shape in the graph."""
        return tuple(extent_of(axis) for axis in self.axes)

    def moved(self, axes: tuple[Axis, ...], elements: NDArray[Any]) -> Self:
        """The same numbers in another order, or some of them."""
        return replace(self, axes=axes, elements=elements)

    def reversed_axis(self, axis: int) -> int:
        """`axis` from 0 to rank - 1; negative ones count from the end."""
        if not -self.rank <= axis < self.rank:
            raise MalformedModelError(f"axis {axis} does not exist in a tensor of {self.rank} axes")
        return axis % self.rank

    def find(self, role: Role) -> int | None:
        """The first axis with a factor of that role."""
        return next((i for i, axis in enumerate(self.axes) if has_role(axis, role)), None)


@dataclass(frozen=True, eq=False)
class Constant(Tensor):
    """A tensor that depends on no input; along an axis of time or batch (Expand makes such) it is the same throughout.

    `name` is the initializer's, and helps to name weights.
    """

    name: str = ""

    @classmethod
    def of(cls, array: NDArray[Any], name: str = "") -> Constant:
        """A constant of plain numbers."""
        return cls(tuple(features(extent) for extent in array.shape), array, name)


@dataclass(frozen=True, eq=False)
class Signal(Tensor):
    """A tensor that has new numbers in each step, or whenever its `timing` says."""

    is_known: ClassVar[bool] = True  # whether its numbers are those of the values that it is based on

    bases: tuple[str, ...] = field(kw_only=True)
    timing: Timing = field(kw_only=True, default=EVERY_FRAME)

    @classmethod
    def of(cls, base: str, axes: tuple[Axis, ...], timing: Timing = EVERY_FRAME) -> Signal:
        """All of the value `base` in its own order."""
        shape = tuple(width_of(axis) for axis in axes)
        check_step_shape(shape, base)
        return cls(axes, np.arange(prod(shape)).reshape(shape), bases=(base,), timing=timing)

    def unknown(self) -> NeedsWindowError:
        """Why its numbers are not known."""
        return NeedsWindowError("a softmax over time is used by something other than a sum over time")

    @property
    def per_sequence(self) -> bool:
        """Whether it belongs to the whole sequence so far, as a last frame does."""
        return self.timing.per_sequence

    def timed(self, timing: Timing) -> Signal:
        """The same numbers, coming at other steps."""
        return replace(self, timing=timing)


@dataclass(frozen=True, eq=False)
class TimeSoftmax(Signal):
    """A softmax over time: `elements` are of the scores, not of the shares, which nobody knows before the end.

    Only a sum over time can take it (rules/over_time.py).
    """

    is_known: ClassVar[bool] = False

    def scores(self) -> Signal:
        """The scores as they are."""
        return Signal(self.axes, self.elements, bases=self.bases, timing=self.timing)


class TimePairs(Signal):
    """Something for each two frames of a sequence, as scores of attention are; see rules/attention_ring.py."""

    is_known: ClassVar[bool] = False


@dataclass(frozen=True, eq=False)
class Frames(Tensor):
    """A sequence of tensors that a loop collects: `item` is that of each iteration, `count` the number of iterations.

    Of a loop that is over and did not run over time, `rows` holds the items of all iterations, along its first axis.
    """

    item: Tensor | None = None
    count: Extent | None = None
    rows: Signal | None = None


def check_step_shape(shape: tuple[int, ...], where: str) -> None:
    """Refuse what no step on a small machine can hold."""
    if len(shape) > MAX_RANK or prod(shape) > MAX_STEP_ELEMENTS:
        raise MalformedModelError(
            f"{where} has shape {shape} in one step, the most is {MAX_STEP_ELEMENTS} numbers in {MAX_RANK} axes"
        )


def check_constant_shape(shape: tuple[int, ...], where: str) -> None:
    """Refuse a constant that would fill the memory."""
    if len(shape) > MAX_RANK or prod(shape) > MAX_ELEMENTS or min(shape, default=0) < 0:
        raise MalformedModelError(
            f"{where} makes a tensor of shape {shape}, the most is {MAX_ELEMENTS} numbers in {MAX_RANK} axes"
        )
