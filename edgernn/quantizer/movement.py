"""Operations that move numbers, to integers: they keep the format, and give it to the states that they own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import (
    ArgMax,
    ConstantValue,
    Convert,
    DelayLine,
    Lookup,
    PutFrame,
    ReadState,
    Rearrange,
    Repeat,
    StateRegion,
    TakeFrame,
    TopK,
    WriteState,
)
from edgernn.quantizer.converter import Converter

Array: TypeAlias = NDArray[Any]


def give_format(converter: Converter, region: StateRegion, dtype: str, scale: float) -> None:
    """Let a state have the number type and scale of what is written into it."""
    slot = converter.slots[region.slot]
    converter.slots[region.slot] = msgspec.structs.replace(slot, dtype=dtype, scale=scale)


def convert_rearrange(converter: Converter, operation: Rearrange) -> None:
    """All inputs in the coarsest of their formats."""
    if operation.indices is not None:
        converter.weights[operation.indices] = converter.program.weights[operation.indices]
    if operation.inputs[0] in converter.wholes:
        converter.add(operation, whole=True)
        return
    integers = converter.with_saturated_constants([converter.as_integer(name) for name in operation.inputs])
    scale = max(converter.scales[name] for name in integers)
    names = tuple(converter.at_scale(name, scale) for name in integers)
    converter.add(msgspec.structs.replace(operation, inputs=names), scale)
    if len(names) == 1 and operation.inputs[0] in converter.constants:
        numbers = converter.constants[operation.inputs[0]].reshape(-1)
        chosen = numbers if operation.indices is None else numbers[converter.weights[operation.indices]]
        converter.constants[operation.outputs[0]] = chosen.reshape(operation.shape)
    if len(names) == 1 and operation.inputs[0] in converter.formats.bounds:
        converter.formats.bounds[operation.outputs[0]] = converter.formats.bounds[operation.inputs[0]]


def convert_read_state(converter: Converter, operation: ReadState) -> None:
    """In the state's format; of a wide state the high half."""
    slot = converter.slots[operation.region.slot]
    scale = slot.scale
    if slot.dtype not in ("float32", "int16") and scale is None:
        converter.add(operation, whole=True)
        return
    int32_states = scale is not None and slot.dtype == "int32"
    converter.add(
        msgspec.structs.replace(operation, dtype=slot.dtype, scale=scale),
        scale * 65536 if scale is not None and int32_states else scale,
    )


def convert_write_state(converter: Converter, operation: WriteState) -> None:
    """In the state's format."""
    slot = converter.slots[operation.region.slot]
    source = operation.inputs[0]
    if slot.scale is None:
        name = converter.as_float(source)
    elif slot.dtype == "int32":
        value = converter.program.graph.unshaped(source)
        name = f"{value}.wide"
        if value in converter.constants:  # what a state begins with in each window
            name = _wide_constant(converter, f"{operation.name}.constant", value, slot.scale)
    else:
        name = converter.at_scale(source, slot.scale)
    converter.add(msgspec.structs.replace(operation, inputs=(name,), dtype=slot.dtype, scale=slot.scale))


def _wide_constant(converter: Converter, name: str, value: str, scale: float) -> str:
    """A constant in the format of a wide state."""
    q = np.clip(np.rint(converter.constants[value] / scale), -(2**31), 2**31 - 1).astype(np.int32)
    converter.weights[name] = q
    constant = ConstantValue(name=name, inputs=(), outputs=(name,), weight_name=name, dtype="int32", scale=scale)
    converter.add(constant, scale)
    return name


def convert_history(converter: Converter, operation: DelayLine) -> None:
    """The ring has the format of what it keeps; what is padded with is rounded and saturated, -inf to the lowest."""
    source = operation.inputs[0]
    if source in converter.wholes:
        converter.add(operation, whole=True)
        return
    slot = converter.slots[operation.ring.slot]
    integer = converter.as_integer(source) if slot.scale is None else converter.at_scale(source, slot.scale)
    scale = converter.scales[integer]
    give_format(converter, operation.ring, "int16", scale)
    fill = float(np.clip(np.rint(operation.fill / scale), -32768, 32767))
    converter.add(
        msgspec.structs.replace(operation, inputs=(integer,), fill=fill, dtype="int16", scale=scale),
        scale,
    )


def convert_repeat(converter: Converter, operation: Repeat) -> None:
    """Without its body, which gets what its operations are converted to."""
    converter.add(msgspec.structs.replace(operation, body=()))


def convert_frame(converter: Converter, operation: TakeFrame | PutFrame) -> None:
    """Frames keep their format."""
    source = operation.inputs[0]
    if source in converter.wholes:
        converter.add(operation, whole=True)
        return
    integer = converter.as_integer(source)
    converter.add(msgspec.structs.replace(operation, inputs=(integer,)), converter.scales[integer])


def convert_constant(converter: Converter, operation: ConstantValue) -> None:
    """A weight as a value, its largest number at the end of the range."""
    array = converter.program.weights[operation.weight_name]
    if operation.dtype != "float32":
        converter.weights[operation.weight_name] = array
        converter.add(operation, whole=True)
        return
    scale = float(np.abs(array).max(initial=0.0)) / 32767 or 1.0
    q = np.rint(array.astype(np.float64) / scale).astype(np.int16)
    weight = converter.add_weight(operation, "constant", q)
    converter.add(msgspec.structs.replace(operation, weight_name=weight, dtype="int16", scale=scale), scale)
    converter.constants[operation.outputs[0]] = array.astype(np.float64)


def convert_convert(converter: Converter, operation: Convert) -> None:
    """Between real numbers and whole ones, which is computed in float."""
    name = converter.as_float(operation.inputs[0])
    converter.add(msgspec.structs.replace(operation, inputs=(name,)), whole=operation.dtype == "int32")


def convert_lookup(converter: Converter, operation: Lookup) -> None:
    """Rows of int16, the largest number of the table at the end of the range."""
    if operation.inputs[0] not in converter.wholes:
        raise converter.refused(operation, "its ids are not integers")
    table = converter.program.weights[operation.table].astype(np.float64)
    scale = float(np.abs(table).max(initial=0.0)) / 32767 or 1.0
    weight = converter.add_weight(operation, "table", np.rint(table / scale).astype(np.int16))
    converter.add(msgspec.structs.replace(operation, table=weight, dtype="int16", scale=scale), scale)


def convert_selection(converter: Converter, operation: ArgMax | TopK) -> None:
    """Integers have the order of the numbers that they stand for."""
    source = operation.inputs[0]
    integer = source if source in converter.wholes else converter.as_integer(source)
    converter.add(msgspec.structs.replace(operation, inputs=(integer,)), whole=True)
    if isinstance(operation, TopK) and source not in converter.wholes:
        converter.wholes.remove(operation.outputs[0])
        converter.scales[operation.outputs[0]] = converter.scales[integer]


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {
    Rearrange: convert_rearrange,
    ReadState: convert_read_state,
    WriteState: convert_write_state,
    DelayLine: convert_history,
    Repeat: convert_repeat,
    TakeFrame: convert_frame,
    PutFrame: convert_frame,
    ConstantValue: convert_constant,
    Convert: convert_convert,
    Lookup: convert_lookup,
    ArgMax: convert_selection,
    TopK: convert_selection,
}
