"""What the kernels of the integer cells share. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.int8_rows import CellConstants
from edgernn.kernels.int8_simd import load16, load32, store16_first, store32_first
from edgernn.kernels.simd import inline

# places of a cell's constants
(
    LOW,
    HIGH,
    LOW_FINE,
    HIGH_FINE,
    FINE_TABLE,
    GAIN_LEFT,
    GAIN_ROUNDING,
    GAIN_RIGHT,
    CELL_LEFT,
    CELL_ROUNDING,
    CELL_RIGHT,
) = range(len(CellConstants._fields))
FIRST_FUNCTION = len(CellConstants._fields)  # where the constants of the functions begin


def make_state(wide, lanes):
    """Functions ``load_state(base, unit)`` and ``store_state(base, unit, register, size)`` of int16 or int32 states."""

    @inline
    def load_state(base, unit):
        return load32(base + 4 * unit, lanes) if wide else load16(base + 2 * unit, lanes)

    @inline
    def store_state(base, unit, register, size):
        if wide:
            store32_first(base + 4 * unit, register, size - unit, lanes)
        else:
            store16_first(base + 2 * unit, register, size - unit, lanes)

    return load_state, store_state
