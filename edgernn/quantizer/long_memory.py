"""Long memory: where rounding the matrix of a recurrence moves its response, the matrix and the state get 32 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    AnyOperation,
    Int32StateTerm,
    Int32StateUpdate,
    ReadState,
    StateMatrix,
    WriteState,
)
from edgernn.program.operations.int8.base import SHIFTS
from edgernn.quantizer.converter import Converter
from edgernn.quantizer.linear_updates import LinearUpdate, find_linear_updates

Array: TypeAlias = NDArray[Any]

MIN_RADIUS = 0.8  # of eigenvalues: what decays faster forgets within some steps what rounding changed
MAX_MOVED = 0.01  # of the response of a state to a step or an impulse, as a part of its largest
SLOW = 2.0**-9  # what a state lets go of in a step, below which an int16 would stick
MAX_STEPS = 4096  # over which a response is compared
DIVERGED = 1e12


class Response(NamedTuple):
    """What rounding does to a recurrence."""

    radius: float  # the largest magnitude of an eigenvalue
    rounded_radius: float
    moved: float  # largest change of a response, as a part of its largest


def choose_matrices(converter: Converter) -> dict[str, LinearUpdate]:
    """The updates that get 16-bit matrices and 32-bit states, by the name of the operation that writes the state."""
    if converter.settings.states == "s16":
        return {}
    chosen: dict[str, LinearUpdate] = {}
    for group in _groups(find_linear_updates(converter.program, converter.settings.keep_float)):
        slots = [converter.slots[update.region.slot] for update in group]
        if all(slot.scale is not None and slot.dtype == "int16" for slot in slots) and _needs_matrices(
            converter, group
        ):
            for update, slot in zip(group, slots, strict=True):
                chosen[update.last] = update
                converter.slots[slot.name] = _wider(slot)
    return chosen


def _wider(slot: StateSlot) -> StateSlot:
    assert slot.scale is not None
    return msgspec.structs.replace(slot, dtype="int32", scale=slot.scale / 65536)


def _groups(updates: list[LinearUpdate]) -> list[list[LinearUpdate]]:
    """Updates that read each other's states, together."""
    groups: list[list[LinearUpdate]] = []
    for update in updates:
        own = [update]
        for group in [group for group in groups if any(_reads(a, b) or _reads(b, a) for a in group for b in (update,))]:
            groups.remove(group)
            own = group + own
        groups.append(own)
    return groups


def _reads(update: LinearUpdate, other: LinearUpdate) -> bool:
    return other.old in update.matrices


def _needs_matrices(converter: Converter, group: list[LinearUpdate]) -> bool:
    if converter.settings.states == "s32":
        return True
    response = respond(group, _steps(converter))
    if response.radius < MIN_RADIUS:
        return False
    return response.moved > MAX_MOVED or abs(1 - response.radius) < SLOW


def _steps(converter: Converter) -> int:
    """How many steps a response is compared over: the trained length, else all that it takes."""
    steps = converter.program.trained_steps or converter.program.window_steps
    return min(steps or MAX_STEPS, MAX_STEPS)


def respond(group: list[LinearUpdate], steps: int) -> Response:
    """Responses of states to a step and to an impulse of what they read, with their matrix as it is and rounded.

    Rounding is that of int8 rows where the graph multiplies with matrices, else that of a multiplier of 15 bits.
    """
    sizes = [len(update.bias) for update in group]
    ends = np.cumsum(sizes)
    A = np.zeros((ends[-1], ends[-1]))
    inputs = np.zeros(ends[-1])
    floor = np.zeros(ends[-1], bool)
    for update, end, size in zip(group, ends, sizes, strict=True):
        rows = slice(end - size, end)
        floor[rows] = update.floor
        others = dict(update.matrices)
        for other, other_end in zip(group, ends, strict=True):
            if other.old in others:
                A[rows, other_end - len(other.bias) : other_end] = others.pop(other.old)
        inputs[rows] = sum((matrix.sum(axis=1) for matrix in others.values()), np.zeros(size))
    rounded = _rounded(A, any(update.has_products for update in group))
    if not inputs.any():
        inputs[:] = 1.0
    moved = max(_moved(A, rounded, drive, floor, steps) for drive in (inputs, np.abs(inputs)))
    radii = [float(np.abs(np.linalg.eigvals(matrix)).max()) for matrix in (A, rounded)]
    return Response(radii[0], radii[1], moved)


def _rounded(A: Array, has_products: bool) -> Array:
    if not has_products:
        fraction, exponent = np.frexp(A)
        products: Array = np.ldexp(np.rint(fraction * 2**15), exponent - 15)
        return products
    scale = np.maximum(np.abs(A).max(axis=1, keepdims=True) / 127, 1e-30)
    own = fixed_point.grid_scale(A)[:, None]
    scale = np.where(own > 0, own, scale)
    rounded: Array = np.rint(A / scale) * scale
    return rounded


