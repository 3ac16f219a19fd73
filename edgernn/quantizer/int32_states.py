"""Recurrences that are written out, whose state lets go of so little in a step that 16 bits would stick.

With a 32-bit state only what the state lets go of is computed, with 30 fraction bits.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    Binary,
    Int8FineGate,
    Int32StateTerm,
    Int32StateUpdate,
)
from edgernn.program.operations.int8.recurrent import FINE_INPUT_SCALE, FINE_SCALE, MAX_SHIFT
from edgernn.quantizer.converter import Converter
from edgernn.quantizer.state_updates import Term, Update, UpdateGate, find_updates

Array: TypeAlias = NDArray[Any]

SLOW = 2.0**-9  # what a state lets go of in a step, below which an int16 would stick
SLOW_SHARE = 0.01  # of the steps of a unit


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
    """The updates that get a 32-bit state, by the value that is written.

    Their slots get 16 more fraction bits, their gates and terms the formats that they need.
    """
    chosen: dict[str, Update] = {}
    for update in find_updates(converter.program, converter.settings.keep_float):
        slot = converter.slots[update.region.slot]
        if is_slow(converter, update) and slot.scale is not None and slot.dtype == "int16":
            chosen[update.root] = update
            _give_int32(converter, update, slot, slot.scale)
    return chosen


def _give_int32(converter: Converter, update: Update, slot: StateSlot, scale: float) -> None:
    converter.slots[slot.name] = msgspec.structs.replace(slot, dtype="int32", scale=scale / 65536)
    wanted = converter.formats.wanted
    for gate in {update.decay, *(term.gate for term in update.terms)} - {None}:
        assert gate is not None
        wanted[gate.p] = FINE_INPUT_SCALE
    if update.toward is not None:
        wanted[update.toward] = scale
    for term in update.terms:
        if term.gate is None and term.factor is None and term.value is not None:
            wanted[term.value] = _term_scale(converter, term.value, scale / 65536)


def _term_scale(converter: Converter, name: str, scale: float) -> float:
    """The finest format of a term, a power of two times that of the state, in which its range fits."""
    bits = np.ceil(np.log2(converter.formats.limit(name) / 32767 / scale))
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
        own = self._converter.formats.wanted.get(term.value) or _term_scale(self._converter, term.value, scale)
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
