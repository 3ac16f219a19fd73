"""The way into the integers: normalisation folded into `Quantize`, sensor counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import QuantizationError
from edgernn.program import fixed_point
from edgernn.program.operations import EVERY_STEP, AnyOperation, Binary, Quantize
from edgernn.program.operations.int8.elementwise import COUNT_SHIFTS

if TYPE_CHECKING:
    from edgernn.quantizer.convert import Converter

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
            add_quantize(converter, name, name, offset, gain, source=port.name)
    return [operation for operation in converter.program.operations if operation.name not in folded]


def _next_constant(converter: Converter, name: str, channels: tuple[int, ...]) -> Binary | None:
    """The only reader of a value, if it adds to or multiplies each channel with a constant."""
    if not converter.graph.is_read_once(name) or not isinstance(operation := converter.graph.readers[name][0], Binary):
        return None
    if operation.constant is None or operation.name in converter.settings.keep_float:
        return None
    if operation.when != EVERY_STEP or converter.graph.loops[operation.name]:
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


def add_quantize(
    converter: Converter, name: str, integer: str, offset: Array, gain: Array, source: str | None = None
) -> None:
    """Quantize the value `name`, which is ``source * gain + offset``; `integer` is what the result is called."""
    source = name if source is None else source
    channels = converter.program.values[name].shape[-1:]
    scale = converter.limit(name) / 32767
    inverse = np.broadcast_to(gain / scale, channels)
    mean = np.broadcast_to(-offset / gain, channels)
    arrays = {"mean": mean.astype(np.float32), "inverse": inverse.astype(np.float32)}
    if source in converter.trace.raw:
        counts = _counts(converter, source, mean.astype(np.float64), inverse.astype(np.float64))
        if counts is not None:
            arrays["counts"] = counts
    names = {field: f"{integer}/{field}" for field in arrays}
    converter.weights |= {names[field]: array for field, array in arrays.items()}
    converter.add_behind(
        source,
        Quantize(
            name=f"{integer}.quantize",
            inputs=(source,),
            outputs=(integer,),
            mean=names["mean"],
            inverse=names["inverse"],
            counts=names.get("counts"),
            scale=scale,
        ),
        scale,
    )


def _counts(converter: Converter, source: str, mean: Array, inverse: Array) -> Array | None:
    """Settings of the way from sensor counts (5, channels) int32; None if the size of a count is not known.

    A count c is ``c * count_size`` raw units; normalised by the metadata, quantized as ``(x - mean) * inverse``.
    """
    raw, where = converter.trace.raw[source], f"input {source}, way from counts"
    if converter.settings.count_size is None and (raw != np.rint(raw)).any():
        return None
    normalisation = converter.program.normalisation(source) or (np.zeros(1), np.ones(1))
    raw_mean, raw_std, size = (
        _by_channel(numbers, mean.shape) for numbers in (*normalisation, _count_size(converter, source))
    )
    if raw_mean is None or raw_std is None or size is None:
        return None
    gain = inverse * size / raw_std  # integers for one count, (channels,)
    offset = (-raw_mean / raw_std - mean) * inverse  # integers at a count of 0
    origin = np.rint(-offset / gain)
    seen = raw.reshape(-1, *mean.shape) / size  # (steps, channels) counts
    spread = 2 * np.abs(seen - origin).max(axis=0)
    narrowing = np.maximum(0, np.ceil(np.log2(np.maximum(spread, 1) / 32767))).astype(np.int64)
    m, s = fixed_point.multiplier(gain * 2.0**narrowing, where, COUNT_SHIFTS)
    if (np.abs(origin) > 1 << 30).any() or (narrowing > 15).any() or (m == 0).any():
        raise QuantizationError(f"{where}: a count_size of {size} does not fit the recordings")
    shift = s.astype(np.int64)
    fixed = np.rint((offset + gain * origin) * 2.0**shift).astype(np.int64) + ((1 << shift) >> 1)
    return np.array([origin, narrowing, m, fixed, shift]).astype(np.int32)


def _count_size(converter: Converter, source: str) -> Array:
    """What one count is in raw units: one number, or one for each number of the input. Whole recordings are counts."""
    program, given = converter.program, converter.settings.count_size
    sizes = np.atleast_1d(np.array(1.0 if given is None else given, np.float64))
    total = sum(port.size for port in program.inputs)
    if len(sizes) not in (1, total):
        raise QuantizationError(f"count_size has {len(sizes)} entries, it must have 1 or {total}, one for each channel")
    return sizes if len(sizes) == 1 else sizes[program.channels_of(source)]


def _by_channel(numbers: Array, channels: tuple[int, ...]) -> Array | None:
    """Numbers of a whole input as those of its last axis; None if they are not the same in all of its rows."""
    if numbers.size == 1:
        return numbers.ravel()
    rows = numbers.reshape(-1, *channels)  # (rows of a frame, channels)
    first: Array = rows[0]
    return first if (rows == first).all() else None
