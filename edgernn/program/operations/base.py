"""What all step operations have in common: named values in, named values out, weights, and regions of state.

A subclass declares its inputs and outputs (`input_ports`, `output_ports`) and, in the annotations of its fields, its
weights and states: ``W: Annotated[str, Weight(("output_size", "input_size"))]``. Validation, memory, instructions, the
reference's and the emitters' arguments follow from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import prod
from typing import Any, ClassVar, TypeAlias, TypeVar, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError
from edgernn.program.operations.declaration import Operand, Operands, Shape, Sizes, State, StateRegion, Weight, resolved
from edgernn.program.operations.schedule import EVERY_STEP, Schedule

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

    input_ports: ClassVar[Operands] = ()
    output_ports: ClassVar[Operands] = ()

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: tuple[str, ...] = ()
    when: Schedule = EVERY_STEP

    # what follows from the declaration

    @property
    def weight_fields(self) -> tuple[str, ...]:
        """Fields that hold the name of a weight, or None."""
        return tuple(declared(type(self), Weight))

    @property
    def state_fields(self) -> tuple[str, ...]:
        """Fields that hold a StateRegion."""
        return tuple(declared(type(self), State))

    @property
    def changes_state(self) -> bool:
        """Whether it writes into a state."""
        return any(state.changes for state in declared(type(self), State).values())

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        """Check everything about this operation and return the type of each output.

        Raises
        ------
        MalformedModelError
            A count, shape or attribute is wrong; the message begins with the operation's name.
        """
        sizes = self.sizes(inputs, weights)
        self.check(inputs, weights, sizes)
        return tuple(self._result(port, inputs, sizes) for port in self.output_ports)

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        """Check what no declaration says."""

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        """The extents of all symbols, after checking counts and shapes of inputs and weights."""
        self._expect_counts()
        sizes = self.weight_sizes(weights)
        for port, name, value in zip(self._ports_of_inputs(), self.inputs, inputs, strict=True):
            if not sizes.fit(port.shape, value.shape):
                raise self.malformed(f"input {name} has shape {value.shape}, it must be {sizes.text(port.shape)}")
        return sizes

    def weight_sizes(self, weights: Weights) -> Sizes:
        """The extents of the symbols that attributes and weights fix."""
        sizes = Sizes(self)
        for field, weight in declared(type(self), Weight).items():
            name = getattr(self, field)
            if name is None:
                continue
            array = self.weight(weights, name, resolved(self, weight.dtype))
            if not sizes.fit(weight.shape, array.shape):
                needed = sizes.text(weight.shape)
                raise self.malformed(f"weight {name} as {field} has shape {array.shape}, it must be {needed}")
            if not array.size:
                raise self.malformed(f"weight {name} is empty")
        return sizes

    def state_sizes(self, weights: Weights) -> dict[str, int]:
        """Elements of each state field, by field name. Called only after `infer` found the weights in order."""
        sizes = self.weight_sizes(weights)
        return {field: sizes.size(state.shape) for field, state in declared(type(self), State).items()}

    def state_values(self) -> dict[str, tuple[str, float | None]]:
        """Number type and scale that each state field must have, by field name."""
        return {
            field: (resolved(self, state.dtype), resolved(self, state.scale))
            for field, state in declared(type(self), State).items()
        }

    def _ports_of_inputs(self) -> tuple[Operand, ...]:
        """The port of each input."""
        ports = self.input_ports
        return ports + ports[-1:] * (len(self.inputs) - len(ports)) if ports and ports[-1].many else ports

    def _result(self, port: Operand, inputs: tuple[Value, ...], sizes: Sizes) -> Value:
        shape = sizes.shape(port.shape)
        if port.dtype is None:
            return Value(shape, inputs[0].dtype, inputs[0].scale)
        return Value(shape, resolved(self, port.dtype), resolved(self, port.scale))

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
        for port, name, value in zip(self._ports_of_inputs(), self.inputs, inputs, strict=False):
            if port.dtype not in (None, value.dtype):
                raise self.malformed(f"input {name} is {value.dtype}, it must be {port.dtype}")
            if port.dtype is None and (value.dtype, value.scale) != (inputs[0].dtype, inputs[0].scale):
                raise self.malformed(f"input {name} is {value.dtype} of scale {value.scale}, unlike {self.inputs[0]}")

    def malformed(self, complaint: str) -> MalformedModelError:
        """The error for something wrong with this operation."""
        return MalformedModelError(f"operation {self.name} ({type(self).__name__}): {complaint}")

    def _expect_counts(self) -> None:
        """Check how many inputs and outputs are connected."""
        needed = (len(self._ports_of_inputs()), len(self.output_ports))
        for what, have, need in zip(("inputs", "outputs"), (len(self.inputs), len(self.outputs)), needed, strict=True):
            if have != need:
                raise self.malformed(f"needs {need} {what}, has {have}")

    def weight(self, weights: Weights, name: str, dtype: str = "float32") -> NDArray[Any]:
        """The weight called `name`, checked to have number type `dtype`."""
        if name not in weights:
            raise self.malformed(f"weight {name} is missing")
        array = weights[name]
        if array.dtype != dtype:
            raise self.malformed(f"weight {name} is {array.dtype}, it must be {dtype}")
        return array

    def broadcast(self, *shapes: Shape) -> Shape:
        """The shape that arrays of these shapes have together."""
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError as error:
            raise self.malformed(f"shapes {shapes[0]} and {shapes[1]} do not broadcast") from error

    def expect_shape(self, array: NDArray[Any], name: str, shape: Shape) -> None:
        """Check the exact shape of a weight."""
        if array.shape != shape:
            raise self.malformed(f"weight {name} has shape {array.shape}, it must be {shape}")


Declared = TypeVar("Declared", Weight, State)


@cache
def declared(operation: type[Operation], kind: type[Declared]) -> dict[str, Declared]:
    """The weights or states that a class declares in the annotations of its fields, in the order of the fields."""
    hints = get_type_hints(operation, include_extras=True)
    found = {
        field: [each for each in getattr(hints[field], "__metadata__", ()) if isinstance(each, kind)]
        for field in operation.__struct_fields__
    }
    return {field: each[0] for field, each in found.items() if each}
