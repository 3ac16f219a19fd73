"""Integer matrix product of each group, groups side by side in registers. Imports Numba: loaded only to compile."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, slot
from edgernn.kernels.codegen.simd_int32 import (
    clamp,
    load8,
    load16,
    load32,
    smaller,
    store16,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8GroupedInstruction
from edgernn.kernels.int8.rescale import (
    rescale_shifted,
    shift_before,
)

GROUPED = slots(Int8GroupedInstruction)
LANES = processor().lanes


def build(operand_bits):
    """The kernel for operands of 8 or 16 bits.

    Whole registers are stored, which the next ones overwrite: values have room behind their end.
    """
    operand = inline(lambda x: x) if operand_bits == "16" else inline(lambda x: smaller((x + 128) >> 8, 127))

    def grouped_dense(row, weights, state, arena):
        x, y = arena + slot(row, GROUPED.x), arena + slot(row, GROUPED.y)
        inputs, outputs, groups = (
            slot(row, GROUPED.input_size),
            slot(row, GROUPED.output_size),
            slot(row, GROUPED.groups),
        )
        shifts, low, high = slot(row, GROUPED.shifts) != 0, slot(row, GROUPED.low), slot(row, GROUPED.high)
        padded = (groups + LANES - 1) // LANES * LANES
        for _ in range(slot(row, GROUPED.rows)):
            W_row, constants = weights + slot(row, GROUPED.W), weights + slot(row, GROUPED.constants)
            for _ in range(outputs):
                for group in range(0, groups, LANES):
                    w, from_x = W_row + group, x + 2 * group
                    total = load8(w, LANES) * operand(load16(from_x, LANES))
                    for _ in range(1, inputs):
                        w += padded
                        from_x += 2 * groups
                        total = total + load8(w, LANES) * operand(load16(from_x, LANES))
                    factor, bias = load32(constants, LANES), load32(constants + 4 * LANES, LANES)
                    if shifts:
                        total = shift_before(total, factor)
                    store16(y + 2 * group, clamp(rescale_shifted(total, factor, bias), low, high))
                    constants += 8 * LANES
                W_row += inputs * padded
                y += 2 * groups
            x += 2 * inputs * groups
        return 0

    return grouped_dense
