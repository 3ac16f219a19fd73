"""Activation functions on registers, by ONNX name.

They are quotients of polynomials, with coefficients fitted for the least largest error: a fraction of a nanosecond an
element where libm needs ten. Largest errors: tanh and erf 3e-7, sigmoid 2e-7, exp and log 2e-7 of the result.
Every function takes a register x and two numbers, alpha and beta, which most ignore.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from edgernn.kernels.codegen.simd import (
    MAX_FLOAT32,
    absolute,
    exponent_of,
    inline,
    load_float,
    mantissa_of,
    multiply_add,
    square_root,
    times_power_of_two,
    where_equal,
    where_less,
    where_nan,
)

INFINITY, NOT_A_NUMBER = float("inf"), float("nan")
MIN_STATE = 2.0**-100  # below, states become zero: denormal numbers cost up to 100 times as much


@inline
def clamp(x, low, high):
    """x kept from `low` to `high`; NaN stays NaN."""
    x = where_less(x, low, low, x)
    return where_less(high, x, high, x)


@inline
def saturate(x):
    """x, with the largest float32 in place of infinity; NaN stays NaN."""
    return clamp(x, -MAX_FLOAT32, MAX_FLOAT32)


@inline
def saturate_overflow(y, size):
    """What came of finite numbers, no larger than `size`: the largest float32 in place of infinity.

    With `size` infinite, because a number that y came of was, y stays as it is.
    """
    limit = where_less(size, MAX_FLOAT32, MAX_FLOAT32, size)
    return where_less(limit, y, limit, where_less(y, 0.0 - limit, 0.0 - limit, y))


@inline
def flush_denormals(state):
    """A state as it is kept: exactly zero where its magnitude is below `MIN_STATE`."""
    return where_less(absolute(state), MIN_STATE, 0.0, state)


@inline
def tanh(x):
    """Hyperbolic tangent: an odd polynomial of degree 9 over an even one of degree 8."""
    x = clamp(x, -8.4, 8.4)
    s = x * x
    p = multiply_add(s, 1.371206259648261e-08, 2.0394858438521624e-05)
    p = multiply_add(p, s, 0.0033910360652953386)
    p = multiply_add(p, s, 0.12871621549129486)
    p = multiply_add(p, s, 0.9596588015556335)
    q = multiply_add(s, 7.820398764124548e-07, 0.00032134150387719274)
    q = multiply_add(q, s, 0.024970851838588715)
    q = multiply_add(q, s, 0.4486023187637329)
    q = multiply_add(q, s, 0.9596588611602783)
    return p * x / q


@inline
def sigmoid(x):
    """Logistic function, through tanh."""
    return multiply_add(tanh(x * 0.5), 0.5, 0.5)


@inline
def exp(x):
    """Exponential; 0 below -87.3 and infinity above 88.7, where normal float32 end."""
    y = exp_within(clamp(x, -87.33654475, 88.72283905))
    y = where_less(x, -87.33654475, 0.0, y)
    y = where_less(88.72283905, x, INFINITY, y)
    return where_nan(x, x, y)


@inline
def exp_of_negative(x):
    """`exp` of numbers up to zero."""
    y = exp_within(where_less(x, -87.33654475, -87.33654475, x))
    return where_nan(x, x, where_less(x, -87.33654475, 0.0, y))


@inline
def exp_within(r):
    """2**n times a polynomial, for numbers from -87.3 to 88.7; what it makes of a NaN may be anything."""
    n = multiply_add(r, 1.4426950408889634, 12582912.0)  # 1.5 * 2**23: the lowest bits of the sum are n
    whole = n - 12582912.0
    r = multiply_add(whole, -0.693145751953125, r)  # ln 2 in two pieces, the first with few bits
    r = multiply_add(whole, -1.42860682030941723e-6, r)
    p = multiply_add(r, 0.000197903485968709, 0.0013944657985121012)
    p = multiply_add(p, r, 0.008333496749401093)
    p = multiply_add(p, r, 0.04166629537940025)
    p = multiply_add(p, r, 0.1666666567325592)
    p = multiply_add(p, r, 0.5)
    return times_power_of_two(multiply_add(p, r * r, r + 1.0), n)


@inline
def log(x):
    """Natural logarithm of normal numbers: the exponent's plus a polynomial of the mantissa in [0.7, 1.4]."""
    m, n = mantissa_of(x), exponent_of(x)
    n = where_less(m, 0.7071067811865476, n - 1.0, n)
    m = where_less(m, 0.7071067811865476, m + m, m) - 1.0
    p = multiply_add(m, 0.06746601313352585, -0.11675640940666199)
    p = multiply_add(p, m, 0.11888174712657928)
    p = multiply_add(p, m, -0.12405591458082199)
    p = multiply_add(p, m, 0.14219550788402557)
    p = multiply_add(p, m, -0.1666799634695053)
    p = multiply_add(p, m, 0.2000211924314499)
    p = multiply_add(p, m, -0.25000008940696716)
    p = multiply_add(p, m, 0.3333331346511841)
    s = m * m
    y = multiply_add(p * m, s, n * 1.42860682030941723e-6)
    y = multiply_add(n, 0.693145751953125, multiply_add(s, -0.5, y) + m)
    y = where_less(x, INFINITY, y, x)  # infinity and NaN give themselves
    y = where_less(x, 1.17549435e-38, -INFINITY, y)  # zero, and what is too small to be a normal number
    return where_less(x, 0.0, NOT_A_NUMBER, y)


