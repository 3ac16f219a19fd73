"""Equalizes the ranges of channels between layers: a float Program becomes another one that computes the same.

What a layer writes is divided by a factor for each channel, and the columns of all weights that read it are
multiplied. Activations have one scale for a whole value and weights one for a row, so channels that are far smaller
than others lose their digits, in the one or the other; the factors are those with which products lose least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.description import Equalization
from edgernn.program.operations import AnyOperation, Binary, Dense, GroupedDense, LayerNorm, Lookup, RecurrentOperation
from edgernn.program.program import Program
from edgernn.program.trees import rewritten
from edgernn.quantizer.calibration import CalibrationTrace
from edgernn.quantizer.channels import FIXED, find_channels, merge, takes_up
from edgernn.quantizer.division import divided
from edgernn.quantizer.factors import Product, best_factors
from edgernn.quantizer.settings import Settings

Array: TypeAlias = NDArray[Any]
Weighted: TypeAlias = Dense | GroupedDense | RecurrentOperation  # operations with a column of weights for each channel


def equalized(program: Program, trace: CalibrationTrace, settings: Settings) -> tuple[Program, CalibrationTrace]:
    """A program with the same outputs whose products lose less by rounding, and its trace; as given if nothing helps.

    The new description's `equalized` says what was done, its `factors` and those of its states what their numbers must
    be multiplied with to be the model's.
    """
    opened, doors = _with_doors(program)
    values = trace.values | {door: trace.values[port] for door, port in doors.items() if port in trace.values}
    choice = _Choice(opened, values, settings, doors)
    if not choice.made:
        return program, trace
    result = divided(opened, choice.divisor)
    description = msgspec.structs.replace(result.description, equalized=tuple(choice.made))
    unused = {door: port for door, port in doors.items() if (choice.divisor(door) == 1.0).all()}
    operations = rewritten(
        description.operations,
        lambda operation: () if operation.name in unused else (_reading(operation, unused),),
    )
    description = msgspec.structs.replace(description, operations=operations)
    values = {name: samples / choice.divisor(name).ravel() for name, samples in values.items()}
    return Program(description, result.weights), trace._replace(values=values, cells=_cells(program, trace, choice))


def _with_doors(program: Program) -> tuple[Program, dict[str, str]]:
    """Divide each input's channels by 1, where factors can enter; also names of the results, and the input of each."""
    outputs = {output.value for output in program.description.outputs}
    taken = {*program.values, *program.weights, *(operation.name for operation in program.operations)}
    doors: dict[str, str] = {}
    for port in program.inputs:
        if port.dtype == "float32" and port.shape and port.shape[-1] > 1 and port.name not in outputs:
            door = f"{port.name}:equalised"
            while door in taken:
                door += "'"
            doors[door] = port.name
    behind = {port: door for door, port in doors.items()}
    dividing = (
        Binary(name=door, inputs=(port,), outputs=(door,), function="Div", constant=door)
        for door, port in doors.items()
    )
    reading = rewritten(program.description.operations, lambda operation: (_reading(operation, behind),))
    operations = (*dividing, *reading)
    ones = {door: np.ones(program.values[port].shape[-1], np.float32) for door, port in doors.items()}
    description = msgspec.structs.replace(program.description, operations=operations)
    return Program(description, dict(program.weights) | ones), doors


def _reading(operation: AnyOperation, names: Mapping[str, str]) -> AnyOperation:
    """The operation, with other values in place of some that it reads."""
    return msgspec.structs.replace(operation, inputs=tuple(names.get(name, name) for name in operation.inputs))


def _cells(program: Program, trace: CalibrationTrace, choice: _Choice) -> dict[str, Array]:
    """Inputs of recurrent cells divided, beside the h that they met."""
    cells = dict(trace.cells)
    for operation in program.operations:
        if operation.name in cells and isinstance(operation, RecurrentOperation):
            features = program.weights[operation.W].shape[1]
            x, h = trace.of_cell(operation.name, features)
            cells[operation.name] = np.concatenate([x / choice.columns(operation.name), h], axis=1)
    return cells


