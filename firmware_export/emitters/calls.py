"""Arguments of the runtime's C functions: found by their names in what an operation declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from edgernn.program.operations import Operation
from edgernn.program.program import Program
from firmware_export.emitters.c_loops import count
from firmware_export.packing import scale_words
from firmware_export.step import StepWriter


class Emitter(NamedTuple):
    """`write` returns the C lines of an operation, `temporaries` the arrays that it needs while it runs."""

    write: Callable[[StepWriter, Any], list[str]]
    temporaries: Callable[[Program, Any], list[tuple[str, int]]] = lambda program, operation: []


def arguments(step: StepWriter, operation: Operation, names: str) -> str:
    """The C arguments with these names, in the order of a C function's parameters.

    An input or an output is a pointer to its elements, a state to its region; a size is checked to have 16 bits, an
    attribute is its number. ``scale`` is the word of the operation's multiplier and shift.
    """
    sizes = operation.sizes(tuple(step.value(name) for name in operation.inputs), step.program.weights)
    places = {port.name: name for port, name in zip(operation.input_ports, operation.inputs, strict=False)}
    places |= {port.name: name for port, name in zip(operation.output_ports, operation.outputs, strict=False)}

    def argument(name: str) -> str:
        if name in places:
            return step.place(places[name])
        if name in operation.state_fields:
            return step.state(getattr(operation, name))
        if name == "scale":
            return str(scale_word(operation))
        if name in sizes and name not in operation.__struct_fields__:
            return count(sizes[name], f"{operation.name}: an axis")
        number = int(getattr(operation, name))
        return count(number, f"{operation.name}: its {name}") if name in SIZES else str(number)

    return ", ".join(map(argument, names.split()))


SIZES = {"size", "groups"}  # attributes that C functions take in 16 bits


def scale_word(operation: Any) -> int:
    """Multiplier and shift of an operation in one word."""
    return int(scale_words(np.array([operation.multiplier]), np.array([operation.shift]))[0])
