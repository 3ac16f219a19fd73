"""Gates in registers of 16-bit numbers: AVX-512 with byte and word instructions.

The shared tables of sigmoid and tanh, ARITHMETIC.md section 5.2, for 32 numbers at a time. A table is 256 entries, then
the way from each to the next one, all of 16 bits: eight registers each, from which ``vpermi2w`` picks by the low six
bits of an index and the two upper bits choose among four. The interpolation ``((T[i+1] - T[i]) * f + 64) >> 7`` is one
``vpmulhrsw`` by ``256 * f``, and so are the products with gates; the state's new value comes from sums of pairs.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import INT
from edgernn.kernels.codegen.simd_int32 import (
    SHORT,
    call,
    constant,
    pointer,
    vector,
)

LANES = 32
WORDS, DOUBLE_WORDS = vector(SHORT, LANES), vector(INT, LANES // 2)
TABLE_REGISTERS = 8  # of 256 entries


def _pick(builder, table, first_register, index):
    """Entries of the table of 256 that begins at a register, by indices from 0 to 255."""
    registers = [
        builder.load(pointer(builder, table, WORDS, 2 * LANES * (first_register + place)), align=1)
        for place in range(TABLE_REGISTERS)
    ]
    entries = [
        call(builder, "llvm.x86.avx512.vpermi2var.hi.512", WORDS, a, index, b)
        for a, b in zip(registers[::2], registers[1::2], strict=True)
    ]
    for bit in (64, 128):
        is_set = builder.icmp_unsigned("!=", builder.and_(index, constant(WORDS, bit)), constant(WORDS, 0))
        entries = [builder.select(is_set, b, a) for a, b in zip(entries[::2], entries[1::2], strict=True)]
    return entries[0]


def _of_32(builder, x, table, origin):
    """The function of 32 numbers; of a negative one it is `origin` minus that of its magnitude."""
    a = call(builder, "llvm.abs.v32i16", WORDS, x, ir.Constant(ir.IntType(1), 0))
    a = call(builder, "llvm.umin.v32i16", WORDS, a, constant(WORDS, 32767))
    index = builder.lshr(a, constant(WORDS, 7))
    fraction = builder.and_(builder.shl(a, constant(WORDS, 8)), constant(WORDS, 127 << 8))
    way = _pick(builder, table, TABLE_REGISTERS, index)
    step = call(builder, "llvm.x86.avx512.pmul.hr.sw.512", WORDS, way, fraction)
    y = builder.add(_pick(builder, table, 0, index), step)
    is_negative = builder.icmp_signed("<", x, constant(WORDS, 0))
    return builder.select(is_negative, builder.sub(constant(WORDS, origin), y), y)


def _in_parts(builder, generate, *registers):
    """What `generate` makes of registers of int32 whose numbers fit 16 bits, 32 of each at a time."""
    lanes, parts = registers[0].type.count, []
    for begin in range(0, lanes, LANES):
        places = ir.Constant(vector(INT, LANES), [min(begin + lane, lanes) for lane in range(LANES)])
        of_32 = [
            builder.trunc(builder.shuffle_vector(numbers, ir.Constant(numbers.type, ir.Undefined), places), WORDS)
            for numbers in registers  # behind the last: anything
        ]
        parts.append(builder.sext(generate(builder, *of_32), vector(INT, LANES)))
    joined = (
        parts[0]
        if len(parts) == 1
        else builder.shuffle_vector(*parts, ir.Constant(vector(INT, 2 * LANES), list(range(2 * LANES))))
    )
    order = ir.Constant(vector(INT, lanes), list(range(lanes)))
    return builder.shuffle_vector(joined, ir.Constant(joined.type, ir.Undefined), order)


def _make(origin):
    @intrinsic
    def function(typing, x, table):
        """Of int32 numbers that fit 16 bits, with the address of the table."""

        def lower(context, builder, signature, arguments):
            numbers, table = arguments
            return _in_parts(builder, lambda builder, part: _of_32(builder, part, table, origin), numbers)

        return x(x, types.int64), lower

    return function


sigmoid_words = _make(32768 - 65536)  # 2^15 in 16 bits
tanh_words = _make(0)


def _blended(builder, h, n, z):
    """``n + (((h - n) * z + 2^14) >> 15)``: h z - n z from pairs of h and n, and of z and -z.

    The difference needs 17 bits, its sum with n only 16: all is right modulo 2^16.
    """
    minus_z, sums = builder.sub(constant(WORDS, 0), z), []
    for half in (0, 4):  # of each eight, which is how 32-bit numbers are packed again
        order = [
            eight + half + place + side * LANES for eight in range(0, LANES, 8) for place in range(4) for side in (0, 1)
        ]
        order = ir.Constant(vector(INT, LANES), order)
        pairs, gates = builder.shuffle_vector(h, n, order), builder.shuffle_vector(z, minus_z, order)
        product = call(builder, "llvm.x86.avx512.pmaddw.d.512", DOUBLE_WORDS, pairs, gates)
        rounded = builder.add(product, constant(DOUBLE_WORDS, 1 << 14))
        sums.append(builder.and_(builder.lshr(rounded, constant(DOUBLE_WORDS, 15)), constant(DOUBLE_WORDS, 65535)))
    return builder.add(n, call(builder, "llvm.x86.avx512.packusdw.512", WORDS, *sums))


def _entries(builder, table, index, count):
    """Entries of a table of `count` int32 by 16 indices: ``vpermi2d`` picks by five bits, the others choose."""
    registers = [
        builder.load(pointer(builder, table, DOUBLE_WORDS, 64 * place), align=4)
        for place in range(count // DOUBLE_WORDS.count)
    ]
    entries = [
        call(builder, "llvm.x86.avx512.vpermi2var.d.512", DOUBLE_WORDS, a, index, b)
        for a, b in zip(registers[::2], registers[1::2], strict=True)
    ]
    bit = 2 * DOUBLE_WORDS.count
    while len(entries) > 1:
        is_set = builder.icmp_unsigned(
            "!=", builder.and_(index, constant(DOUBLE_WORDS, bit)), constant(DOUBLE_WORDS, 0)
        )
        entries = [builder.select(is_set, b, a) for a, b in zip(entries[::2], entries[1::2], strict=True)]
        bit *= 2
    return entries[0]


def _make_look_up(count):
    @intrinsic
    def look_up(typing, table, indices):
        """Entries of a table of int32."""

        def lower(context, builder, signature, arguments):
            table, numbers = arguments
            lanes, sixteen = indices.lanes, DOUBLE_WORDS.count
            undefined, parts = ir.Constant(numbers.type, ir.Undefined), []
            for begin in range(0, lanes, sixteen):
                places = [min(begin + lane, lanes) for lane in range(sixteen)]  # behind the last: anything
                index = builder.shuffle_vector(numbers, undefined, ir.Constant(DOUBLE_WORDS, places))
                parts.append(_entries(builder, table, index, count))
            while len(parts) > 1:
                order = ir.Constant(vector(INT, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
                parts = [builder.shuffle_vector(a, b, order) for a, b in zip(parts[::2], parts[1::2], strict=True)]
            order = ir.Constant(vector(INT, lanes), list(range(lanes)))
            return builder.shuffle_vector(parts[0], ir.Constant(parts[0].type, ir.Undefined), order)

        return indices(types.int64, indices), lower

    return look_up


look_up_64, look_up_256 = _make_look_up(64), _make_look_up(256)


@intrinsic
def times_words(typing, a, b):
    """``(a * b + 2^14) >> 15`` of int32 numbers that fit 16 bits, not both -2^15."""

    def lower(context, builder, signature, arguments):
        return _in_parts(
            builder, lambda builder, *parts: call(builder, "llvm.x86.avx512.pmul.hr.sw.512", WORDS, *parts), *arguments
        )

    return a(a, b), lower


@intrinsic
def blend_words(typing, h, n, z):
    """``n + (((h - n) * z + 2^14) >> 15)`` of int32 numbers that fit 16 bits, z from 0 to 32767."""

    def lower(context, builder, signature, arguments):
        return _in_parts(builder, _blended, *arguments)

    return h(h, n, z), lower
