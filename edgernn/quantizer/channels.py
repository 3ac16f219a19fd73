"""Which numbers of a step can be divided by a factor, and which of them only together.

A *channel* is a set of elements of values that are tied to each other: by weights that read or write them at several
places, by a sum, a pooling, a delay. Dividing all of them by a positive number leaves the function as it is, once the
rows of weights that write them are divided by it, too, and the columns that read them multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.operations import (
    AnyOperation,
    Binary,
    ConstantValue,
    DelayLine,
    Dense,
    GroupedDense,
    LayerNorm,
    Lookup,
    PutFrame,
    Rearrange,
    RecurrentOperation,
    Reduce,
    Repeat,
    RunningReduce,
    StateRegion,
    TakeFrame,
    Unary,
    Where,
)
from edgernn.program.program import Program

Array: TypeAlias = NDArray[Any]

FIXED = -1  # the channel of numbers that must stay as they are
HOMOGENEOUS = {"Relu", "LeakyRelu", "Abs", "Neg"}  # functions with f(x / s) = f(x) / s for every s > 0


def find_channels(program: Program, keep_float: Iterable[str]) -> dict[str, Array]:
    """The channel of each element of each value, an array of the value's shape; `FIXED` where it has none.

    Inputs, outputs, what operations in `keep_float` read and write, states that are read or written by name, and all
    that an operation reads which is not known to let a factor through stay as they are; so do the rows and columns of
    weights that are integers on a grid already.
    """
    return _Ties(program, set(keep_float)).channels()


def merge(size: int, a: Array, b: Array) -> Array:
    """The smallest member of each node's set, (size,), where each of the nodes `a` is in one set with that of `b`.

    Examples
    --------
    >>> merge(5, np.array([1, 4]), np.array([4, 3]))
    array([0, 1, 2, 1, 1])
    """
    label = np.arange(size)
    while ((first := label[a]) != (second := label[b])).any():
        smaller = np.minimum(first, second)
        np.minimum.at(label, first, smaller)
        np.minimum.at(label, second, smaller)
        while (label[label] != label).any():
            label = label[label]
    return label


def takes_up(operation: Binary, constant: Array, channels: int) -> bool:
    """Whether a constant is itself a factor for each of the channels, so that those of both its sides are free."""
    is_divisor = operation.function == "Div" and operation.constant_side == "right" and bool(constant.all())
    return (operation.function == "Mul" or is_divisor) and constant.shape[-1:] == (channels,) and channels > 1


class _Ties:
    """Every element of every value is a node; one use."""

    def __init__(self, program: Program, keep_float: set[str]) -> None:
        self._program, self._keep_float = program, keep_float
        starts = np.cumsum([0, *(value.size for value in program.values.values())])
        self._nodes = {
            name: np.arange(start, start + value.size).reshape(value.shape)
            for start, (name, value) in zip(starts[:-1], program.values.items(), strict=True)
        }
        self._stays = np.zeros(int(starts[-1]), bool)
        self._pairs: list[tuple[Array, Array]] = []
        self._users: dict[str, int] = {}  # how many operations use a state
        for operation in program.operations:
            for region, _ in operation.regions(program.weights):
                self._users[region.slot] = self._users.get(region.slot, 0) + 1

    def channels(self) -> dict[str, Array]:
        description = self._program.description
        for name in (*(port.name for port in description.inputs), *(output.value for output in description.outputs)):
            self._stays[self._nodes[name]] = True
        for operation in self._program.operations:
            inputs = [self._nodes[name] for name in operation.inputs]
            outputs = [self._nodes[name] for name in operation.outputs]
            if operation.name in self._keep_float or not self._tie(operation, inputs, outputs):
                self._leave(*inputs, *outputs)
        a, b = (np.concatenate([pair[side] for pair in self._pairs] or [np.zeros(0, np.int64)]) for side in (0, 1))
        label = merge(len(self._stays), a, b)
        stays = np.zeros_like(self._stays)
        stays[label[self._stays]] = True
        label = np.where(stays[label], FIXED, label)
        return {name: label[nodes] for name, nodes in self._nodes.items()}

    def _leave(self, *values: Array) -> None:
        for nodes in values:
            self._stays[nodes] = True

    def _join(self, a: Array, b: Array) -> None:
        a, b = np.broadcast_arrays(a, b)
        self._pairs.append((a.ravel(), b.ravel()))

    def _join_rows(self, axes: int, *values: Array) -> None:
        """Weights are the same for all places along the axes in front of the last `axes`."""
        for nodes in values:
            rows = nodes.reshape(-1, *nodes.shape[nodes.ndim - axes :])
            self._join(rows[1:], rows[:1])

    def _tie(self, operation: AnyOperation, inputs: Sequence[Array], outputs: Sequence[Array]) -> bool:
        """Join what an operation ties; False if nothing that it reads or writes can be divided."""
        weights = self._program.weights
        match operation:
            case Dense():
                self._join_rows(1, inputs[0], outputs[0])
                return _is_real(weights[operation.W])
            case GroupedDense():
                self._join_rows(2, inputs[0], outputs[0])
                W = weights[operation.W]
                return _is_real(W.transpose(0, 2, 1).reshape(-1, W.shape[1]))
            case RecurrentOperation():
                self._leave(*outputs)
                return _is_real(weights[operation.W])
            case LayerNorm():
                self._leave(*inputs)
                self._join_rows(1, *outputs)
                return operation.scale is not None
            case Lookup():
                self._leave(*inputs)
                self._join_rows(weights[operation.table].ndim - 1, *outputs)
            case Unary() | Where() | Binary():
                return self._tie_elements(operation, inputs, outputs[0])
            case Reduce():
                axis, shape = operation.axis, inputs[0].shape
                self._join(inputs[0], outputs[0].reshape(*shape[:axis], 1, *shape[axis + 1 :]))
                return operation.function != "Prod"
            case RunningReduce():
                self._join(*inputs, *outputs)
                return self._is_zero(operation.total, operation.size)
            case DelayLine():
                self._join(*inputs, *outputs)
                return operation.fill == 0.0 and self._is_zero(operation.ring, operation.length * operation.size)
            case _:
                return self._tie_movement(operation, inputs, outputs)
        return True

    def _tie_movement(self, operation: AnyOperation, inputs: Sequence[Array], outputs: Sequence[Array]) -> bool:
        """Operations that move numbers inside of a step."""
        match operation:
            case Rearrange():
                parts = np.concatenate([nodes.ravel() for nodes in inputs])
                chosen = parts if operation.indices is None else parts[self._program.weights[operation.indices]]
                self._join(chosen.reshape(operation.shape), outputs[0])
            case TakeFrame():
                self._join(inputs[0].reshape(-1, *outputs[0].shape), outputs[0])
            case PutFrame():
                self._join(*inputs, *outputs)
            case ConstantValue():  # zeros are zeros in any unit
                self._leave(outputs[0][self._program.weights[operation.weight_name] != 0])
            case Repeat():
                pass
            case _:
                return False
        return True

    def _tie_elements(self, operation: Unary | Where | Binary, inputs: Sequence[Array], y: Array) -> bool:
        """Functions of each element by itself."""
        if isinstance(operation, Binary) and operation.constant is not None:
            return self._tie_constant(operation, self._program.weights[operation.constant], inputs[0], y)
        if isinstance(operation, Where):
            self._leave(inputs[0])
            inputs = inputs[1:]
        for x in inputs:
            self._join(x, y)
        if isinstance(operation, Unary):
            return operation.function in HOMOGENEOUS
        return isinstance(operation, Where) or operation.function in ("Add", "Sub", "Min", "Max")

    def _tie_constant(self, operation: Binary, constant: Array, x: Array, y: Array) -> bool:
        if takes_up(operation, constant, y.shape[-1] if y.ndim else 1):
            number = np.broadcast_to(np.arange(constant.size).reshape(constant.shape), y.shape).ravel()
            first = np.unique(number, return_index=True)[1][number]  # the first place that has the same constant
            for nodes in (np.broadcast_to(x, y.shape).ravel(), y.ravel()):
                self._join(nodes, nodes[first])
            return True
        self._join(x, y)
        match operation.function:
            case "Add" | "Sub" | "Mul":
                return True
            case "Min" | "Max":
                return not constant.any()
            case "Div":
                return operation.constant_side == "right"
        return False

    def _is_zero(self, region: StateRegion, size: int) -> bool:
        """Whether a state belongs to one operation alone and begins with zeros."""
        slot = next(slot for slot in self._program.state if slot.name == region.slot)
        begins = None if slot.initial is None else self._program.weights[slot.initial]
        return slot.size == size and self._users[region.slot] == 1 and (begins is None or not begins.any())


def _is_real(rows: Array) -> bool:
    """Whether weights are no integers on a grid, from which a factor would take them; a single number is on any."""
    several = np.count_nonzero(rows, axis=1) > 1
    return not fixed_point.grid_scale(rows[several].astype(np.float64)).any()
