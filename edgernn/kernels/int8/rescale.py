"""Rescaling on registers: accumulators to the format of what they are added to. int8_packing.py packs the factors.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import INT, inline
from edgernn.kernels.codegen.simd_int32 import SHORT, constant, elementwise, vector

NO_BIAS = 1  # as `pack_biases` has a bias of 0


def shifted(builder, accumulator, factor):
    """LLVM code of the shift before the product of `rescaled`."""
    count = builder.lshr(factor, constant(factor.type, 8))
    return builder.shl(accumulator, builder.and_(count, constant(factor.type, 31)))


def limited_shift(builder, accumulator, factor):
    """LLVM code of the same for sums of weights: those that would leave int32 are limited to what stays in it."""
    kind = accumulator.type
    count = builder.and_(builder.lshr(factor, constant(kind, 8)), constant(kind, 31))
    most = builder.lshr(constant(kind, (1 << 31) - 1), count)
    least = builder.xor(most, constant(kind, -1))  # -most - 1
    accumulator = builder.select(builder.icmp_signed(">", accumulator, most), most, accumulator)
    accumulator = builder.select(builder.icmp_signed("<", accumulator, least), least, accumulator)
    return builder.shl(accumulator, count)


def rescaled(builder, accumulator, factor, bias):
    """LLVM code of ``accumulator * multiplier / 2^shift``, rounded, plus a bias, as int8_packing.py packs them.

    The accumulator is shifted already. The multiplier has 15 bits and the halves of the accumulator 16, so that no
    product needs more than 32: x86-64 has one instruction for each.
    """
    kind = accumulator.type
    multiplier = builder.lshr(factor, constant(kind, 17))
    high = builder.mul(builder.ashr(accumulator, constant(kind, 16)), multiplier)
    product = builder.add(high, _low_product(builder, accumulator, multiplier))  # floor(... / 2^16)
    twice = builder.ashr(product, builder.and_(factor, constant(kind, 31)))
    return builder.ashr(builder.add(twice, bias), constant(kind, 1))


def _low_product(builder, a, b):
    """``(a & 65535) * b >> 16`` for b below 2^16: the upper halves of 16-bit products."""
    halves, words = vector(SHORT, 2 * a.type.count), vector(INT, 2 * a.type.count)
    a, b = (builder.zext(builder.bitcast(number, halves), words) for number in (a, b))
    upper = builder.lshr(builder.mul(a, b), constant(words, 16))
    return builder.bitcast(builder.trunc(upper, halves), vector(INT, words.count // 2))


# for multipliers that are not negative; `rescale_shifted` is without the shift before the product
rescale = elementwise(3, lambda builder, x, factor, bias: rescaled(builder, shifted(builder, x, factor), factor, bias))
rescale_shifted = elementwise(3, rescaled)
shift_before = elementwise(2, limited_shift)


@inline
def rescale_number(x, factor):
    """`rescale` of a single number, without a bias."""
    shift = (factor & 31) - ((factor >> 8) & 31) + 17
    return (x * ((factor >> 17) & 32767) + (1 << (shift - 1))) >> shift


@inline
def rescale_short(x, multiplier, shift):
    """By a multiplier that is not negative, of 16-bit x, or 17-bit and not negative: everything fits 32 bits.

    `shift` is one less than ARITHMETIC.md's, the last bit is left to the rounding, and 31 at most: behind that nothing
    is left of the product but its sign.
    """
    return (((x * multiplier) >> shift) + 1) >> 1


@inline
def rescale_signed(x, multiplier, shift):
    """By a multiplier with a sign, of 16-bit x: everything fits 32 bits."""
    return (x * multiplier + (1 << (shift - 1))) >> shift
