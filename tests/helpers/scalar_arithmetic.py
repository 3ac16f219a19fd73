"""Sections 1 to 3 of firmware_export/ARITHMETIC.md, scalar, in integers of 32 bits."""

from __future__ import annotations


def i32(value: int) -> int:
    """A number that an int32 holds."""
    assert -(1 << 31) <= value < 1 << 31
    return value


def u32(value: int) -> int:
    """A number that a uint32 holds."""
    assert 0 <= value < 1 << 32
    return value


def sat16(value: int) -> int:
    return min(max(i32(value), -32768), 32767)


def rescale(a: int, m: int, s: int) -> int:
    """Section 2, without a 64-bit product."""
    if s < 17:
        a, s = i32(a * 2 ** (17 - s)), 17
    high, low = a >> 16, a & 65535
    t = i32(i32(high * m) + (i32(low * m) >> 16))
    return i32(t + 2 ** (s - 17)) >> (s - 16)


def rescale_sum(a: int, m: int, s: int) -> int:
    """Section 3: a sum of weights, limited to what stays in 32 bits."""
    before = max(0, 17 - s)
    return rescale(min(max(a, -(1 << 31) >> before), ((1 << 31) - 1) >> before), m, s)


def signed_rescale(a: int, m: int, s: int) -> int:
    return i32(i32(a * m) + 2 ** (s - 1)) >> s


def operand(value: int, bits: int) -> int:
    return value if bits == 16 else min((value + 128) >> 8, 127)
