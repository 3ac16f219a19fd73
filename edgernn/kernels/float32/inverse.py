"""Inverse functions of trigonometry, hyperbolic functions and their inverses, on registers, by ONNX name.

Polynomials near 0, elsewhere logarithms, roots and exponentials. What lies outside of the domain becomes NaN.
Source of the polynomials: S. Moshier, Cephes Mathematical Library, single precision, 1992.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import absolute, inline, multiply_add, square_root, where_less
from edgernn.kernels.float32.functions import exp, log

HALF_PI, PI, LN_2 = 1.5707963267948966, 3.141592653589793, 0.6931471805599453


@inline
def with_sign_of(x, y):
    """y, of a number not below 0, with the sign of x."""
    return where_less(x, 0.0, y * -1.0, y)


@inline
def asin_near_zero(x):
    """Arc sine up to one half."""
    z = x * x
    p = multiply_add(z, 4.2163199048e-2, 2.4181311049e-2)
    p = multiply_add(p, z, 4.5470025998e-2)
    p = multiply_add(p, z, 7.4953002686e-2)
    p = multiply_add(p, z, 1.6666752422e-1)
    return multiply_add(p * z, x, x)


@inline
def asin(x):
    """Arc sine; beyond one half from that of the root of the distance to 1."""
    a = absolute(x)
    beyond = HALF_PI - 2.0 * asin_near_zero(square_root(0.5 - 0.5 * a))
    return with_sign_of(x, where_less(0.5, a, beyond, asin_near_zero(a)))


@inline
def acos(x):
    """Arc cosine."""
    beyond = 2.0 * asin_near_zero(square_root(0.5 - 0.5 * absolute(x)))
    beyond = where_less(x, 0.0, PI - beyond, beyond)
    return where_less(0.5, absolute(x), beyond, HALF_PI - asin_near_zero(x))


@inline
def atan(x):
    """Arc tangent; from tan(pi / 8) on of the quotient that lies an eighth or a quarter of a turn before."""
    a = absolute(x)
    turned = where_less(2.414213562373095, a, HALF_PI, where_less(0.4142135623730950, a, 0.5 * HALF_PI, a * 0.0))
    quotient = where_less(0.4142135623730950, a, (a - 1.0) / (a + 1.0), a)
    quotient = where_less(2.414213562373095, a, -1.0 / a, quotient)
    z = quotient * quotient
    p = multiply_add(z, 8.05374449538e-2, -1.38776856032e-1)
    p = multiply_add(p, z, 1.99777106478e-1)
    p = multiply_add(p, z, -3.33329491539e-1)
    return with_sign_of(x, turned + multiply_add(p * z, quotient, quotient))


@inline
def sinh(x):
    """Hyperbolic sine; squares of a root, so that no exponential overflows before the result does."""
    a = absolute(x)
    z, root = a * a, exp(0.5 * a)
    p = multiply_add(z, 2.03721912945e-4, 8.33028376239e-3)
    p = multiply_add(p, z, 1.66667160211e-1)
    return with_sign_of(x, where_less(a, 1.0, multiply_add(p * z, a, a), 0.5 * root * root - 0.5 / root / root))


@inline
def cosh(x):
    """Hyperbolic cosine."""
    root = exp(0.5 * absolute(x))
    return 0.5 * root * root + 0.5 / root / root


@inline
def asinh(x):
    """Inverse hyperbolic sine."""
    a = absolute(x)
    z = a * a
    p = multiply_add(z, 2.0122003309e-2, -4.2699340972e-2)
    p = multiply_add(p, z, 7.4847586088e-2)
    p = multiply_add(p, z, -1.6666288134e-1)
    far = where_less(1500.0, a, log(a) + LN_2, log(a + square_root(z + 1.0)))
    return with_sign_of(x, where_less(a, 0.5, multiply_add(p * z, a, a), far))


@inline
def acosh(x):
    """Inverse hyperbolic cosine; the root is that of a negative number below 1."""
    z = x - 1.0
    p = multiply_add(z, 1.7596881071e-3, -7.5272886713e-3)
    p = multiply_add(p, z, 2.6454905019e-2)
    p = multiply_add(p, z, -1.1784741703e-1)
    p = multiply_add(p, z, 1.4142135263)
    far = where_less(1500.0, x, log(x) + LN_2, log(x + square_root(z * (x + 1.0))))
    return where_less(z, 0.5, square_root(z) * p, far)


@inline
def atanh(x):
    """Inverse hyperbolic tangent; infinite at 1."""
    a = absolute(x)
    z = a * a
    p = multiply_add(z, 1.81740078349e-1, 8.24370301058e-2)
    p = multiply_add(p, z, 1.46691431730e-1)
    p = multiply_add(p, z, 1.99782164500e-1)
    p = multiply_add(p, z, 3.33337300303e-1)
    far = 0.5 * log((1.0 + a) / (1.0 - a))
    return with_sign_of(x, where_less(a, 0.5, multiply_add(p * z, a, a), far))


INVERSE_FUNCTIONS = {
    "Asin": inline(lambda x, alpha, beta: asin(x)),
    "Acos": inline(lambda x, alpha, beta: acos(x)),
    "Atan": inline(lambda x, alpha, beta: atan(x)),
    "Sinh": inline(lambda x, alpha, beta: sinh(x)),
    "Cosh": inline(lambda x, alpha, beta: cosh(x)),
    "Asinh": inline(lambda x, alpha, beta: asinh(x)),
    "Acosh": inline(lambda x, alpha, beta: acosh(x)),
    "Atanh": inline(lambda x, alpha, beta: atanh(x)),
}