@inline
def erf(x):
    """Error function: an odd polynomial of degree 13 over an even one of degree 8; 1 beyond 3.85."""
    s = clamp(x, -3.85, 3.85)
    s = s * s
    p = multiply_add(s, 2.065119453220632e-08, -2.0062950625288067e-06)
    p = multiply_add(p, s, 0.00014388850831892341)
    p = multiply_add(p, s, 0.003709654323756695)
    p = multiply_add(p, s, 0.050543397665023804)
    p = multiply_add(p, s, 0.19959580898284912)
    p = multiply_add(p, s, 1.1283788681030273)
    q = multiply_add(s, 0.0009642080403864384, 0.014343337155878544)
    q = multiply_add(q, s, 0.1148795485496521)
    q = multiply_add(q, s, 0.5102167725563049)
    q = multiply_add(q, s, 1.0)
    y = where_less(x, -3.85, -1.0, p * x / q)
    return where_less(3.85, x, 1.0, y)


@inline
def softplus(x):
    """``log(1 + exp(x))``, without overflow."""
    return where_less(x, 0.0, 0.0, x) + log(1.0 + exp(0.0 - absolute(x)))


@inline
def elu(x, alpha, beta):
    """x above zero, ``alpha * (exp(x) - 1)`` below; beta is not used."""
    return where_less(x, 0.0, alpha * (exp(x) - 1.0), x)


@inline
def nearest(x):
    """The nearest whole number, of two the even one. Numbers from 2**23 on, infinity and NaN are what they are."""
    size = absolute(x)
    whole = (size + 8388608.0) - 8388608.0
    return where_less(size, 8388608.0, where_less(x, 0.0, whole * -1.0, whole), x)


@inline
def floor(x):
    """The largest whole number that is not above x."""
    whole = nearest(x)
    return where_less(x, whole, whole - 1.0, whole)


FUNCTIONS = {
    "Relu": inline(lambda x, alpha, beta: where_less(x, 0.0, 0.0, x)),
    "Tanh": inline(lambda x, alpha, beta: tanh(x)),
    "Sigmoid": inline(lambda x, alpha, beta: sigmoid(x)),
    "LeakyRelu": inline(lambda x, alpha, beta: where_less(x, 0.0, alpha * x, x)),
    "ThresholdedRelu": inline(lambda x, alpha, beta: where_less(alpha, x, x, x * 0.0)),
    "Elu": elu,
    "Celu": inline(lambda x, alpha, beta: where_less(x, 0.0, alpha * (exp(x / alpha) - 1.0), x)),
    "Selu": inline(lambda x, alpha, beta: beta * elu(x, alpha, beta)),
    "HardSigmoid": inline(lambda x, alpha, beta: clamp(multiply_add(x, alpha, beta), 0.0, 1.0)),
    "HardSwish": inline(lambda x, alpha, beta: x * clamp(multiply_add(x, 0.16666666666666666, 0.5), 0.0, 1.0)),
    "Softplus": inline(lambda x, alpha, beta: softplus(x)),
    "Softsign": inline(lambda x, alpha, beta: x / (1.0 + absolute(x))),
    "Mish": inline(lambda x, alpha, beta: x * tanh(softplus(x))),
    "Gelu": inline(lambda x, alpha, beta: 0.5 * x * (1.0 + erf(x * 0.7071067811865476))),
    "GeluTanh": inline(
        lambda x, alpha, beta: 0.5 * x * (1.0 + tanh(0.7978845608028654 * multiply_add(x * x * x, 0.044715, x)))
    ),
    "Erf": inline(lambda x, alpha, beta: erf(x)),
    "Abs": inline(lambda x, alpha, beta: absolute(x)),
    "Neg": inline(lambda x, alpha, beta: x * -1.0),
    "Exp": inline(lambda x, alpha, beta: exp(x)),
    "Log": inline(lambda x, alpha, beta: log(x)),
    "Sqrt": inline(lambda x, alpha, beta: square_root(x)),
    "Reciprocal": inline(lambda x, alpha, beta: 1.0 / x),
    "Clip": clamp,
    "Sign": inline(lambda x, alpha, beta: where_less(x, 0.0, -1.0, where_less(0.0, x, 1.0, x))),
    "Floor": inline(lambda x, alpha, beta: floor(x)),
    "Ceil": inline(lambda x, alpha, beta: floor(x * -1.0) * -1.0),
    "Round": inline(lambda x, alpha, beta: nearest(x)),
    "Not": inline(lambda x, alpha, beta: where_equal(x, 0.0, 1.0, 0.0)),
    "Affine": multiply_add,
    "ScaledTanh": inline(lambda x, alpha, beta: alpha * tanh(beta * x)),
}


BOUNDED = frozenset({"Tanh", "Sigmoid", "HardSigmoid", "Softsign"})  # never above 1: no sum of a cell overflows
RIGHT_AT_INFINITY = frozenset({"Tanh", "Sigmoid"})


def make_flush_denormals(*gates):
    """`flush_denormals` for a cell with these gate functions: a state that may overflow is bounded, too."""
    if BOUNDED.issuperset(gates):
        return flush_denormals
    return inline(lambda state: flush_denormals(saturate(state)))


def make_gate(name, position, clipped):
    """The activation of a cell's gate: a function of a register and the address of the cell's constants.

    `position` tells which of the cell's functions it is; `clipped` gates first bound their input. The input may be
    infinite, the result is finite.
    """
    function, saturates = FUNCTIONS[name], name not in RIGHT_AT_INFINITY
    alpha_bytes, beta_bytes = 4 + 8 * position, 8 + 8 * position

    @inline
    def gate(x, constants):
        if clipped:
            bound = load_float(constants)
            x = clamp(x, -bound, bound)
        if saturates:
            return saturate(
                function(saturate(x), load_float(constants + alpha_bytes), load_float(constants + beta_bytes))
            )
        return function(x, load_float(constants + alpha_bytes), load_float(constants + beta_bytes))

    return gate
