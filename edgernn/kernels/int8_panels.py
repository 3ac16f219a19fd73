"""Integer matrix times vector, panel by panel, in the forms of int8_forms.py; int8_packing.py has the layout.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from functools import reduce

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.int8_forms import FORMS, SUMS, forms_of
from edgernn.kernels.int8_packing import HEAD_REGISTERS
from edgernn.kernels.int8_simd import (
    SHORT,
    Integers,
    constant,
    load16,
    load32,
    pointer,
    rescaled,
    smaller,
    splat,
    store8,
    store16,
    vector,
)
from edgernn.kernels.simd import BYTE, INT, inline
from edgernn.kernels.target import processor

NATIVE_LANES = processor().lanes
LINE_BYTES, FETCHED_LINES = 64, 32  # of a cache
MOST_SUMS = 12  # registers: enough to hide the latency of two multiply-adds a cycle
FORMS_HERE = forms_of(processor(), 8)  # "halves" needs the instruction of "vnni"


def _call(builder, name, result, *arguments):
    """Call an LLVM intrinsic by its full name."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


# One group of columns for `lanes` rows: sum + weights * operands, where both addresses point at the group


def _plain(builder, weights, operands, total):
    lanes = total.type.count
    number = builder.load(pointer(builder, operands, SHORT), align=1)
    row = builder.load(pointer(builder, weights, vector(BYTE, lanes)), align=1)
    row = builder.sext(builder.sext(row, vector(SHORT, lanes)), total.type)
    return builder.add(total, builder.mul(row, builder.sext(splat(builder, number, lanes), total.type)))


def _pairs(builder, weights, operands, total):
    lanes = total.type.count
    short, wide = vector(SHORT, 2 * lanes), vector(INT, 2 * lanes)
    pair = builder.bitcast(splat(builder, builder.load(pointer(builder, operands, INT), align=1), lanes), short)
    rows = builder.load(pointer(builder, weights, vector(BYTE, 2 * lanes)), align=1)
    products = builder.mul(builder.sext(builder.sext(rows, short), wide), builder.sext(pair, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    order = vector(INT, lanes)
    even, odd = (ir.Constant(order, list(range(first, 2 * lanes, 2))) for first in (0, 1))
    both = builder.add(
        builder.shuffle_vector(products, undefined, even), builder.shuffle_vector(products, undefined, odd)
    )
    return builder.add(total, both)


def _fours(builder, weights, operands, total, widen):
    """The sums of "vnni" and "dot" on processors that lack the instruction: for tests, not for speed."""
    lanes = total.type.count
    bytes_of, wide = vector(BYTE, 4 * lanes), vector(INT, 4 * lanes)
    four = splat(builder, builder.load(pointer(builder, operands, INT), align=1), lanes)
    rows = builder.sext(builder.load(pointer(builder, weights, bytes_of), align=1), wide)
    products = builder.mul(rows, widen(builder, builder.bitcast(four, bytes_of), wide))
    for column in range(4):
        order = ir.Constant(vector(INT, lanes), list(range(column, 4 * lanes, 4)))
        total = builder.add(total, builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), order))
    return total


def _vnni(builder, weights, operands, total):
    if "vnni" not in FORMS_HERE:
        return _fours(builder, weights, operands, total, ir.IRBuilder.zext)
    lanes = total.type.count
    four = splat(builder, builder.load(pointer(builder, operands, INT), align=1), lanes)
    rows = builder.load(pointer(builder, weights, total.type), align=1)
    return _call(builder, f"llvm.x86.avx512.vpdpbusd.{32 * lanes}", total.type, total, four, rows)


def _dot(builder, weights, operands, total):
    if "dot" not in FORMS_HERE:
        return _fours(builder, weights, operands, total, ir.IRBuilder.sext)
    lanes = total.type.count
    bytes_of = vector(BYTE, 4 * lanes)
    four = builder.bitcast(splat(builder, builder.load(pointer(builder, operands, INT), align=1), lanes), bytes_of)
    rows = builder.load(pointer(builder, weights, bytes_of), align=1)
    return _call(builder, f"llvm.aarch64.neon.sdot.v{lanes}i32.v{4 * lanes}i8", total.type, total, rows, four)


MULTIPLY = {"plain": _plain, "pairs": _pairs, "vnni": _vnni, "halves": _vnni, "dot": _dot}


def _joined(builder, registers):
    """Processor registers end to end."""
    while len(registers) > 1:
        count = registers[0].type.count
        order = ir.Constant(vector(INT, 2 * count), list(range(2 * count)))
        registers = [builder.shuffle_vector(a, b, order) for a, b in zip(registers[::2], registers[1::2], strict=True)]
    return registers[0]


def make_panel_bytes(form, lanes, gates):
    """A function ``panel_bytes(size)``: from one panel of `size` columns to the next."""
    step = FORMS[form].step

    @inline
    def panel_bytes(size):
        return gates * lanes * (HEAD_REGISTERS * 4 + ((size + step - 1) & -step))

    return panel_bytes


def make_fetch(form, lanes, gates):
    """A function ``fetch(panels, index, size)`` that asks for the first cache lines of a panel ahead of their use.

    Between two products a kernel computes gates, while the way from the second-level cache would lie idle.
    """
    panel_bytes = make_panel_bytes(form, lanes, gates)

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
        fetch_lines(panels + index * panel_bytes(size))

    return fetch


