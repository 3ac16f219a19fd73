"""Finds the updates of states in a program: what is written to a state as the terms of a sum.

One of the terms is the old state, as it is or times a factor or a gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import AnyOperation, Binary, ReadState, StateRegion, Unary, WriteState
from edgernn.program.program import Program

Array: TypeAlias = NDArray[Any]


class UpdateGate(NamedTuple):
    """A sigmoid of the value `p`, or with `complement` 1 less that."""

    p: str
    complement: bool

    @property
    def other(self) -> UpdateGate:
        """What is left of 1."""
        return UpdateGate(self.p, not self.complement)


class Term(NamedTuple):
    """A term of the sum: a value, or the product of a value with a factor for each unit and a gate."""

    value: str | None  # None: the old state
    negative: bool
    gate: UpdateGate | None = None
    factor: Array | None = None


class Update(NamedTuple):
    """How a state is updated: `root` is the value that is written to it."""

    region: StateRegion
    root: str
    old: str
    decay: UpdateGate | None  # what the state lets go of is times this gate,
    factor: Array | None  # or this factor, which is not positive,
    toward: str | None  # or with the gate it goes toward this value
    terms: tuple[Term, ...]  # what is added
    skipped: frozenset[str]  # operations that are not needed any more


def find_updates(program: Program, keep_float: Sequence[str]) -> list[Update]:
    """The updates that a 32-bit state could have, each of a whole state slot."""
    found = []
    for write in program.operations:
        if isinstance(write, WriteState) and not write.begins and write.region.offset == 0:
            update = _Search(program, write).update()
            if update is not None and not update.skipped.intersection(keep_float):
                found.append(update)
    return found


class _Search:
    def __init__(self, program: Program, write: WriteState) -> None:
        self._program, self._write = program, write
        self._graph = program.graph
        self._skipped: set[str] = set()

    def update(self) -> Update | None:
        """The update, None where the sum has not exactly one term of the old state."""
        region, root = self._write.region, self._graph.unshaped(self._write.inputs[0])
        slot = next(slot for slot in self._program.state if slot.name == region.slot)
        users = [operation for operation in self._program.operations if self._uses(operation, region.slot)]
        others = [operation for operation in users if not isinstance(operation, ReadState) and operation != self._write]
        if others or slot.size != self._write.size or slot.dtype != "float32":
            return None
        terms = self._terms(root, False, is_root=True)
        own = [term for term in terms if term.value is None or self._is_old(term.value)]
        if (
            len(own) != 1
            or own[0].negative
            or len(terms) < 2
            or (own[0].gate is not None and own[0].factor is not None)
        ):
            return None
        old = next((operation.outputs[0] for operation in users if isinstance(operation, ReadState)), None)
        if old is None:
            return None
        return self._arranged(region, root, old, own[0], [term for term in terms if term is not own[0]])

    def _arranged(self, region: StateRegion, root: str, old: str, own: Term, rest: list[Term]) -> Update | None:
        decay, factor, toward = None, None, None
        if own.gate is not None:
            decay = own.gate.other
            pairs = (term for term in rest if term.gate == decay and not term.negative and term.factor is None)
            pair = next(pairs, None)
            if pair is not None:
                toward = pair.value
                rest.remove(pair)
        elif own.factor is not None:
            if (own.factor < 0).any() or (own.factor > 1).any():
                return None
            factor = own.factor - 1.0
        else:  # h + z * (n - h)
            pair = next((term for term in rest if term.gate is not None and self._is_way(term.value)), None)
            if pair is None or pair.negative or pair.factor is not None:
                return None
            decay, toward = pair.gate, self._way(pair.value or "")
            rest.remove(pair)
        gates = [gate for gate in (decay, *(term.gate for term in rest)) if gate is not None]
        needed = {*(gate.p for gate in gates), *(term.value for term in rest), toward}
        return Update(region, root, old, decay, factor, toward, tuple(rest), frozenset(self._unread(needed)))

    def _unread(self, needed: set[str | None]) -> set[str]:
        """Skipped operations, and those that only skipped ones read, but for what the update needs."""
        skipped = set(self._skipped)
        for operation in reversed(self._program.operations):
            readers = [reader for name in operation.outputs for reader in self._graph.readers.get(name, [])]
            is_kept = operation.changes_state or isinstance(operation, ReadState)
            is_kept = is_kept or bool((self._graph.kept | needed) & {*operation.outputs})
            if readers and not is_kept and all(reader.name in skipped for reader in readers):
                skipped.add(operation.name)
        return skipped

    def _uses(self, operation: AnyOperation, slot: str) -> bool:
        return any(getattr(operation, field).slot == slot for field in operation.state_fields)

    def _is_old(self, name: str | None) -> bool:
        writer = self._graph.writer(name) if name is not None else None
        return isinstance(writer, ReadState) and writer.region == self._write.region and not writer.latched

    def _is_way(self, name: str | None) -> bool:
        return name is not None and self._way(name) is not None

    def _way(self, name: str) -> str | None:
        """n where a value is n less the old state."""
        writer = self._graph.writer(name)
        if isinstance(writer, Binary) and writer.function == "Sub" and writer.constant is None:
            n, old = writer.inputs
            return n if self._is_old(old) and self._fits(n) else None
        return None

    def _fits(self, name: str) -> bool:
        return self._program.values[name].size == self._write.size

    def _terms(self, name: str, negative: bool, is_root: bool = False) -> list[Term]:
        """The terms of a sum; what else is read is one term."""
        name = self._graph.unshaped(name)
        writer = self._graph.writers.get(name)
        alone = is_root or self._graph.is_read_once(name)
        if isinstance(writer, Binary) and writer.constant is None and alone and self._fits(name):
            if writer.function in ("Add", "Sub") and all(self._fits(side) for side in writer.inputs):
                self._skipped.add(writer.name)
                left, right = writer.inputs
                return self._terms(left, negative) + self._terms(right, negative ^ (writer.function == "Sub"))
            if writer.function == "Mul" and all(self._fits(side) for side in writer.inputs):
                for gate, value in (writer.inputs, writer.inputs[::-1]):
                    found = self._weighted_gate(gate)
                    if found is not None:
                        self._skipped.add(writer.name)
                        return [term._replace(value=value, negative=negative) for term in found]
        if isinstance(writer, Binary) and writer.constant is not None and alone and self._is_scaled(writer):
            self._skipped.add(writer.name)
            source = writer.inputs[0]
            return [Term(None if self._is_old(source) else source, negative, factor=self._constant(writer))]
        if self._is_old(name):
            return [Term(None, negative)]
        return [Term(name, negative)]

    def _is_scaled(self, writer: Binary) -> bool:
        """Whether it is a value times a constant."""
        return writer.function == "Mul" and self._fits(writer.inputs[0]) and self._fits(writer.outputs[0])

    def _constant(self, writer: Binary) -> Array:
        """The constant of an operation, for each element of its output."""
        assert writer.constant is not None
        constant = self._program.weights[writer.constant].astype(np.float64)
        return np.broadcast_to(constant, self._program.values[writer.outputs[0]].shape).ravel()

    def _weighted_gate(self, name: str) -> list[Term] | None:
        """The terms of ``gate * factor + constant``, each to be multiplied with a value; a gate alone has no factor."""
        gate = self._gate(name)
        if gate is not None:
            return [Term(None, False, gate)]
        writer = self._graph.writer(name)
        if not isinstance(writer, Binary) or writer.constant is None or writer.function not in ("Mul", "Add"):
            return None
        inner = self._weighted_gate(writer.inputs[0])
        if inner is None:
            return None
        constant = self._constant(writer)
        if writer.function == "Add":
            return [*inner, Term(None, False, factor=constant)]
        return [term._replace(factor=constant if term.factor is None else term.factor * constant) for term in inner]

    def _gate(self, name: str) -> UpdateGate | None:
        writer = self._graph.writer(name)
        if isinstance(writer, Unary) and writer.function == "Sigmoid":
            return UpdateGate(writer.inputs[0], False)
        if isinstance(writer, Binary) and writer.function == "Sub" and writer.constant_side == "left":
            constant = None if writer.constant is None else self._program.weights[writer.constant]
            inner = self._gate(writer.inputs[0]) if constant is not None and (constant == 1.0).all() else None
            return None if inner is None else inner.other
        return None
