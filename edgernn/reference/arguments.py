"""The arguments of an operation's reference function: found by their names in what the operation declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import Any, TypeAlias

from numpy.typing import NDArray

from edgernn.program.operations import Operation, StateRegion
from edgernn.program.program import Program

Array: TypeAlias = NDArray[Any]
Reference: TypeAlias = Callable[..., Any]  # the output of an operation, or a tuple of them; changes states in place


@cache
def _parameters(function: Reference) -> tuple[str, ...]:
    return tuple(signature(function).parameters)


class Arguments:
    """What reference functions may ask for, by the names of their parameters.

    An input by its port's name; a weight by its field, None where it is absent; a state by its field, a flat view that
    the function changes; an attribute as it is. Besides: `inputs`, all of them; `weights`, all of the program;
    `output_shape`, of the first output; `input_scale`, of the first input; and what the runner adds.

    Parameters
    ----------
    program : Program
    weights : mapping of str to ndarray
        The program's weights in the number types of the reference.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self._program = program
        self._weights = weights

    def call(
        self, function: Reference, operation: Operation, inputs: list[Array], state: Mapping[str, Array], **added: Any
    ) -> tuple[Array, ...]:
        """The outputs of an operation by its reference function."""
        ports = {port.name: x for port, x in zip(operation.input_ports, inputs, strict=False)}
        known: dict[str, Any] = {**ports, "inputs": inputs, "weights": self._weights, **added}
        arguments = {
            name: known[name] if name in known else self._declared(operation, name, state)
            for name in _parameters(function)
        }
        result = function(**arguments)
        return result if isinstance(result, tuple) else (result,)

    def _declared(self, operation: Operation, name: str, state: Mapping[str, Array]) -> Any:
        if name in operation.state_fields:
            size = operation.state_sizes(self._program.weights)[name]
            return region(state, getattr(operation, name), size)
        if name in operation.weight_fields:
            weight = getattr(operation, name)
            return None if weight is None else self._weights[weight]
        if name == "output_shape":
            return self._program.values[operation.outputs[0]].shape
        if name == "scale" and not hasattr(operation, name):
            return self._program.values[operation.inputs[0]].scale
        return getattr(operation, name)


def region(state: Mapping[str, Array], place: StateRegion, size: int) -> Array:
    """A view of a region's elements, flat."""
    flat: Array = state[place.slot].reshape(-1)[place.offset : place.offset + size]
    return flat
