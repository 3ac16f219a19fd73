"""Operations that move numbers without changing them, and explicit reads and writes of state."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

import msgspec

from edgernn.program.operations.base import MAX_ELEMENTS, Operation, Value, Weights
from edgernn.program.operations.declaration import (
    Attribute,
    Operand,
    Operands,
    Shape,
    Sizes,
    State,
    StateRegion,
    Weight,
)


class Rearrange(Operation, frozen=True, kw_only=True):
    """``y.flat = concatenate(inputs, each flattened)[indices]``, shaped as `shape`.

    The one form of Concat, Slice, Split, Gather by constants, Transpose, Expand and Reshape inside a step. `indices` is
    an int32 weight with as many elements as the output; absent, the inputs are laid end to end as they are.
    """

    input_ports: ClassVar[Operands] = (Operand("x", dtype=None, many=True),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*shape",), dtype=None),)

    shape: Shape
    indices: Annotated[str | None, Weight(("*indices",), "int32")] = None

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        self._expect_counts()
        return self.weight_sizes(weights)  # inputs have any shapes

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if any(extent < 1 for extent in self.shape) or prod(self.shape) > MAX_ELEMENTS:
            raise self.malformed(f"shape {self.shape} is empty or too large")
        available, size = sum(value.size for value in inputs), prod(self.shape)
        if self.indices is None:
            if size != available:
                raise self.malformed(f"shape {self.shape} has {size} elements, the inputs have {available}")
        else:
            indices = weights[self.indices]
            self.expect_shape(indices, self.indices, (size,))
            if indices.min() < 0 or indices.max() >= available:
                raise self.malformed(f"weight {self.indices} points outside the {available} elements of the inputs")


class ReadState(Operation, frozen=True, kw_only=True):
    """The content that a state has at this point of the step, shaped as `shape`.

    That is what it held when the step began, or, after a recurrent cell that owns it, the cell's new state. With
    `latched` it comes after a WriteState, whose last value it is, also in steps in which nothing is written. `dtype`
    and `scale` are the state's; of an int32 state with a scale the high half is read, as int16, or with `all_bits` all.
    """

    output_ports: ClassVar[Operands] = (
        Operand("target", ("*shape",), Attribute("read_dtype"), Attribute("read_scale")),
    )

    region: Annotated[StateRegion, State(Attribute("dtype"), ("*shape",), Attribute("scale"), changes=False)]
    shape: Shape
    latched: bool = msgspec.field(default=False, name="held")  # the file's name
    dtype: str = "float32"
    scale: float | None = None
    all_bits: bool | msgspec.UnsetType = msgspec.UNSET  # not in files that do without: they keep their hash

    @property
    def reads_high(self) -> bool:
        """Whether it reads the high halves of a state."""
        return self.dtype == "int32" and self.scale is not None and not self.all_bits

    @property
    def read_dtype(self) -> str:
        """Number type of the value."""
        return "int16" if self.reads_high else self.dtype

    @property
    def read_scale(self) -> float | None:
        """Scale of the value."""
        return self.scale * 65536 if self.reads_high and self.scale is not None else self.scale

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if any(extent < 1 for extent in self.shape) or prod(self.shape) > MAX_ELEMENTS:
            raise self.malformed(f"shape {self.shape} is empty or too large")


class WriteState(Operation, frozen=True, kw_only=True):
    """Makes a value, flattened, the state's content for the next step. Writes come after all reads of the region.

    With `begins` it is the other way round: the state is reset in this step, and what follows goes on from there.
    """

    input_ports: ClassVar[Operands] = (Operand("source", ("*shape",), dtype=None),)

    region: Annotated[StateRegion, State(Attribute("dtype"), ("size",), Attribute("scale"))]
    size: int
    begins: bool = False
    dtype: str = "float32"
    scale: float | None = None

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if inputs[0].size != self.size:
            raise self.malformed(f"input {self.inputs[0]} has {inputs[0].size} elements, the state region {self.size}")
        if (inputs[0].dtype, inputs[0].scale) != (self.dtype, self.scale):
            raise self.malformed(f"input {self.inputs[0]} is {inputs[0].dtype} of scale {inputs[0].scale}")


class ConstantValue(Operation, frozen=True, kw_only=True, tag="Constant"):  # the file's name
    """A weight as a value."""

    output_ports: ClassVar[Operands] = (Operand("y", dtype=Attribute("dtype"), scale=Attribute("scale")),)

    weight_name: Annotated[str, Weight(("*size",), Attribute("dtype"))]
    dtype: str = "float32"
    scale: float | None = None


class Lookup(Operation, frozen=True, kw_only=True):
    """``y = table[id]``: a row of the weight `table` (rows, *row) for each int32 id. Source: ONNX Gather.

    An id below 0 counts from the end; one outside of the table is taken as the nearest row, and a Runner refuses it
    before it touches a state where it comes from an input.
    """

    input_ports: ClassVar[Operands] = (Operand("ids", ("*ids",), "int32"),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*ids", "*row"), Attribute("dtype"), Attribute("scale")),)

    table: Annotated[str, Weight(("rows", "*row"), Attribute("dtype"))]
    dtype: Literal["float32", "int16"] = "float32"  # of the table
    scale: float | None = None  # of its integers

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if sizes["ids"] * sizes["row"] > MAX_ELEMENTS:
            raise self.malformed(f"looks up {sizes['ids'] * sizes['row']} numbers")
