"""Finds states that a step updates linearly: sums of matrices times the old state, other states and other values.

However a graph writes it (products with matrices or constants, sums, slices and joins), the update of a state is
``h' = A h + V x + ... + b``, maybe with a ReLU around it. The matrices are worked out from the operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    AnyOperation,
    Binary,
    Dense,
    ReadState,
    Rearrange,
    Rnn,
    StateRegion,
    Unary,
    WriteState,
)
from edgernn.program.program import Program

Array: TypeAlias = NDArray[Any]

MAX_MATRIX = 1 << 20  # numbers of one that is worked out
LINEAR_RNN = {"Relu": True, "Affine": False}  # activations of cells that are linear, and whether they cut off below 0


class LinearUpdate(NamedTuple):
    """``h' = sum of matrices[v] @ v + bias`` over values v, among them what is read of states; `floor`: max(0, h').

    Attributes
    ----------
    region : StateRegion
    root : str
        The value that is written to the state.
    last : str
        Name of the operation that writes it.
    old : str
        The value that is read of the state before the step.
    matrices : dict
        (size of the state, size of the value) of each value.
    bias : ndarray
        (size of the state,)
    floor : bool
    has_products : bool
        Whether the graph multiplies with matrices.
    skipped : frozenset of str
        Operations that are not needed any more.
    """

    region: StateRegion
    root: str
    last: str
    old: str
    matrices: dict[str, Array]
    bias: Array
    floor: bool
    has_products: bool
    skipped: frozenset[str]


class _Linear(NamedTuple):
    """A value as matrices times values, (*shape, size of the value) each, and a constant of its shape."""

    matrices: dict[str, Array]
    bias: Array

    def mapped(self, change: Any) -> _Linear:
        """The same change of every part; bias gets a last axis for it."""
        matrices = {name: change(matrix) for name, matrix in self.matrices.items()}
        return _Linear(matrices, change(self.bias[..., None])[..., 0])


def find_linear_updates(program: Program, keep_float: Sequence[str]) -> list[LinearUpdate]:
    """Linear updates of whole float states, by graphs that spell them out and by Elman cells without a curve."""
    found = [_of_cell(program, cell) for cell in program.operations if isinstance(cell, Rnn)]
    for write in program.operations:
        if isinstance(write, WriteState) and not write.begins and write.region.offset == 0:
            found.append(_Search(program, write).update())
    return [
        update for update in found if update is not None and not {update.last, *update.skipped}.intersection(keep_float)
    ]


def _users(program: Program, slot: str) -> list[AnyOperation]:
    return [
        operation
        for operation in program.operations
        if any(getattr(operation, field).slot == slot for field in operation.state_fields)
    ]


def _of_cell(program: Program, cell: Rnn) -> LinearUpdate | None:
    gate = cell.activations[0]
    slot = next(slot for slot in program.state if slot.name == cell.h.slot)
    shares = any(other != cell and not isinstance(other, ReadState) for other in _users(program, slot.name))
    if gate.function not in LINEAR_RNN or shares or cell.clip is not None or slot.dtype != "float32":
        return None
    if gate.function == "Affine" and (gate.alpha, gate.beta) != (1.0, 0.0):
        return None
    W, R = (program.weights[name].astype(np.float64) for name in (cell.W, cell.R))
    if slot.size != len(R):
        return None
    B = np.zeros(2 * len(R)) if cell.B is None else program.weights[cell.B].astype(np.float64)
    old = f"{cell.name}.h"
    matrices = {old: R, cell.inputs[0]: W}
    bias = B.reshape(2, -1).sum(axis=0)
    floor = LINEAR_RNN[gate.function]
    return LinearUpdate(cell.h, cell.outputs[0], cell.name, old, matrices, bias, floor, True, frozenset())


class _Search:
    """Works out what is written to one state."""

    def __init__(self, program: Program, write: WriteState) -> None:
        self._program, self._write = program, write
        self._writers = {name: operation for operation in program.operations for name in operation.outputs}
        self._seen: dict[str, _Linear] = {}
        self._expanded: set[str] = set()  # operations that the matrices stand for
        self._has_products = False

    def update(self) -> LinearUpdate | None:
        """The update; None where it is not linear in the old state."""
        region, root = self._write.region, self._program.graph.unshaped(self._write.inputs[0])
        slot = next(slot for slot in self._program.state if slot.name == region.slot)
        users = _users(self._program, slot.name)
        reads = [operation for operation in users if isinstance(operation, ReadState) and not operation.latched]
        if len(users) != len(reads) + 1 or not reads or slot.size != self._write.size or slot.dtype != "float32":
            return None
        last = self._writers.get(root)
        if not isinstance(last, Binary | Dense | Unary | Rearrange) or any(
            operation.when != last.when for operation in users
        ):
            return None
        source, floor = root, isinstance(last, Unary)
        if isinstance(last, Unary):
            if last.function != "Relu":
                return None
            source = last.inputs[0]
        old = reads[0].outputs[0]
        linear = self._linear(source)
        if linear is None or old not in linear.matrices or self._depends(linear.matrices, old):
            return None
        self._expanded.discard(last.name)
        matrices = {name: matrix.reshape(slot.size, -1) for name, matrix in linear.matrices.items()}
        bias, skipped = linear.bias.ravel(), self._unread({root, *matrices})
        return LinearUpdate(region, root, last.name, old, matrices, bias, floor, self._has_products, skipped)

    def _depends(self, names: Iterable[str], old: str) -> bool:
        """Whether values apart from the old state itself follow from it: the update is then not linear."""
        following = {old}
        for operation in self._program.operations:
            if following.intersection(operation.inputs):
                following.update(operation.outputs)
        return bool(following.intersection(names) - {old})

    def _unread(self, needed: set[str]) -> frozenset[str]:
        """Operations that only the update and other unread ones read."""
        kept = {output.value for output in self._program.description.outputs} | needed
        readers: dict[str, list[str]] = {}
        for operation in self._program.operations:
            for name in operation.inputs:
                readers.setdefault(name, []).append(operation.name)
        last = self._writers[self._program.graph.unshaped(self._write.inputs[0])].name
        skipped = {last}
        for operation in reversed(self._program.operations):
            if operation.name in self._expanded and not kept & {*operation.outputs}:
                reading = {name for output in operation.outputs for name in readers.get(output, [])}
                if reading <= skipped:
                    skipped.add(operation.name)
        return frozenset(skipped - {last})

    def _linear(self, name: str) -> _Linear | None:
        """A value in terms of others; None where a matrix would be too large."""
        if name not in self._seen:
            shape = self._program.values[name].shape
            size = self._program.values[name].size
            if size * size > MAX_MATRIX:
                return None
            itself = _Linear({name: np.eye(size).reshape(*shape, size)}, np.zeros(shape))
            writer = self._writers.get(name)
            inner = None if writer is None else self._through(writer)
            if inner is not None and (self._reads_state(inner) or self._width(inner) <= size):
                assert writer is not None
                self._expanded.add(writer.name)
                self._has_products |= isinstance(writer, Dense)
                self._seen[name] = inner
            else:
                self._seen[name] = itself
        return self._seen[name]

    def _reads_state(self, linear: _Linear) -> bool:
        return any(isinstance(self._writers.get(name), ReadState) for name in linear.matrices)

    def _width(self, linear: _Linear) -> int:
        return sum(self._program.values[name].size for name in linear.matrices)

    def _through(self, writer: AnyOperation) -> _Linear | None:
        """What an operation makes of what its inputs are; None if it is not linear."""
        weights = self._program.weights
        if not isinstance(writer, Binary | Dense | Rearrange) or writer.when != self._write.when:
            return None
        inputs = [self._linear(name) for name in writer.inputs]
        known = [linear for linear in inputs if linear is not None]
        if len(known) < len(inputs):
            return None
        match writer:
            case Dense():
                W = weights[writer.W].astype(np.float64)
                product = known[0].mapped(lambda matrix: np.einsum("ok,...kv->...ov", W, matrix))
                bias = 0.0 if writer.B is None else weights[writer.B].astype(np.float64)
                return product._replace(bias=product.bias + bias)
            case Rearrange():
                return self._rearranged(writer, known)
            case Binary(function="Add" | "Sub") if writer.constant is None:
                return self._sum(writer, known)
            case Binary() if writer.constant is not None:
                return self._with_constant(writer, known[0], weights[writer.constant].astype(np.float64))
        return None

    def _rearranged(self, writer: Rearrange, inputs: list[_Linear]) -> _Linear:
        indices = None if writer.indices is None else self._program.weights[writer.indices].ravel()
        names = {name for linear in inputs for name in linear.matrices}

        def joined(parts: list[Array]) -> Array:
            rows = np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])
            return (rows if indices is None else rows[indices]).reshape(*writer.shape, -1)

        matrices = {}
        for name in names:
            size = self._program.values[name].size
            absent = [np.zeros((*linear.bias.shape, size)) for linear in inputs]
            matrices[name] = joined(
                [linear.matrices.get(name, zero) for linear, zero in zip(inputs, absent, strict=True)]
            )
        return _Linear(matrices, joined([linear.bias[..., None] for linear in inputs])[..., 0])

    def _sum(self, writer: Binary, inputs: list[_Linear]) -> _Linear:
        shape = self._program.values[writer.outputs[0]].shape
        matrices: dict[str, Array] = {}
        bias = np.zeros(shape)
        for linear, sign in zip(inputs, (1.0, -1.0 if writer.function == "Sub" else 1.0), strict=True):
            bias = bias + sign * linear.bias
            for name, matrix in linear.matrices.items():
                padded = matrix.reshape(*(1,) * (len(shape) + 1 - matrix.ndim), *matrix.shape)
                whole = np.broadcast_to(sign * padded, (*shape, matrix.shape[-1]))
                matrices[name] = matrices.get(name, 0.0) + whole
        return _Linear(matrices, bias)

    def _with_constant(self, writer: Binary, linear: _Linear, constant: Array) -> _Linear | None:
        shape = self._program.values[writer.outputs[0]].shape
        left = writer.constant_side == "left"
        if linear.bias.shape != shape:
            return None
        match writer.function:
            case "Add":
                return linear._replace(bias=linear.bias + constant)
            case "Sub" if not left:
                return linear._replace(bias=linear.bias - constant)
            case "Sub":
                negative = linear.mapped(lambda matrix: -matrix)
                return negative._replace(bias=negative.bias + constant)
            case "Mul":
                factor = np.broadcast_to(constant, shape)
            case "Div" if not left and (constant != 0).all():
                factor = np.broadcast_to(1 / constant, shape)
            case _:
                return None
        return linear.mapped(lambda matrix: matrix * factor[..., None])
