"""A float program with its channels divided by factors: the same function, with other weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    AnyOperation,
    Binary,
    DelayLine,
    Dense,
    GroupedDense,
    LayerNorm,
    Lookup,
    RecurrentOperation,
    RunningReduce,
)
from edgernn.program.program import Program
from edgernn.program.trees import nested
from edgernn.quantizer.channels import takes_up

Array: TypeAlias = NDArray[Any]
Divisor: TypeAlias = Callable[[str], Array]  # of a value: what each of its numbers is divided by, of its shape


def divided(program: Program, divisor: Divisor) -> Program:
    """The same function: weights take up what the values are divided by; `factors` say how to get the model's numbers.

    Parameters
    ----------
    program : Program
    divisor : callable
        The divisors of a value, above 0, that agree with the ties which `find_channels` found.
    """
    weights, operations = dict(program.weights), []
    factors = _Factors(program)
    slots = {slot.name: slot for slot in program.state}
    for operation in program.operations:
        changed = {field: array.astype(np.float32) for field, array in _changes(operation, program, divisor)}
        names: dict[str, Any] = {field: _free_name(f"{operation.name}/{field}:equalised", program) for field in changed}
        weights |= {names[field]: array for field, array in changed.items()}
        operations.append(msgspec.structs.replace(operation, **names))
        region = _kept(operation)
        if region is not None and (name := factors.name(divisor(operation.inputs[0]).ravel())) is not None:
            slots[region] = msgspec.structs.replace(slots[region], factors=name)
    values = {value: factors.name(_repeated(divisor(value))) for value in program.values}
    description = msgspec.structs.replace(
        program.description,
        operations=nested(operations, program.graph.loops),
        state=tuple(slots.values()),
        factors={value: name for value, name in values.items() if name is not None},
    )
    return Program(description, weights | factors.weights)


class _Factors:
    """Weights that hold divisors, each pattern of them once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._names: dict[tuple[tuple[int, ...], bytes], str] = {}
        self.weights: dict[str, Array] = {}

    def name(self, divisor: Array) -> str | None:
        """The name of the weight; None where there is nothing to divide."""
        if (divisor == 1.0).all():
            return None
        key = (divisor.shape, divisor.tobytes())
        if key not in self._names:
            self._names[key] = name = _free_name(f"factors/{len(self._names)}", self._program)
            self.weights[name] = divisor.astype(np.float32)
        return self._names[key]


def _free_name(name: str, program: Program) -> str:
    while name in program.weights:
        name += "'"
    return name


def _kept(operation: AnyOperation) -> str | None:
    """The state that holds numbers as an operation reads them."""
    match operation:
        case DelayLine():
            return operation.ring.slot
        case RunningReduce():
            return operation.total.slot
    return None


def _changes(operation: AnyOperation, program: Program, divisor: Divisor) -> list[tuple[str, Array]]:
    """Fields of an operation whose weights change, and what they become."""
    if not operation.weight_fields:
        return []
    fields = {field: getattr(operation, field) for field in operation.weight_fields}
    arrays = {
        field: program.weights[name].astype(np.float64)
        for field, name in fields.items()
        if name is not None and program.weights[name].dtype == np.float32
    }
    x = divisor(operation.inputs[0]) if operation.inputs else np.ones(1)
    changes = _changed(operation, arrays, x, divisor(operation.outputs[0]))
    return [(field, array) for field, array in changes.items() if not np.array_equal(array, arrays[field])]


def _changed(operation: AnyOperation, arrays: Mapping[str, Array], x: Array, y: Array) -> dict[str, Array]:
    """What the weights of an operation become; x and y are the divisors of its input and its output."""
    match operation:
        case Dense():
            W = arrays["W"]  # (outputs, inputs)
            column, row = x.reshape(-1, W.shape[1])[0], y.reshape(-1, W.shape[0])[0]
            return {"W": W * column / row[:, None]} | _each(arrays, ("B",), row)
        case GroupedDense():
            W = arrays["W"]  # (outputs, inputs, groups)
            column, row = x.reshape(-1, *W.shape[1:])[0], y.reshape(-1, W.shape[0], W.shape[2])[0]
            return {"W": W * column / row[:, None]} | _each(arrays, ("B",), row)
        case RecurrentOperation():
            return {"W": arrays["W"] * x}
        case LayerNorm():
            return _each(arrays, ("scale", "bias"), y.reshape(-1, y.shape[-1])[0])
        case Lookup():
            return _each(arrays, ("table",), y.reshape(-1, *arrays["table"].shape[1:])[0])
        case Binary() if operation.constant is not None:
            return {"constant": _constant(operation, arrays["constant"], x, y)}
    return {}


def _each(arrays: Mapping[str, Array], fields: tuple[str, ...], row: Array) -> dict[str, Array]:
    return {field: arrays[field] / row for field in fields if field in arrays}


def _constant(operation: Binary, constant: Array, x: Array, y: Array) -> Array:
    if takes_up(operation, constant, y.shape[-1] if y.ndim else 1):
        ratio = x / y if operation.function == "Mul" else y / x
    elif operation.function in ("Add", "Sub"):
        ratio = 1 / y
    else:
        return constant
    return _as_small(constant * ratio, constant)


def _as_small(array: Array, constant: Array) -> Array:
    """An array in the shape of the constant that it was made of, as far as its numbers are the same along an axis."""
    for axis, extent in enumerate((1,) * (array.ndim - constant.ndim) + constant.shape):
        first = array.take([0], axis)
        if extent == 1 and (array == first).all():
            array = first
    while array.ndim > constant.ndim and array.shape[0] == 1:
        array = array[0]
    return array


def _repeated(divisor: Array) -> Array:
    """Divisors without axes in front along which they are the same."""
    while divisor.ndim > 1 and (divisor == divisor[:1]).all():
        divisor = divisor[0]
    return divisor
