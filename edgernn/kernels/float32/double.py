"""Functions of single numbers in float64. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from math import isnan

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import inline

LOWEST_EXPONENT = -708.0  # of normal float64: below, exponentials are 0
HALF_TURNS = 2.0**30


@intrinsic
def from_bits(typing, bits):
    """The float64 with this bit pattern."""

    def lower(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), lower


@inline
def exp_of_negative(x):
    """Exponential of a number up to 0, to 2 units in the last place: 2**n times a Taylor polynomial. NaN stays NaN."""
    if x < LOWEST_EXPONENT:
        return 0.0
    if isnan(x):
        return x
    n = int(x * 1.4426950408889634 - 0.5)  # towards zero: the nearest whole number, as x is not positive
    r = x - n * 6.93147180369123816490e-01  # ln 2 in two pieces, of which n times the first is exact
    r = r - n * 1.90821492927058770002e-10
    p = 1.6059043836821613e-10
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    y = 1.0 + (r + r * r * p)
    return y * from_bits((n + 1023) << 52)


@inline
def remainder(a, b):
    """``fmod(a, b)``: what is left of a after whole multiples of b, with the sign of a. NaN where b is 0."""
    r, step = abs(a), abs(b)
    if step == 0.0 or not r < 1e300 or isnan(step):
        return float("nan")
    while r >= step:
        multiple = step
        while multiple + multiple <= r:
            multiple += multiple
        r -= multiple
    return -r if a < 0.0 else r


@inline
def sine_from(quadrant, x):
    """Sine of x plus `quadrant` right angles, as exact as float32 can show for |x| up to 2**30.

    Beyond, one float32 is whole turns from the next: the result is the sine of an angle within their distance.
    """
    if not abs(x) < HALF_TURNS:
        x = remainder(x, 6.283185307179586)  # NaN of what is not finite
    n = x * 0.6366197723675814
    whole = int(n + 0.5 if n > 0.0 else n - 0.5)
    r = x - whole * 1.57079632673412561417e00  # a right angle in three pieces, the first two with 33 bits
    r = r - whole * 6.07710050630396597660e-11
    r = r - whole * 2.02226624879595063154e-21
    s = r * r
    quadrant = (quadrant + whole) & 3
    if quadrant & 1:
        p = s * 2.08767569878681e-09 - 2.755731922398589e-07
        p = p * s + 2.48015873015873e-05
        p = p * s - 1.388888888888889e-03
        p = p * s + 4.1666666666666664e-02
        y = (p * s - 0.5) * s + 1.0
    else:
        p = s * -2.505210838544172e-08 + 2.7557319223985893e-06
        p = p * s - 1.984126984126984e-04
        p = p * s + 8.333333333333333e-03
        p = p * s - 1.6666666666666666e-01
        y = p * s * r + r
    return -y if quadrant & 2 else y
