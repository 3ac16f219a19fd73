"""Integer matrix times vector, panel by panel, in the forms of int8_forms.py; int8_packing.py has the layout.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from functools import reduce

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import BYTE, INT, inline, load_long
from edgernn.kernels.codegen.simd_int32 import (
    SHORT,
    Integers,
    call,
    constant,
    pointer,
    vector,
)
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.int8.products.forms import FORMS, SUMS, forms_of
from edgernn.kernels.int8.products.operands import rounded_bytes
from edgernn.kernels.int8.products.packing import LINE_BYTES
from edgernn.kernels.int8.rescale import (
    NO_BIAS,
    limited_shift,
    rescaled,
)

NATIVE_LANES = processor().lanes
FETCHED_LINES = 64  # of a cache
MAX_SUMS = 12  # registers: enough to hide the latency of two multiply-adds a cycle
FORMS_HERE = forms_of(processor(), 8)  # "halves" needs the instruction of "vnni"


def _repeated(builder, operands, kind, lanes, groups, stride):
    """Each lane's operands: those of `groups` groups of columns, from address `operands` on, again and again.

    Only every `stride`-th number there counts.
    """
    numbers = builder.load(pointer(builder, operands, vector(kind, stride * (groups - 1) + 1)), align=1)
    order = ir.Constant(vector(INT, lanes), [lane % groups * stride for lane in range(lanes)])
    return builder.shuffle_vector(numbers, ir.Constant(numbers.type, ir.Undefined), order)


def _rounded(builder, numbers, form, lanes, groups):
    """The same of 8 bits each, from int16 numbers."""
    shorts = builder.load(pointer(builder, numbers, vector(SHORT, 4 * groups)), align=1)
    fours = builder.bitcast(rounded_bytes(builder, shorts, form), vector(INT, groups))
    order = ir.Constant(vector(INT, lanes), [lane % groups for lane in range(lanes)])
    return builder.shuffle_vector(fours, ir.Constant(fours.type, ir.Undefined), order)


# One group of columns for each lane: sum + weights * operands, where the weights' address points at the group


def _plain(builder, weights, number, total):
    lanes = total.type.count
    row = builder.load(pointer(builder, weights, vector(BYTE, lanes)), align=1)
    row = builder.sext(builder.sext(row, vector(SHORT, lanes)), total.type)
    return builder.add(total, builder.mul(row, builder.sext(number, total.type)))


def _pairs(builder, weights, pair, total):
    lanes = total.type.count
    short, wide = vector(SHORT, 2 * lanes), vector(INT, 2 * lanes)
    pair = builder.bitcast(pair, short)
    rows = builder.load(pointer(builder, weights, vector(BYTE, 2 * lanes)), align=1)
    products = builder.mul(builder.sext(builder.sext(rows, short), wide), builder.sext(pair, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    order = vector(INT, lanes)
    even, odd = (ir.Constant(order, list(range(first, 2 * lanes, 2))) for first in (0, 1))
    both = builder.add(
        builder.shuffle_vector(products, undefined, even), builder.shuffle_vector(products, undefined, odd)
    )
    return builder.add(total, both)


def _fours(builder, weights, four, total, widen):
    """The sums of "vnni" and "dot" on processors that lack the instruction: for tests, not for speed."""
    lanes = total.type.count
    bytes_of, wide = vector(BYTE, 4 * lanes), vector(INT, 4 * lanes)
    rows = builder.sext(builder.load(pointer(builder, weights, bytes_of), align=1), wide)
    products = builder.mul(rows, widen(builder, builder.bitcast(four, bytes_of), wide))
    for column in range(4):
        order = ir.Constant(vector(INT, lanes), list(range(column, 4 * lanes, 4)))
        total = builder.add(total, builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), order))
    return total


def _vnni(builder, weights, four, total):
    if "vnni" not in FORMS_HERE:
        return _fours(builder, weights, four, total, ir.IRBuilder.zext)
    lanes = total.type.count
    rows = builder.load(pointer(builder, weights, total.type), align=1)
    return call(builder, f"llvm.x86.avx512.vpdpbusd.{32 * lanes}", total.type, total, four, rows)


def _dot(builder, weights, four, total):
    if "dot" not in FORMS_HERE:
        return _fours(builder, weights, four, total, ir.IRBuilder.sext)
    lanes = total.type.count
    bytes_of = vector(BYTE, 4 * lanes)
    four = builder.bitcast(four, bytes_of)
    rows = builder.load(pointer(builder, weights, bytes_of), align=1)
    return call(builder, f"llvm.aarch64.neon.sdot.v{lanes}i32.v{4 * lanes}i8", total.type, total, rows, four)


MULTIPLY = {"plain": _plain, "pairs": _pairs, "vnni": _vnni, "halves": _vnni, "dot": _dot}


def _joined(builder, registers):
    """Processor registers end to end."""
    while len(registers) > 1:
        count = registers[0].type.count
        order = ir.Constant(vector(INT, 2 * count), list(range(2 * count)))
        registers = [builder.shuffle_vector(a, b, order) for a, b in zip(registers[::2], registers[1::2], strict=True)]
    return registers[0]


def _summed(builder, sums, groups):
    """The sums of each `groups` neighbouring lanes."""
    lanes, half = sums.type.count, groups // 2
    undefined = ir.Constant(sums.type, ir.Undefined)
    while half:
        order = ir.Constant(vector(INT, lanes), [lane ^ half for lane in range(lanes)])
        sums = builder.add(sums, builder.shuffle_vector(sums, undefined, order))
        half //= 2
    order = ir.Constant(vector(INT, lanes // groups), list(range(0, lanes, groups)))
    return builder.shuffle_vector(sums, undefined, order)


def make_panel_bytes(form, lanes, gates, biases):
    """A function ``panel_bytes(size)``: from one panel of `size` columns to the next."""
    step, head_bytes = FORMS[form].step, 4 * lanes * (2 * gates + biases)

    @inline
    def panel_bytes(size):
        return head_bytes + gates * lanes * ((size + step - 1) & -step)

    return panel_bytes


def make_fetch(form, lanes, gates, biases):
    """A function ``fetch(panels, index, size)`` that asks for the first cache lines of a panel ahead of their use.

    Between two products a kernel computes gates, while the way from the second-level cache would lie idle.
    """
    panel_bytes = make_panel_bytes(form, lanes, gates, biases)

    @intrinsic
    def fetch_lines(typing, address):
        def lower(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.VoidType(), [BYTE.as_pointer(), INT, INT, INT])
            name = "llvm.prefetch.p0"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            read, keep, data = (ir.Constant(INT, number) for number in (0, 3, 1))
            for line in range(FETCHED_LINES):
                builder.call(function, (pointer(builder, arguments[0], BYTE, LINE_BYTES * line), read, keep, data))
            return context.get_dummy_value()

        return types.void(types.int64), lower

    @inline
    def fetch(panels, index, size):
        fetch_lines(panels + LINE_BYTES + index * panel_bytes(size))

    return fetch


def make_product(form, lanes, gates, biases, groups=1, rounds=False):
    """A function ``product(panels, index, operands, size)``: ARITHMETIC.md's product plus bias, `gates` registers.

    It takes the panel with this index and `size` operands, padded as the panels are. Of the gates the last `biases`
    have a bias. With more `groups` of columns in a register the panel is a narrow one: each so many lanes make a row.
    With `rounds` the operands are int16 numbers, rounded to 8 bits on the way, in forms of four columns.
    """
    columns, step = FORMS[form].columns, FORMS[form].step * groups
    operand_bytes = 2 if rounds else FORMS[form].operand_bytes
    splits, multiply = FORMS[form].splits, MULTIPLY[form]
    operand = SHORT if columns == 1 else INT  # the operands of a group
    native = vector(INT, NATIVE_LANES)
    parts = lanes // NATIVE_LANES  # processor registers of a gate
    rows = lanes // groups
    head_bytes = 4 * lanes * (2 * gates + biases if groups == 1 else 2)
    panel_bytes = make_panel_bytes(form, lanes, gates, biases)
    turn = SUMS * gates * parts  # sums of one turn of the loop
    turns = next(turns for turns in (4, 2, 1) if turns * turn <= MAX_SUMS or turns == 1)
    sums_type = types.UniTuple(Integers(NATIVE_LANES), turns * turn)
    result_type = types.UniTuple(Integers(rows), gates)
    side_bytes = gates * lanes * columns  # of weights that are worked on with one operand in each lane
    sides = FORMS[form].groups
    next_sum = 4 if splits else groups * columns * operand_bytes  # the second sum reads behind the first

    @intrinsic
    def start(typing, panel):
        def lower(context, builder, signature, arguments):
            starts = [
                builder.load(pointer(builder, arguments[0], native, register * 4 * NATIVE_LANES), align=4)
                for register in range(gates * parts)
            ]
            zeros = [constant(native, 0)] * (turns * turn - len(starts))
            return context.make_tuple(builder, sums_type, starts + zeros)

        return sums_type(types.int64), lower

    def _place(which):
        """Bytes from the first operands of a turn of the loop to those of another sum."""
        turn_number, side = divmod(which, SUMS)
        return turn_number * step * operand_bytes + side * next_sum

    @intrinsic(prefer_literal=True)
    def accumulate(typing, weights, operands, sums, count):
        def lower(context, builder, signature, arguments):
            weights, operands, before, _ = arguments
            registers = [builder.extract_value(before, index) for index in range(sums_type.count)]
            for index in range(count.literal_value * turn):  # turn, group, gate, part; halves share their weights
                which, place = divmod(index, gates * parts)
                number = which // SUMS * gates * parts + place if splits else index
                at = builder.add(weights, ir.Constant(weights.type, number * NATIVE_LANES * columns))
                from_x = builder.add(operands, ir.Constant(weights.type, _place(which)))
                if rounds:
                    x = _rounded(builder, from_x, form, NATIVE_LANES, groups)
                else:
                    x = _repeated(builder, from_x, operand, NATIVE_LANES, groups, 2 if splits else 1)
                registers[index] = multiply(builder, at, x, registers[index])
            return context.make_tuple(builder, sums_type, registers)

        return sums_type(types.int64, types.int64, sums_type, count), lower

    @intrinsic
    def add_up(typing, sums):
        def lower(context, builder, signature, arguments):
            (sums,) = arguments
            results = []
            for gate in range(gates):
                registers = []
                for part in range(parts):
                    totals = [
                        builder.extract_value(sums, (which * gates + gate) * parts + part)
                        for which in range(turns * SUMS)
                    ]
                    first, second = (reduce(builder.add, totals[which::SUMS]) for which in range(SUMS))
                    if splits:
                        first = builder.shl(first, constant(native, 8))
                    registers.append(builder.add(first, second))
                results.append(_summed(builder, _joined(builder, registers), groups))
            return context.make_tuple(builder, result_type, results)

        return result_type(sums_type), lower

    @intrinsic
    def shift(typing, panel, totals):
        def lower(context, builder, signature, arguments):
            panel, totals = arguments
            results = [
                limited_shift(builder, builder.extract_value(totals, gate), head_register(builder, panel, gate))
                for gate in range(gates)
            ]
            return context.make_tuple(builder, result_type, results)

        return result_type(types.int64, result_type), lower

    @intrinsic
    def finish(typing, panel, totals):
        def lower(context, builder, signature, arguments):
            panel, totals = arguments
            results = []
            for gate in range(gates):
                total = builder.extract_value(totals, gate)
                factor, bias = head_register(builder, panel, gate), constant(total.type, NO_BIAS)
                if gate >= gates - biases:
                    bias = head_register(builder, panel, gate + biases)
                results.append(rescaled(builder, total, factor, bias))
            return context.make_tuple(builder, result_type, results)

        return result_type(types.int64, result_type), lower

    def head_register(builder, panel, place):
        """A register of factors, or of biases behind those."""
        kind = vector(INT, rows)
        return builder.load(pointer(builder, panel, kind, 4 * (gates * lanes + place * rows)), align=4)

    @inline
    def product(panels, index, operands, size):
        padded = (size + step - 1) & -step
        panel = panels + LINE_BYTES + index * panel_bytes(size)
        sums = start(panel)
        weights = panel + head_bytes
        end = operands + padded * operand_bytes
        if turns > 1:
            while operands <= end - turns * step * operand_bytes:
                sums = accumulate(weights, operands, sums, turns)
                weights += turns * sides * side_bytes
                operands += turns * step * operand_bytes
        while operands < end:
            sums = accumulate(weights, operands, sums, 1)
            weights += sides * side_bytes
            operands += step * operand_bytes
        totals = add_up(sums)
        if load_long(panels) != 0:
            totals = shift(panel, totals)
        return finish(panel, totals)

    return product