class _Choice:
    """The factors of all channels of a program, and what was made by them."""

    def __init__(
        self, program: Program, samples: Mapping[str, Array], settings: Settings, doors: Mapping[str, str]
    ) -> None:
        self._program, self._samples, self._settings, self._doors = program, samples, settings, doors
        self._channel = find_channels(program, settings.keep_float)
        self._s = np.ones(max(int(channel.max()) for channel in self._channel.values()) + 2)  # the last of what stays
        self._operations = {operation.name: operation for operation in program.operations}
        self._readers = [operation for operation in program.operations if isinstance(operation, Weighted)]
        self._writers = [operation for operation in program.operations if self._writes_rows(operation)]
        self.made = [made for group in self._groups() if (made := self._equalized(*group)) is not None]

    def divisor(self, value: str) -> Array:
        """What each number of a value is divided by, of the value's shape."""
        divisor: Array = self._s[self._channel[value]]
        return divisor

    def columns(self, name: str) -> Array:
        """What each feature that a recurrent cell reads is divided by."""
        return self.divisor(self._operations[name].inputs[0]).ravel()

    def _groups(self) -> list[tuple[Array, list[str]]]:
        """Channels that stand together in values, and so share a scale, and the names of these values."""
        found = {value: np.unique(channel[channel != FIXED]) for value, channel in self._channel.items()}
        found = {value: channels for value, channels in found.items() if len(channels)}
        if not found:
            return []
        a, b = (np.concatenate([channels[side] for channels in found.values()]) for side in (slice(1, None), slice(-1)))
        label = merge(len(self._s), a, b)
        values = defaultdict(list)
        for value, channels in found.items():
            values[int(label[channels[0]])].append(value)
        members = np.unique(np.concatenate(list(found.values())))
        return [(members[label[members] == root], names) for root, names in values.items()]

    def _equalized(self, group: Array, values: list[str]) -> Equalization | None:
        """Choose the factors of a group of channels, and describe them; None if they stay 1."""
        inside = {*values}
        readers = [
            reader for reader in self._readers if reader.inputs[0] in inside and reader.inputs[0] in self._samples
        ]
        products = [self._product(reader, group) for reader in readers]
        factors = best_factors(products, self._seen(group, values), self._settings) if products else None
        if factors is None:
            return None
        self._s[group] = factors.s
        writers = [self._doors.get(by.name, by.name) for by in self._writers if by.outputs[0] in inside]
        return Equalization(
            writers=tuple(writers),
            readers=tuple(reader.name for reader in readers),
            range_exponent=factors.exponents[0],
            weight_exponent=factors.exponents[1],
            error_before=factors.before,
            error_after=factors.after,
        )

    def _seen(self, group: Array, values: list[str]) -> Array:
        """The largest magnitude of each channel in any value, (channels,)."""
        seen = np.zeros(len(self._s))
        for value in values:
            if value in self._samples:
                np.maximum.at(seen, self._channel[value].ravel(), np.abs(self._samples[value]).max(axis=0))
        return seen[group]

    def _writes_rows(self, operation: AnyOperation) -> bool:
        """Whether an operation has a row of weights, or a constant, for each channel that it writes."""
        if isinstance(operation, Binary) and operation.constant is not None:
            shape = self._program.values[operation.outputs[0]].shape
            return takes_up(operation, self._program.weights[operation.constant], shape[-1] if shape else 1)
        return isinstance(operation, Dense | GroupedDense | LayerNorm | Lookup)

    def _product(self, reader: Weighted, group: Array) -> Product:
        W = self._program.weights[reader.W].astype(np.float64)
        x, channel = self._samples[reader.inputs[0]], self._channel[reader.inputs[0]]
        if isinstance(reader, GroupedDense):
            inside = W.shape[1:]
            W = W.transpose(2, 0, 1)  # (groups, outputs, inputs)
            x, channel = x.reshape(-1, *inside).transpose(2, 0, 1), channel.reshape(-1, *inside)[0].T
        else:
            W, x, channel = W[None], x.reshape(1, -1, W.shape[1]), channel.reshape(-1, W.shape[1])[:1]
        place = np.where(channel == FIXED, FIXED, np.searchsorted(group, channel))
        return Product(W, x, place, self._settings.bits(reader))
