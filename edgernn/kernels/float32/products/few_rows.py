"""Products of a matrix of few rows: a register works on several columns at once.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import INT, Register, broadcast, first_lanes, inline, load, multiply_add
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.float32.products.panels import SCALE, rescued


def _repeated(groups, rows):
    """An intrinsic that makes a register of `groups` numbers, each `rows` times."""

    @intrinsic
    def repeat(typing, register):
        def lower(context, builder, signature, arguments):
            order = ir.Constant(ir.VectorType(INT, groups * rows), [lane // rows for lane in range(groups * rows)])
            return builder.shuffle_vector(arguments[0], arguments[0], order)

        return Register(groups * rows)(register), lower

    return repeat


def _add_groups(groups, rows):
    """An intrinsic that adds up `groups` parts of a register: a register of `rows`."""

    @intrinsic
    def add(typing, register):
        def lower(context, builder, signature, arguments):
            (sums,) = arguments
            count = register.lanes
            while count > rows:
                count //= 2
                halves = [
                    ir.Constant(ir.VectorType(INT, count), list(range(begin, begin + count))) for begin in (0, count)
                ]
                low, high = (builder.shuffle_vector(sums, sums, half) for half in halves)
                sums = builder.fadd(low, high)
            return context.make_tuple(builder, signature.return_type, [sums])

        return types.UniTuple(Register(rows), 1)(register), lower

    return add


def make_single_panel_affine(rows, scaled=False):
    """`make_affine` for a matrix of up to `rows` rows, a power of two below the lanes of a register.

    A register works on as many numbers of x as it holds columns; packing.py has the layout.
    """
    lanes = processor().lanes
    groups = lanes // rows
    repeat, add_groups = _repeated(groups, rows), _add_groups(groups, rows)
    register_bytes, x_bytes = 4 * lanes, 4 * groups

    def make(factor):
        @inline
        def part(matrix, numbers, sums):
            return multiply_add(load(matrix, lanes) * factor, repeat(numbers * factor), sums)

        @inline
        def simple(matrix, x, size):
            a = load(matrix, lanes) * factor * factor
            matrix += register_bytes
            rest = size % groups
            end = x + 4 * (size - rest)
            while x < end:
                a = part(matrix, load(x, groups), a)
                matrix += register_bytes
                x += x_bytes
            if rest:  # what lies behind x may be anything
                a = part(matrix, first_lanes(rest, load(x, groups), broadcast(0.0, groups)), a)
            return add_groups(a)

        return simple

    @inline
    def part(matrix, numbers, sums):
        return multiply_add(load(matrix, lanes), repeat(numbers), sums)

    @inline
    def affine(matrix, x, size):
        a = load(matrix, lanes)
        b = c = d = broadcast(0.0, lanes)
        matrix += register_bytes
        rest = size % groups
        end = x + 4 * (size - rest)
        while x + 3 * x_bytes < end:
            a = part(matrix, load(x, groups), a)
            b = part(matrix + register_bytes, load(x + x_bytes, groups), b)
            c = part(matrix + 2 * register_bytes, load(x + 2 * x_bytes, groups), c)
            d = part(matrix + 3 * register_bytes, load(x + 3 * x_bytes, groups), d)
            matrix += 4 * register_bytes
            x += 4 * x_bytes
        while x < end:
            a = part(matrix, load(x, groups), a)
            matrix += register_bytes
            x += x_bytes
        if rest:  # what lies behind x may be anything
            b = part(matrix, first_lanes(rest, load(x, groups), broadcast(0.0, groups)), b)
        return add_groups((a + b) + (c + d))

    if not scaled:
        return affine
    plain, small = make(1.0), make(SCALE)

    @inline
    def affine_again(matrix, x, size):
        return rescued(plain(matrix, x, size), small(matrix, x, size))

    return affine_again
