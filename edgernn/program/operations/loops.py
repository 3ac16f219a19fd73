"""A part of a step that is repeated within it: sequences inside a frame, reversed layers in a window, decoders."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from edgernn.program.operations.base import MAX_ELEMENTS, Operation, Shape, Value, Weights

if TYPE_CHECKING:
    from edgernn.program.operations import AnyOperation
else:
    AnyOperation = Operation  # the union of all operations needs this module; program/encoding.py checks the members

MAX_REPEATS = 1 << 20


class Repeat(Operation, frozen=True, kw_only=True):
    """Runs the operations of its `body` `count` times; they know the iteration as the index i, from 0.

    States that the body changes go from one iteration to the next. What an iteration writes into values, the next
    overwrites. A body may hold further Repeats.
    """

    count: int
    body: tuple[AnyOperation, ...] = ()

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=0, outputs=0)
        if not 1 <= self.count <= MAX_REPEATS:
            raise self.malformed(f"repeats its body {self.count} times")
        return ()


class TakeFrame(Operation, frozen=True, kw_only=True):
    """``y = x[i]``, or ``x[len(x) - 1 - i]`` where `reverse`, in round i of the Repeat called `loop`."""

    input_dtype: ClassVar[str | None] = None

    loop: str
    reverse: bool = False

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if len(inputs[0].shape) < 1:
            raise self.malformed(f"input {self.inputs[0]} is a scalar, it needs an axis")
        return (msgspec.structs.replace(inputs[0], shape=inputs[0].shape[1:] or (1,)),)


class PutFrame(Operation, frozen=True, kw_only=True):
    """``y[i] = x``, or ``y[count - 1 - i]`` where `reverse`, in round i of the Repeat called `loop`.

    y has `count` frames and is whole when the rounds are over.
    """

    input_dtype: ClassVar[str | None] = None

    loop: str
    count: int
    reverse: bool = False

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if not 1 <= self.count <= MAX_REPEATS or self.count * inputs[0].size > MAX_ELEMENTS:
            raise self.malformed(f"collects {self.count} frames of {inputs[0].size} numbers")
        return (msgspec.structs.replace(inputs[0], shape=(self.count, *inputs[0].shape)),)


class Constant(Operation, frozen=True, kw_only=True):
    """A weight as a value."""

    weight_fields: ClassVar[tuple[str, ...]] = ("weight_name",)

    weight_name: str
    dtype: str = "float32"
    scale: float | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=0, outputs=1)
        if self.weight_name not in weights:
            raise self.malformed(f"weight {self.weight_name} is missing")
        array = self.weight(weights, self.weight_name, weights[self.weight_name].ndim, self.dtype)
        if not array.size:
            raise self.malformed(f"weight {self.weight_name} is empty")
        return (Value(array.shape, self.dtype, self.scale),)


class Lookup(Operation, frozen=True, kw_only=True):
    """``y = table[id]``: a row of the weight `table` (rows, *row) for each int32 id. Source: ONNX Gather.

    An id below 0 counts from the end; one outside of the table is taken as the nearest row, and a Runner refuses it
    before it touches a state where it comes from an input.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("table",)
    input_dtype: ClassVar[str | None] = "int32"

    table: str
    dtype: Literal["float32", "int16"] = "float32"  # of the table
    scale: float | None = None  # of its integers

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        if self.table not in weights:
            raise self.malformed(f"weight {self.table} is missing")
        table = self.weight(weights, self.table, weights[self.table].ndim, self.dtype)
        if table.ndim < 1 or not table.size:
            raise self.malformed(f"weight {self.table} of shape {table.shape} has no rows")
        shape: Shape = (*inputs[0].shape, *table.shape[1:])
        if prod(shape) > MAX_ELEMENTS:
            raise self.malformed(f"looks up {prod(shape)} numbers")
        return (Value(shape, self.dtype, self.scale),)
