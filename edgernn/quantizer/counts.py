"""The way of an input from the sensor's own counts to the integers of the program."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import QuantizationError
from edgernn.program import fixed_point
from edgernn.program.operations.int8.base import COUNT_SHIFTS
from edgernn.quantizer.formats import Formats

Array: TypeAlias = NDArray[Any]


def settings_of_counts(formats: Formats, source: str, mean: Array, inverse: Array) -> Array | None:
    """Settings of the way from sensor counts (5, channels) int32; None if the size of a count is not known.

    Where nobody asked for it and it does not fit, it is left out with a note.
    """
    raw = formats.trace.raw[source]
    if formats.settings.count_size is not None:
        return _settings(formats, source, mean, inverse)
    if (raw != np.rint(raw)).any():
        return None
    try:
        return _settings(formats, source, mean, inverse)
    except QuantizationError as error:
        formats.notes.append(f"no way from sensor counts, although the recordings hold integers: {error}")
        return None


def _settings(formats: Formats, source: str, mean: Array, inverse: Array) -> Array | None:
    """A count c is ``c * count_size`` raw units; normalised by the metadata, quantized as ``(x - mean) * inverse``."""
    raw, where = formats.trace.raw[source], f"input {source}, way from counts"
    normalisation = formats.program.normalisation(source) or (np.zeros(1), np.ones(1))
    raw_mean, raw_std, size = (
        _by_channel(numbers, mean.shape) for numbers in (*normalisation, _count_size(formats, source))
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


def _count_size(formats: Formats, source: str) -> Array:
    """What one count is in raw units: one number, or one for each number of the input. Whole recordings are counts."""
    program, given = formats.program, formats.settings.count_size
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
