"""Integer matrix times vector plus bias. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.codegen.simd_int32 import clamp, store16
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8DenseInstruction
from edgernn.kernels.int8.products.operands import make_operands
from edgernn.kernels.int8.products.panels import make_product

DENSE = slots(Int8DenseInstruction)


def build(form, operand_bits, lanes, groups, reading):
    """The kernel for panels of `lanes`; with more than one of `groups` they are narrow.

    Products read x where it lies, "in_place", and maybe what follows it, or a "copy" in the form that they want.
    """
    rows, in_place = int(lanes) // int(groups), reading == "in_place"
    rounds = in_place and operand_bits == "8"
    product = make_product(form, int(lanes), 1, 1, int(groups), rounds)
    prepare = make_operands(form, int(operand_bits))

    def dense(row, weights, state, arena):
        x, y, copy = arena + slot(row, DENSE.x), arena + slot(row, DENSE.y), arena + slot(row, DENSE.operands)
        input_size, output_size, panels = (
            slot(row, DENSE.input_size),
            slot(row, DENSE.output_size),
            weights + slot(row, DENSE.W),
        )
        low, high = slot(row, DENSE.low), slot(row, DENSE.high)
        for _ in range(slot(row, DENSE.rows)):
            operands = x
            if not in_place:
                operands = copy
                prepare(copy, x, input_size)
            for index in range((output_size + rows - 1) // rows):
                (result,) = product(panels, index, operands, input_size)
                # what lies behind the last output of a row is the next row, written later, or room
                store16(y + 2 * index * rows, clamp(result, low, high))
            x += 2 * input_size
            y += 2 * output_size
        return 0

    return dense
