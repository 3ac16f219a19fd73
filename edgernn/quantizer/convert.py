"""Float Program to int8 Program, operation by operation, in the order of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.description import OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import AnyOperation, Binary, ReadState, WriteState
from edgernn.program.program import Program
from edgernn.quantizer import (
    arithmetic,
    cells,
    functions,
    inputs,
    int32_states,
    long_memory,
    movement,
    products,
    reductions,
    rings,
)
from edgernn.quantizer.calibration import CalibrationTrace
from edgernn.quantizer.converter import Converter
from edgernn.quantizer.settings import Settings
from edgernn.quantizer.state_updates import Update

Array: TypeAlias = NDArray[Any]

CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {
    **cells.CONVERTERS,
    **functions.CONVERTERS,
    **arithmetic.CONVERTERS,
    **movement.CONVERTERS,
    **products.CONVERTERS,
    **reductions.CONVERTERS,
}


def convert(program: Program, trace: CalibrationTrace, settings: Settings) -> Program:
    """The int8 form of a float program, with formats chosen from what it did over the calibration.

    Raises
    ------
    QuantizationError
        An operation has no integer form, or could overflow.
    """
    converter = Converter(program, trace, settings)
    converter.formats.slots = cells.choose_slots(converter)
    updates = int32_states.choose_updates(converter)  # of 32-bit states that are written out
    matrices = long_memory.choose_matrices(converter)
    for operation in inputs.fold_normalisation(converter):
        converter.steps.begin(operation)
        if not long_memory.convert(converter, operation, matrices):
            _convert(converter, operation, updates)
    converter.steps.end()
    outputs = tuple(
        msgspec.structs.replace(output, value=converter.as_float(output.value))
        for output in program.description.outputs
    )
    rings.store_rings_in_int8(converter)
    return Program(_describe(converter, outputs), converter.weights)


def _convert(converter: Converter, operation: AnyOperation, updates: dict[str, Update]) -> None:
    follows_state = isinstance(operation, ReadState | WriteState)
    if operation.name in converter.settings.keep_float and not follows_state:
        _keep(converter, operation)
        return
    update = updates.get(operation.outputs[0]) if len(operation.outputs) == 1 else None
    if update is not None and isinstance(operation, Binary):
        int32_states.convert_update(converter, operation, update)
        return
    if any(operation.name in update.skipped for update in updates.values()):
        return
    if type(operation) not in CONVERTERS:
        raise converter.refused(operation, "cannot be quantized")
    CONVERTERS[type(operation)](converter, operation)


def _keep(converter: Converter, operation: AnyOperation) -> None:
    """Append an operation that stays in float."""
    names = tuple(converter.as_float(name) for name in operation.inputs)
    for name in operation.weight_names():
        converter.weights[name] = converter.program.weights[name]
    converter.add(msgspec.structs.replace(operation, inputs=names))
    wholes = {name for name in operation.outputs if converter.program.values[name].dtype == "int32"}
    converter.floats -= wholes
    converter.wholes |= wholes


def _describe(converter: Converter, outputs: tuple[OutputDescription, ...]) -> ProgramDescription:
    weights, given, slots = converter.weights, converter.program.weights, tuple(converter.slots.values())
    for slot in slots:
        if slot.initial is not None:
            weights[slot.initial] = _initial(slot, given[slot.initial])
    description = converter.program.description
    converter.steps.drop_unread_constants()
    written = {name for operation in converter.steps.operations for name in operation.outputs}
    factors = {value: name for value, name in description.factors.items() if value in written}
    for kept in (*factors.values(), *(slot.factors for slot in slots if slot.factors)):
        weights[kept] = given[kept]
    return msgspec.structs.replace(
        description,
        outputs=outputs,
        operations=converter.steps.tree(),
        state=slots,
        arithmetic="int8",
        warnings=(*description.warnings, *converter.formats.notes),
        factors=factors,
    )


def _initial(slot: StateSlot, initial: Array) -> Array:
    """The initial value of a state, in its format."""
    if slot.scale is None:
        return initial
    limits = np.iinfo(slot.dtype)
    q = np.rint(initial.astype(np.float64) / slot.scale)
    if slot.dtype == "int8":  # as int16 first, which is what would be rounded
        q = np.floor((np.rint(initial.astype(np.float64) / slot.scale * 256) + 128) / 256)
    return np.clip(q, limits.min, limits.max).astype(slot.dtype)
