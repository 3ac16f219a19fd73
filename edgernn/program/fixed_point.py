"""Real numbers to fixed point: multipliers with shifts, int8 rows, tables of functions. Overflow is proved here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.errors import QuantizationError
from edgernn.program.operations.int8.base import MAX_BIAS, SHIFTS, TABLE_ENTRIES, accumulator_bound

Array: TypeAlias = NDArray[Any]

GRID_TOLERANCE = 2.0**-14  # of a step; float32 rounds 127 steps by 2^-17
MIN_MULTIPLIER = 2.0 ** (14 - SHIFTS[1])


def multiplier(value: ArrayLike, where: str, shifts: tuple[int, int] = SHIFTS) -> tuple[Array, Array]:
    """``value = m / 2^s`` with m of 15 bits and a sign: int16 m and int8 s, of the shape of `value`.

    A value too small for the largest of `shifts` becomes 0.

    Raises
    ------
    QuantizationError
        A value is too large for the smallest of `shifts`.

    Examples
    --------
    >>> multiplier([1.0, 0.3], "an example")
    (array([16384, 19661], dtype=int16), array([14, 16], dtype=int8))
    """
    values = np.asarray(value, np.float64)
    fraction, exponent = np.frexp(values)  # |fraction| in [0.5, 1)
    m = np.rint(fraction * (1 << 15))
    carried = np.abs(m) == 1 << 15
    m, s = np.where(carried, m / 2, m), 15 - exponent - carried
    too_small = (s > shifts[1]) | (m == 0)
    m, s = np.where(too_small, 0, m), np.where(too_small, 17, s)
    if (s < shifts[0]).any():
        raise QuantizationError(
            f"{where}: a factor of {np.abs(values).max():.3g} between scales is too large for the integer arithmetic; "
            "normalise the input in the model, or keep this operation in float with keep_float"
        )
    return m.astype(np.int16), s.astype(np.int8)


def grid_scale(W: Array) -> Array:
    """The scale of each row of W (rows, columns) whose numbers are already int8 integers times a scale, else 0.

    So a model that was quantized before keeps its integers: its float weights are ``q * scale``, rounded to float32.
    Integers with a common factor are taken without it. Rows of fewer than three columns show nothing.

    Examples
    --------
    >>> grid_scale(np.array([[0.5, -0.25, 1.75], [0.1, 0.0314, 0.0159]]))
    array([0.25, 0.  ])
    """
    scale = np.zeros(len(W))
    largest = np.abs(W).max(axis=1, initial=0.0)
    if W.shape[1] < 3:
        return scale
    for k in range(1, 129):
        rows = np.flatnonzero((scale == 0) & (largest > 0))
        for columns in (slice(8), slice(None)):  # few columns are enough to see that a row is no such
            steps = W[rows, columns] / (largest[rows, None] / k)
            on_grid = (np.abs(steps - np.rint(steps)) < GRID_TOLERANCE).all(axis=1) & (steps < 127.5).all(axis=1)
            rows = rows[on_grid]
        scale[rows] = largest[rows] / k
    return scale


class QuantizedRows(NamedTuple):
    """Int8 rows with multiplier and shift, and the weights that they stand for."""

    weights: Array  # (rows, columns) int8
    multiplier: Array  # (rows,) int16
    shift: Array  # (rows,) int8
    meaning: Array  # (rows, columns) float64


def quantize_rows(W: Array, input_scale: float, output_scale: Array, bits: int, where: str) -> QuantizedRows:
    """Round each row of W (rows, columns) to int8 with its own scale, proved not to overflow.

    A row's scale is that of the integers it consists of (`grid_scale`), else its largest weight / 127; wider where 32
    bits could overflow.

    Raises
    ------
    QuantizationError
        No scale of a row is free of overflow.
    """
    operand_scale = input_scale * (1 if bits == 16 else 256)
    factor = operand_scale / output_scale  # (rows,): multiplier of a row with scale 1
    own = grid_scale(W)
    scale = np.where(own > 0, own, np.abs(W).max(axis=1) / 127)  # (rows,)
    scale = np.maximum(scale, MIN_MULTIPLIER / factor)
    for _ in range(48):
        weights = np.clip(np.rint(W / scale[:, None]), -128, 127).astype(np.int8)
        used = np.where(weights.any(axis=1), scale * factor, 0)
        m, s = multiplier(used, where)
        overflows = accumulator_bound(weights, bits) >= 1 << 31
        if not overflows.any():
            return QuantizedRows(weights, m, s, weights * scale[:, None])
        scale = np.where(overflows, scale * 1.25, scale)
    raise QuantizationError(
        f"{where}: row {int(np.argmax(overflows))} could overflow 32 bits at every scale; its weights are too large or "
        "too many for its output. Keep this operation in float with keep_float"
    )


def quantize_bias(B: Array, scale: ArrayLike, where: str) -> Array:
    """Bias in the output's format, int32.

    Raises
    ------
    QuantizationError
        A bias is larger than 2^28 of the output's units.
    """
    q = np.rint(B / scale)
    if q.size and np.abs(q).max() > MAX_BIAS:
        raise QuantizationError(
            f"{where}: a bias of {np.abs(B).max():.3g} is too large; keep it in float with keep_float"
        )
    return q.astype(np.int32)


def function_table(function: Callable[[Array], Array], input_scale: float, output_scale: float) -> Array:
    """The int16 table of a function: its values at -32768, -32640, ..., 32768 of the input's integers, (513,)."""
    nodes = (np.arange(TABLE_ENTRIES) - 256) * 128.0 * input_scale
    return np.clip(np.rint(function(nodes) / output_scale), -32768, 32767).astype(np.int16)


def octave_table(function: Callable[[Array], Array], input_scale: float, output_scale: float, odd: bool) -> Array:
    """The int16 table of a function by octaves: at 0, at 32 places of each octave of the integers, and at 2^15, (482,).

    A value at 0 that does not exist is 0, an infinite one the end of the range.

    Examples
    --------
    >>> octave_table(np.sqrt, 1.0, 0.01, odd=False)[[0, 1, 33, -1]]
    array([    0,   100,   141, 18102], dtype=int16)
    """
    octaves = np.ldexp(np.arange(32.0, 64.0), np.arange(-5, 10)[:, np.newaxis])  # (15, 32): 1 to 2^15
    nodes = np.concatenate([[0.0], octaves.ravel(), [32768.0]]) * input_scale
    with np.errstate(all="ignore"):
        entries = np.nan_to_num(function(nodes) / output_scale, nan=0.0)
    lowest = -32767 if odd else -32768
    return np.clip(np.rint(entries), lowest, 32767).astype(np.int16)


def power_of_two(limit: float) -> float:
    """The smallest power of two that is at least `limit`, and at least 1/256; 2^-15 of it is the scale of an int16."""
    return float(2.0 ** np.ceil(np.log2(max(limit, 2.0**-8))))
