"""The shared tables of sigmoid and tanh in registers of 16-bit numbers: AVX-512 with byte and word instructions.

ARITHMETIC.md section 5.2 for 32 numbers at a time. A table is 256 entries, then the way from each to the next one, all
of 16 bits: eight registers each, from which ``vpermi2w`` picks by the low six bits of an index and the two upper bits
choose among four. The interpolation ``((T[i+1] - T[i]) * f + 64) >> 7`` is one ``vpmulhrsw`` by ``256 * f``.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.int8_simd import SHORT, constant, pointer, vector
from edgernn.kernels.simd import INT

LANES = 32
WORDS = vector(SHORT, LANES)
TABLE_REGISTERS = 8  # of 256 entries


def _call(builder, name, *arguments):
    """Call an LLVM intrinsic of registers by its full name."""
    function_type = ir.FunctionType(WORDS, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


def _pick(builder, table, first_register, index):
    """Entries of the table of 256 that begins at a register, by indices from 0 to 255."""
    registers = [
        builder.load(pointer(builder, table, WORDS, 2 * LANES * (first_register + place)), align=1)
        for place in range(TABLE_REGISTERS)
    ]
    entries = [
        _call(builder, "llvm.x86.avx512.vpermi2var.hi.512", a, index, b)
        for a, b in zip(registers[::2], registers[1::2], strict=True)
    ]
    for bit in (64, 128):
        is_set = builder.icmp_unsigned("!=", builder.and_(index, constant(WORDS, bit)), constant(WORDS, 0))
        entries = [builder.select(is_set, b, a) for a, b in zip(entries[::2], entries[1::2], strict=True)]
    return entries[0]


def _of_32(builder, x, table, origin):
    """The function of 32 numbers; of a negative one it is `origin` minus that of its magnitude."""
    a = _call(builder, "llvm.abs.v32i16", x, ir.Constant(ir.IntType(1), 0))
    a = _call(builder, "llvm.umin.v32i16", a, constant(WORDS, 32767))
    index = builder.lshr(a, constant(WORDS, 7))
    fraction = builder.and_(builder.shl(a, constant(WORDS, 8)), constant(WORDS, 127 << 8))
    way = _pick(builder, table, TABLE_REGISTERS, index)
    step = _call(builder, "llvm.x86.avx512.pmul.hr.sw.512", way, fraction)
    y = builder.add(_pick(builder, table, 0, index), step)
    is_negative = builder.icmp_signed("<", x, constant(WORDS, 0))
    return builder.select(is_negative, builder.sub(constant(WORDS, origin), y), y)


def _make(origin):
    @intrinsic
    def function(typing, x, table):
        """Of int32 numbers that fit 16 bits, with the address of the table."""

        def lower(context, builder, signature, arguments):
            numbers, table = arguments
            lanes = x.lanes
            undefined = ir.Constant(numbers.type, ir.Undefined)
            parts = []
            for begin in range(0, lanes, LANES):
                places = [min(begin + lane, lanes) for lane in range(LANES)]  # behind the last: anything
                part = builder.shuffle_vector(numbers, undefined, ir.Constant(vector(INT, LANES), places))
                part = _of_32(builder, builder.trunc(part, WORDS), table, origin)
                parts.append(builder.sext(part, vector(INT, LANES)))
            joined = (
                parts[0]
                if len(parts) == 1
                else builder.shuffle_vector(*parts, ir.Constant(vector(INT, 2 * LANES), list(range(2 * LANES))))
            )
            order = ir.Constant(vector(INT, lanes), list(range(lanes)))
            return builder.shuffle_vector(joined, ir.Constant(joined.type, ir.Undefined), order)

        return x(x, types.int64), lower

    return function


sigmoid_words = _make(32768 - 65536)  # 2^15 in 16 bits
tanh_words = _make(0)
