"""Powers of two of single numbers, ARITHMETIC.md section 6. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import inline


@inline
def power_of_two(fraction, table):
    """2^-fraction, of 2^-12 octaves below one to Q1.15."""
    i = fraction >> 6
    return table[i] - (((table[i] - table[i + 1]) * (fraction & 63) + 32) >> 6)


@inline
def power(octaves, table):
    """2^-octaves, Q4.12 to Q0.15."""
    whole = octaves >> 12
    return (2 * power_of_two(octaves & 4095, table) + (1 << whole)) >> (whole + 1)