def make_product(form, lanes, gates):
    """A function ``product(panels, index, operands, size)``: ARITHMETIC.md's product plus bias, `gates` registers.

    It takes the panel with this index and `size` operands, padded as the panels are.
    """
    group, operand_bytes, step = FORMS[form].columns, FORMS[form].operand_bytes, FORMS[form].step
    groups, splits, multiply = FORMS[form].groups, FORMS[form].splits, MULTIPLY[form]
    native = vector(INT, NATIVE_LANES)
    parts = lanes // NATIVE_LANES  # processor registers of a gate
    register_bytes, head_bytes = 4 * lanes, HEAD_REGISTERS * gates * 4 * lanes
    panel_bytes = make_panel_bytes(form, lanes, gates)
    turn = SUMS * gates * parts  # sums of one turn of the loop
    turns = next(turns for turns in (4, 2, 1) if turns * turn <= MOST_SUMS or turns == 1)
    sums_type = types.UniTuple(Integers(NATIVE_LANES), turns * turn)
    result_type = types.UniTuple(Integers(lanes), gates)
    group_bytes = gates * lanes * group
    next_sum = 4 if splits else group * operand_bytes  # what the second sum of a row reads lies behind the first's

    @intrinsic
    def start(typing, panel):
        def lower(context, builder, signature, arguments):
            starts = [
                builder.load(
                    pointer(
                        builder,
                        arguments[0],
                        native,
                        gate * HEAD_REGISTERS * register_bytes + part * 4 * NATIVE_LANES,
                    ),
                    align=4,
                )
                for gate in range(gates)
                for part in range(parts)
            ]
            zeros = [constant(native, 0)] * (turns * turn - len(starts))
            return context.make_tuple(builder, sums_type, starts + zeros)

        return sums_type(types.int64), lower

    @intrinsic(prefer_literal=True)
    def accumulate(typing, weights, operands, sums, count):
        def lower(context, builder, signature, arguments):
            weights, operands, before, _ = arguments
            registers = [builder.extract_value(before, index) for index in range(sums_type.count)]
            for index in range(count.literal_value * turn):  # turn, group, gate, part; halves share their weights
                which, place = divmod(index, gates * parts)
                number = which // SUMS * gates * parts + place if splits else index
                at = builder.add(weights, ir.Constant(weights.type, number * NATIVE_LANES * group))
                x = builder.add(operands, ir.Constant(weights.type, which * next_sum))
                registers[index] = multiply(builder, at, x, registers[index])
            return context.make_tuple(builder, sums_type, registers)

        return sums_type(types.int64, types.int64, sums_type, count), lower

    @intrinsic
    def finish(typing, panel, sums):
        def lower(context, builder, signature, arguments):
            panel, sums = arguments
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
                head = [
                    builder.load(
                        pointer(builder, panel, vector(INT, lanes), (gate * HEAD_REGISTERS + place) * register_bytes),
                        align=4,
                    )
                    for place in range(1, HEAD_REGISTERS)
                ]
                results.append(rescaled(builder, _joined(builder, registers), *head))
            return context.make_tuple(builder, result_type, results)

        return result_type(types.int64, sums_type), lower

    @inline
    def product(panels, index, operands, size):
        columns = (size + step - 1) & -step
        panel = panels + index * panel_bytes(size)
        sums = start(panel)
        weights = panel + head_bytes
        end = operands + columns * operand_bytes
        if turns > 1:
            while operands <= end - turns * step * operand_bytes:
                sums = accumulate(weights, operands, sums, turns)
                weights += turns * groups * group_bytes
                operands += turns * step * operand_bytes
        while operands < end:
            sums = accumulate(weights, operands, sums, 1)
            weights += groups * group_bytes
            operands += step * operand_bytes
        return finish(panel, sums)

    return product


@intrinsic
def store_halves(typing, address, register):
    """Store unsigned numbers of 16 bits as bytes: of each four first the upper halves, then the lower ones."""

    def lower(context, builder, signature, arguments):
        address, numbers = arguments
        lanes = register.lanes
        upper, lower = (
            builder.bitcast(builder.trunc(half, vector(BYTE, lanes)), vector(INT, lanes // 4))
            for half in (builder.lshr(numbers, constant(numbers.type, 8)), numbers)
        )
        order = [place for four in range(lanes // 4) for place in (four, lanes // 4 + four)]
        halves = builder.shuffle_vector(upper, lower, ir.Constant(vector(INT, len(order)), order))
        builder.store(halves, pointer(builder, address, halves.type), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, register), lower


def make_operands(form, operand_bits, wide=False):
    """A function ``operands(target, source, size)``: what a matrix product reads of `size` numbers.

    The source holds int16, or with `wide` int32 whose high halves count. Whole registers are written.
    """
    source_bytes = 4 if wide else 2
    operand_bytes, offset = FORMS[form].operand_bytes, FORMS[form].offset
    rounds, is_short, splits = operand_bits == 8, operand_bytes == 2, FORMS[form].splits

    @inline
    def operands(target, source, size):
        for k in range(0, size, NATIVE_LANES):
            x = (
                load32(source + source_bytes * k, NATIVE_LANES) >> 16
                if wide
                else load16(source + source_bytes * k, NATIVE_LANES)
            )
            if rounds:
                x = smaller((x + 128) >> 8, 127) + offset
            if splits:
                store_halves(target + operand_bytes * k, x + (offset << 8))
            elif is_short:
                store16(target + operand_bytes * k, x)
            else:
                store8(target + operand_bytes * k, x)

    return operands
