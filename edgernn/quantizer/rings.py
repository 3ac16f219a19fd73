"""Rings of frames that only products of 8 bits read hold 8 bits: half the memory, and the same integers."""

from __future__ import annotations

from collections import Counter

import msgspec

from edgernn.program.graph import ProgramGraph
from edgernn.program.operations import (
    AnyOperation,
    DelayLine,
    Int8Dense,
    Int8GroupedDense,
    Int8MatMul,
    Int8RecurrentOperation,
    PutFrame,
    Rearrange,
    TakeFrame,
)
from edgernn.quantizer.converter import Converter


def store_rings_in_int8(converter: Converter) -> None:
    """Make rings narrow whose frames every reader rounds to 8 bits."""
    owners = Counter(
        region.slot for operation in converter.steps.operations for region, _ in operation.regions(converter.weights)
    )
    readers = ProgramGraph(converter.steps.operations).readers
    for index, operation in enumerate(converter.steps.operations):
        if not isinstance(operation, DelayLine) or operation.dtype != "int16" or operation.scale is None:
            continue
        slot = converter.slots[operation.ring.slot]
        if owners[slot.name] > 1 or not _read_in_8_bits(operation.outputs[0], readers):
            continue
        converter.steps.operations[index] = msgspec.structs.replace(operation, int8_storage=True)
        converter.slots[slot.name] = msgspec.structs.replace(slot, dtype="int8", scale=256 * operation.scale)


def _read_in_8_bits(name: str, readers: dict[str, list[AnyOperation]]) -> bool:
    """Whether all that a value is read for, also moved, is products that round it to 8 bits."""
    for reader in readers.get(name, []):
        match reader:
            case Int8MatMul():
                if reader.operand_bits != 8 and name == reader.inputs[0]:
                    return False
            case Int8Dense() | Int8GroupedDense() | Int8RecurrentOperation():
                if reader.operand_bits != 8:
                    return False
            case Rearrange() | TakeFrame() | PutFrame():
                if not _read_in_8_bits(reader.outputs[0], readers):
                    return False
            case _:
                return False
    return name in readers