def _moved(A: Array, rounded: Array, drive: Array, floor: Array, steps: int) -> float:
    """The larger change of the responses to a step and to an impulse, as a part of the largest number of each."""
    exact, changed = np.zeros((2, len(A), 2))
    exact[:, 1] = changed[:, 1] = drive
    largest, difference = np.zeros(2), np.zeros(2)
    for _ in range(steps):
        exact, changed = A @ exact, rounded @ changed
        for response in (exact, changed):
            response[:, 0] += drive
            response[floor] = np.maximum(response[floor], 0.0)
        largest = np.maximum(largest, np.abs(exact).max(axis=0))
        difference = np.maximum(difference, np.abs(exact - changed).max(axis=0))
        if not largest.max() < DIVERGED * np.abs(drive).max():
            break
    return float(np.max(difference / np.maximum(largest, 1e-30)))


def convert(converter: Converter, operation: AnyOperation, matrices: Mapping[str, LinearUpdate]) -> bool:
    """Convert an operation that belongs to a chosen update; whether it does."""
    if operation.name in matrices:
        _convert_update(converter, matrices[operation.name])
        return True
    return any(operation.name in update.skipped for update in matrices.values())


def _convert_update(converter: Converter, update: LinearUpdate) -> None:
    """The operation that writes the state becomes all of the update."""
    slot = converter.slots[update.region.slot]
    assert slot.scale is not None
    size = len(update.bias)
    is_cell = update.old not in converter.program.values
    if is_cell:
        read = ReadState(
            name=update.old,
            inputs=(),
            outputs=(update.old,),
            region=update.region,
            shape=(size,),
            dtype="int32",
            scale=slot.scale,
            all_bits=True,
        )
        converter.add(read, slot.scale)
    inputs, terms = [], []
    bias = update.bias
    for number, (name, matrix) in enumerate(update.matrices.items()):
        A = matrix - np.eye(size) if name == update.old else matrix
        integer = name if name == update.old and is_cell else _most_bits(converter, name)
        inputs.append(integer)
        stored = _stored(converter, f"{update.last}/V{number}", A, integer, slot.scale, bias)
        terms.append(Int32StateTerm(x=number, matrix=stored))
        bias = 0 * bias  # once
    wide = f"{update.root}.wide"
    converter.add(
        Int32StateUpdate(
            name=update.last,
            inputs=tuple(inputs),
            outputs=(wide, update.root),
            region=update.region,
            shape=converter.program.values[update.root].shape,
            terms=tuple(terms),
            scale=slot.scale,
            floor=update.floor or msgspec.UNSET,
        ),
        slot.scale,
    )
    converter.scales[update.root] = slot.scale * 65536
    if is_cell:
        write = WriteState(
            name=f"{update.last}.write",
            inputs=(wide,),
            outputs=(),
            region=update.region,
            dtype="int32",
            scale=slot.scale,
            size=size,
        )
        converter.add(write)


def _most_bits(converter: Converter, name: str) -> str:
    """The integer form of a value; all bits of what is read of an int32 state."""
    reader = next((each for each in converter.steps.operations if name in each.outputs), None)
    if not isinstance(reader, ReadState) or not reader.reads_high or reader.scale is None:
        return converter.as_integer(name)
    whole = f"{name}.int32"
    if whole not in converter.scales:
        read = msgspec.structs.replace(reader, name=whole, outputs=(whole,), all_bits=True)
        converter.add_behind(name, read, reader.scale)
    return whole


def _is_int32(converter: Converter, integer: str) -> bool:
    """Whether a value is all 32 bits of a state."""
    reader = next((each for each in converter.steps.operations if integer in each.outputs), None)
    return isinstance(reader, ReadState) and bool(reader.all_bits)


def _stored(converter: Converter, name: str, A: Array, integer: str, scale: float, bias: Array) -> StateMatrix:
    """A matrix in rows with a scale each, of as many bits as the value it meets, and the bias in the state's format."""
    is_int32 = _is_int32(converter, integer)
    factor = converter.scales[integer] / scale * (2.0**32 if is_int32 else 1.0)  # of such a product 32 bits are dropped
    bits: Literal[16, 32] = 32 if is_int32 else 16
    levels = (1 << (bits - 1)) - 1
    least = np.maximum(np.abs(A).max(axis=1) / levels * factor, 2.0 ** (14 - SHIFTS[1]))
    row_scale = 2.0 ** np.ceil(np.log2(least)) / factor  # multipliers of 15 bits hold powers of two without an error
    W = np.clip(np.rint(A / row_scale[:, None]), -levels, levels).astype(f"int{bits}")
    m, s = fixed_point.multiplier(np.where(W.any(axis=1), row_scale * factor, 0.0), f"operation {name}")
    B = np.clip(np.rint(bias / scale), -(2**31), 2**31 - 1).astype(np.int32)
    matrix = StateMatrix(W=name, multiplier=f"{name}_multiplier", shift=f"{name}_shift", B=f"{name}_B", bits=bits)
    converter.weights |= dict(zip(matrix.names(), (W, m, s, B), strict=True))
    return matrix
