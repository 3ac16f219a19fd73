"""Integer softmax, ARITHMETIC.md section 6. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import broadcast, first_lanes, inline, load_float, slot, store
from edgernn.kernels.codegen.simd_int32 import (
    filled,
    larger,
    largest_everywhere,
    load16,
    load32,
    look_up,
    quotient,
    smaller,
    store16,
    store32,
    sum_everywhere,
    to_floats,
)
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.elementwise.words import look_up_64
from edgernn.kernels.int8.instructions import Int8SoftmaxInstruction
from edgernn.kernels.int8.rescale import (
    rescale_short,
)

SOFTMAX = slots(Int8SoftmaxInstruction)


def make_power(look_up):
    """A function ``power(distance, multiplier, shift, table)``: 2 to the minus rescaled distance, Q4.12 to Q0.15."""

    @inline
    def power(distance, multiplier, shift, table):
        octaves = smaller(rescale_short(distance, multiplier, shift), 69631)
        entry, fraction, whole = look_up(table, (octaves >> 6) & 63), octaves & 63, octaves >> 12
        mantissa = (entry & 65535) + (((entry >> 16) * fraction + 31) >> 6)
        return (2 * mantissa + (1 << whole)) >> (whole + 1)

    return power


@inline
def share(e, total):
    """A part of the total, Q0.15."""
    return smaller(quotient(e * 32768 + (total >> 1), total), 32767)


def build(length, lanes, tables, output):
    """The kernel for registers of `lanes`; "short" rows fit into one.

    Its output is "int16", or, where nothing else reads that, what leaves the integers: "float32" or "int32". What is
    written behind the end of a row, the next row replaces.
    """
    power = make_power(look_up_64 if tables == "words" else look_up)
    return {"short": _short, "long": _long}[length](int(lanes), power, 2 if output == "int16" else 4, WRITE[output])


@inline
def _write_float(address, y, scale):
    store(address, to_floats(y) * scale)


WRITE = {
    "int16": inline(lambda address, y, scale: store16(address, y)),
    "int32": inline(lambda address, y, scale: store32(address, y)),
    "float32": _write_float,
}


def _short(lanes, power, y_bytes, write):
    def softmax(row, weights, state, arena):
        x, y, size = arena + slot(row, SOFTMAX.x), arena + slot(row, SOFTMAX.y), slot(row, SOFTMAX.size)
        table, multiplier, shift = (
            weights + slot(row, SOFTMAX.table),
            slot(row, SOFTMAX.multiplier),
            slot(row, SOFTMAX.shift),
        )
        scale = broadcast(load_float(weights + slot(row, SOFTMAX.scale)), lanes)
        for _ in range(slot(row, SOFTMAX.rows)):
            numbers = first_lanes(size, load16(x, lanes), filled(-32768, lanes))
            e = power(largest_everywhere(numbers) - numbers, multiplier, shift, table)
            e = first_lanes(size, e, filled(0, lanes))
            write(y, share(e, sum_everywhere(e)), scale)
            x += 2 * size
            y += y_bytes * size
        return 0

    return softmax


def _long(lanes, power, y_bytes, write):
    def softmax(row, weights, state, arena):
        x, y, size = arena + slot(row, SOFTMAX.x), arena + slot(row, SOFTMAX.y), slot(row, SOFTMAX.size)
        table, multiplier, shift = (
            weights + slot(row, SOFTMAX.table),
            slot(row, SOFTMAX.multiplier),
            slot(row, SOFTMAX.shift),
        )
        scale = broadcast(load_float(weights + slot(row, SOFTMAX.scale)), lanes)
        scratch = arena + slot(row, SOFTMAX.scratch)
        lowest, zero = filled(-32768, lanes), filled(0, lanes)
        for _ in range(slot(row, SOFTMAX.rows)):
            most = lowest
            for k in range(0, size, lanes):
                most = larger(most, first_lanes(size - k, load16(x + 2 * k, lanes), lowest))
            largest, sums = largest_everywhere(most), zero
            for k in range(0, size, lanes):
                e = power(largest - load16(x + 2 * k, lanes), multiplier, shift, table)
                sums = sums + first_lanes(size - k, e, zero)
                store32(scratch + 4 * k, e)
            total = sum_everywhere(sums)
            for k in range(0, size, lanes):
                write(y + y_bytes * k, share(load32(scratch + 4 * k, lanes), total), scale)
            x += 2 * size
            y += y_bytes * size
        return 0

    return softmax
