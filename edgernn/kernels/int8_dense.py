"""Integer matrix times vector plus bias. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.int8_panels import make_operands, make_product
from edgernn.kernels.int8_rows import Int8DenseRow
from edgernn.kernels.int8_simd import saturate16, store16
from edgernn.kernels.rows import slots
from edgernn.kernels.simd import slot

X, Y, W, ROWS, INPUT_SIZE, OUTPUT_SIZE, OPERANDS = slots(Int8DenseRow)


def build(form, operand_bits, lanes):
    """The kernel for panels of `lanes`."""
    lanes = int(lanes)
    product, prepare = make_product(form, lanes, 1), make_operands(form, int(operand_bits))

    def dense(row, weights, state, arena):
        x, y, operands = arena + slot(row, X), arena + slot(row, Y), arena + slot(row, OPERANDS)
        input_size, output_size, panels = slot(row, INPUT_SIZE), slot(row, OUTPUT_SIZE), weights + slot(row, W)
        for _ in range(slot(row, ROWS)):
            prepare(operands, x, input_size)
            for index in range((output_size + lanes - 1) // lanes):
                (result,) = product(panels, index, operands, input_size)
                # what lies behind the last output of a row is the next row, written later, or room
                store16(y + 2 * index * lanes, saturate16(result))
            x += 2 * input_size
            y += 2 * output_size
        return 0

    return dense
