"""The way into the integers: normalisation folded into `Quantize`, sensor counts."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import EVERY_STEP, AnyOperation, Binary
from edgernn.quantizer.converter import Converter

Array: TypeAlias = NDArray[Any]


def fold_normalisation(converter: Converter) -> list[AnyOperation]:
    """Quantize each input after the constants that it is shifted and scaled by; returns the operations that remain."""
    folded: set[str] = set()
    for port in converter.program.inputs:
        if port.dtype != "float32":
            continue
        channels = port.shape[-1:]
        gain, offset, name = np.ones(channels), np.zeros(channels), port.name
        while (operation := _next_constant(converter, name, channels)) is not None:
            gain, offset = _apply(operation, converter.program.weights, gain, offset)
            folded.add(operation.name)
            name = operation.outputs[0]
        if name != port.name:
            converter.add_quantize(name, name, offset, gain, source=port.name)
    return [operation for operation in converter.program.operations if operation.name not in folded]


def _next_constant(converter: Converter, name: str, channels: tuple[int, ...]) -> Binary | None:
    """The only reader of a value, if it adds to or multiplies each channel with a constant."""
    graph = converter.program.graph
    if not graph.is_read_once(name) or not isinstance(operation := graph.readers[name][0], Binary):
        return None
    if operation.constant is None or operation.name in converter.settings.keep_float:
        return None
    if operation.when != EVERY_STEP or graph.loops[operation.name]:
        return None
    constant = converter.program.weights[operation.constant]
    if constant.size not in (1, *channels) or converter.program.values[operation.outputs[0]].shape[-1:] != channels:
        return None
    if constant.size > 1 and constant.shape[-1:] != channels:
        return None
    match operation.function:
        case "Add":
            return operation
        case "Sub" if operation.constant_side == "right":
            return operation
        case "Mul" if (constant > 0).all():
            return operation
        case "Div" if operation.constant_side == "right" and (constant > 0).all():
            return operation
    return None


def _apply(operation: Binary, weights: Any, gain: Array, offset: Array) -> tuple[Array, Array]:
    constant = weights[operation.constant].astype(np.float64).ravel()
    match operation.function:
        case "Add":
            return gain, offset + constant
        case "Sub":
            return gain, offset - constant
        case "Mul":
            return gain * constant, offset * constant
        case _:
            return gain / constant, offset / constant
