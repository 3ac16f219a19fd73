"""Recurrences that are written out, whose state lets go of so little in a step that 16 bits would stick.

What is written to a state is taken apart into the terms of a sum. One of them is the old state, as it is or times a
factor or a gate; with a 32-bit state only what the state lets go of is computed, with 30 fraction bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    AnyOperation,
    Binary,
    Int8FineGate,
    Int32StateTerm,
    Int32StateUpdate,
    ReadState,
    StateRegion,
    Unary,
    WriteState,
)
from edgernn.program.operations.int8.state_updates import FINE_INPUT_SCALE, FINE_SCALE, MAX_SHIFT
from edgernn.program.program import Program

if TYPE_CHECKING:
    from edgernn.quantizer.convert import Converter

Array: TypeAlias = NDArray[Any]

SLOW = 2.0**-9  # what a state lets go of in a step, below which an int16 would stick
SLOW_SHARE = 0.01  # of the steps of a unit


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


def find_updates(program: Program, keep_float: tuple[str, ...]) -> list[Update]:
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


def is_slow(converter: Converter, update: Update) -> bool:
    """Whether the state of an update lets go of less than 2^-9 in a share of the steps."""
    if converter.settings.states != "auto":
        return converter.settings.states == "s32"
    if update.factor is not None:
        return bool((-update.factor < SLOW).any())
    assert update.decay is not None
    p = converter.trace.values[update.decay.p]
    lets_go = -p if update.decay.complement else p  # of sigmoid, what is below -log(511) is below 2^-9
    return bool(((lets_go < np.log(SLOW)).mean(axis=0) > SLOW_SHARE).any())


def choose_updates(converter: Converter) -> dict[str, Update]:
    """The updates that get a 32-bit state, by the value that is written."""
    updates = find_updates(converter.program, converter.settings.keep_float)
    return {update.root: update for update in updates if is_slow(converter, update)}


def choose_int32_slots(converter: Converter) -> None:
    """Give the states of the chosen updates 16 more fraction bits, and gates and terms the formats that they need."""
    for root, update in list(converter.updates.items()):
        slot = converter.slots[update.region.slot]
        if slot.scale is None or slot.dtype != "int16":
            del converter.updates[root]
            continue
        converter.slots[slot.name] = msgspec.structs.replace(slot, dtype="int32", scale=slot.scale / 65536)
        for gate in {update.decay, *(term.gate for term in update.terms)} - {None}:
            assert gate is not None
            converter.wanted[gate.p] = FINE_INPUT_SCALE
        if update.toward is not None:
            converter.wanted[update.toward] = slot.scale
        for term in update.terms:
            if term.gate is None and term.factor is None and term.value is not None:
                converter.wanted[term.value] = _term_scale(converter, term.value, slot.scale / 65536)


def _term_scale(converter: Converter, name: str, scale: float) -> float:
    """The finest format of a term, a power of two times that of the state, in which its range fits."""
    bits = np.ceil(np.log2(converter.limit(name) / 32767 / scale))
    return float(scale * 2 ** np.clip(bits, 0, MAX_SHIFT))


class _Terms:
    """The terms of an update while its inputs are collected."""

    def __init__(self, converter: Converter, update: Update, scale: float) -> None:
        self._converter, self._scale, self._root = converter, scale, update.root
        self.inputs: list[str] = []
        self.terms: list[Int32StateTerm] = []

    def place(self, name: str) -> int:
        """Place of a value among the inputs."""
        if name not in self.inputs:
            self.inputs.append(name)
        return self.inputs.index(name)

    def gate(self, gate: UpdateGate) -> int:
        """Place of a fine gate."""
        name = f"{gate.p}.{'complement' if gate.complement else 'gate'}"
        if name not in self._converter.scales:
            p = self._converter.at_scale(gate.p, FINE_INPUT_SCALE)
            fine = Int8FineGate(name=name, inputs=(p,), outputs=(name,), complement=gate.complement)
            self._converter.add_behind(p, fine, FINE_SCALE)
        return self.place(name)

    def at(self, name: str, scale: float) -> int:
        """Place of a value at a scale."""
        return self.place(self._converter.at_scale(name, scale))

    def _scaled(self, name: str, factor: Array) -> int:
        """Place of a value times a factor, in the format of the state's high half."""
        converter, scale = self._converter, self._scale * 65536
        integer, scaled = converter.as_integer(name), f"{self._root}.{len(self.terms)}"
        gain = (factor * converter.scales[integer] / scale).reshape(converter.program.values[name].shape)
        converter.add(converter.affine(scaled, integer, scaled, gain, 0 * gain, scale), scale)
        return self.place(scaled)

    def _add_factor(self, name: str, factor: Array, negative: bool) -> None:
        """A value times a factor for each unit, with all digits; a value beyond the state's range saturates."""
        largest = float(np.abs(factor).max(initial=0.0))
        high = self._scale * 65536
        scale = self._converter.scales[self._converter.as_integer(name)]
        if largest * scale > high:
            scale = high / largest
        q = np.rint(factor * scale / high / FINE_SCALE).astype(np.int32)
        weight = f"{self._root}/factor{len(self.terms)}"
        self._converter.weights[weight] = q
        self.terms.append(Int32StateTerm(x=self.at(name, scale), factor=weight, negative=negative))

    def add(self, term: Term) -> None:
        """A term of the sum."""
        assert term.value is not None
        scale = self._scale
        if term.gate is not None:
            x = self.at(term.value, scale * 65536) if term.factor is None else self._scaled(term.value, term.factor)
            self.terms.append(Int32StateTerm(x=x, gate=self.gate(term.gate), negative=term.negative))
            return
        if term.factor is not None:
            self._add_factor(term.value, term.factor, term.negative)
            return
        own = self._converter.wanted.get(term.value) or _term_scale(self._converter, term.value, scale)
        shift = int(np.clip(np.rint(np.log2(own / scale)), 0, MAX_SHIFT))
        self.terms.append(Int32StateTerm(x=self.at(term.value, scale * 2**shift), shift=shift, negative=term.negative))


def convert_update(converter: Converter, operation: Binary, update: Update) -> None:
    """The last operation of an update becomes all of it."""
    scale = converter.slots[update.region.slot].scale
    assert scale is not None
    terms = _Terms(converter, update, scale)
    old = terms.place(converter.as_integer(update.old))
    if update.factor is not None:
        factor = np.rint(update.factor / FINE_SCALE).astype(np.int32)
        name = converter.add_weight(operation, "factor", factor)
        terms.terms.append(Int32StateTerm(x=old, factor=name))
    elif update.toward is not None:
        assert update.decay is not None
        x = terms.at(update.toward, scale * 65536)
        terms.terms.append(Int32StateTerm(x=x, minus=old, gate=terms.gate(update.decay)))
    elif update.decay is not None:
        terms.terms.append(Int32StateTerm(x=old, gate=terms.gate(update.decay), negative=True))
    for term in update.terms:
        terms.add(term)
    wide = f"{update.root}.wide"
    converter.add(
        Int32StateUpdate(
            name=operation.name,
            inputs=tuple(terms.inputs),
            outputs=(wide, update.root),
            sources=operation.sources,
            region=update.region,
            shape=converter.program.values[update.root].shape,
            terms=tuple(terms.terms),
            scale=scale,
        ),
        scale,
    )
    converter.scales[update.root] = scale * 65536
