"""Products of panels of weights and vectors, with the sums in registers; packing.py has the layout of a panel.

The sums of finite numbers are finite: where one has overflowed, which one test a step finds out (guard.py), the kernel
computes all again with numbers scaled so small that nothing can, and what is too large becomes the largest float32.
That is the exact sum, within rounding: a state never becomes NaN through an infinity minus another.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import (
    FLOAT,
    MAX_FLOAT32,
    Register,
    call_intrinsic,
    inline,
    pointer_to,
    splat,
    vector_of_floats,
)
from edgernn.kernels.codegen.target import processor

SUMS = 12  # independent sums in processor registers: enough to hide the latency of two multiply-adds a cycle
# weights and numbers are scaled by this before they are summed up again: 2**16 products then stay below 2**120
SCALE, UNSCALE = 2.0**-76, 2.0**76


def _constant(kind, number):
    return ir.Constant(kind, [number] * kind.count)


def _load_register(builder, address, kind, index, scaled):
    """The index-th register of weights at an address."""
    weights = builder.load(pointer_to(builder, address, kind, index * 4 * kind.count), align=4)
    return builder.fmul(weights, _constant(kind, SCALE)) if scaled else weights


@intrinsic(prefer_literal=True)
def start_panel(typing, address, lanes, gates, parts, scaled):
    """``gates * parts`` sums: the first `gates` loaded from an address, the others zero."""
    kind = vector_of_floats(lanes.literal_value)
    total = gates.literal_value * parts.literal_value
    result = types.UniTuple(Register(lanes.literal_value), total)

    def lower(context, builder, signature, arguments):
        registers = [_constant(kind, 0.0)] * total
        for gate in range(gates.literal_value):
            registers[gate] = _load_register(builder, arguments[0], kind, gate, scaled.literal_value)
            if scaled.literal_value:  # a bias is scaled as a product is
                registers[gate] = builder.fmul(registers[gate], _constant(kind, SCALE))
        return context.make_tuple(builder, result, registers)

    return result(types.int64, lanes, gates, parts, scaled), lower


@intrinsic(prefer_literal=True)
def accumulate_panel(typing, address, x, sums, gates, parts, scaled):
    """Sums after `parts` further numbers of x: ``sums[part * gates + gate] += weights[part][gate] * x[part]``.

    `address` points at ``parts * gates`` registers of weights, `x` at `parts` float32. `sums` may hold more parts.
    """
    kind = vector_of_floats(sums.dtype.lanes)

    def lower(context, builder, signature, arguments):
        address, x, sums_before = arguments[:3]
        registers = [builder.extract_value(sums_before, index) for index in range(sums.count)]
        for part in range(parts.literal_value):
            number = builder.load(pointer_to(builder, x, FLOAT, 4 * part), align=4)
            if scaled.literal_value:
                number = builder.fmul(number, ir.Constant(FLOAT, SCALE))
            number = splat(builder, number, kind.count)
            for index in range(part * gates.literal_value, (part + 1) * gates.literal_value):
                weights = _load_register(builder, address, kind, index, scaled.literal_value)
                registers[index] = call_intrinsic(builder, "fmuladd", weights, number, registers[index])
        return context.make_tuple(builder, sums, registers)

    return sums(types.int64, types.int64, sums, gates, parts, scaled), lower


@intrinsic(prefer_literal=True)
def finish_panel(typing, sums, gates):
    """Add up the parts: `gates` registers."""
    count = gates.literal_value
    result = types.UniTuple(sums.dtype, count)

    def lower(context, builder, signature, arguments):
        registers = [builder.extract_value(arguments[0], index) for index in range(sums.count)]
        while len(registers) > count:  # by halves, so that no chain of additions gets long
            half = len(registers) // 2
            registers = [builder.fadd(a, b) for a, b in zip(registers[:half], registers[half:], strict=True)]
        return context.make_tuple(builder, result, registers)

    return result(sums, gates), lower


@intrinsic(prefer_literal=True)
def add_first(typing, sums, others, count):
    """Add the first `count` registers of `others` to the first of `sums`."""

    def lower(context, builder, signature, arguments):
        registers = [builder.extract_value(arguments[0], index) for index in range(sums.count)]
        for index in range(count.literal_value):
            registers[index] = builder.fadd(registers[index], builder.extract_value(arguments[1], index))
        return context.make_tuple(builder, sums, registers)

    return sums(sums, others, count), lower


@intrinsic(prefer_literal=True)
def join(typing, sums, others, first):
    """All registers of `sums`, and those of `others` from `first` on."""
    result = types.UniTuple(sums.dtype, sums.count + others.count - first.literal_value)

    def lower(context, builder, signature, arguments):
        registers = [builder.extract_value(arguments[0], index) for index in range(sums.count)]
        registers += [builder.extract_value(arguments[1], k) for k in range(first.literal_value, others.count)]
        return context.make_tuple(builder, result, registers)

    return result(sums, others, first), lower


@intrinsic
def rescued(typing, sums, scaled_sums):
    """Sums, lane by lane; where one has overflowed the scaled one in its own size, at most the largest float32.

    Small numbers beside it keep what the scale would take from them.
    """

    def lower(context, builder, signature, arguments):
        registers = []
        for index in range(sums.count):
            plain, scaled = (builder.extract_value(argument, index) for argument in arguments)
            for _ in range(2):
                scaled = _saturated(builder, builder.fmul(scaled, _constant(scaled.type, UNSCALE)))
            is_finite = builder.fcmp_ordered("ord", *[builder.fsub(plain, plain)] * 2)
            registers.append(builder.select(is_finite, plain, scaled))
        return context.make_tuple(builder, sums, registers)

    return sums(sums, scaled_sums), lower


def _saturated(builder, register):
    least, most = _constant(register.type, -MAX_FLOAT32), _constant(register.type, MAX_FLOAT32)
    register = builder.select(builder.fcmp_ordered("<", register, least), least, register)
    return builder.select(builder.fcmp_ordered("<", most, register), most, register)


def _make_product(lanes, gates, joint):
    """A function ``product(panel, x, size, others)``: the panel's bias plus its matrix times x, in `gates` registers.

    To its first `joint` registers those of `others` are added. Where `gates` are few, several numbers of x are worked
    on side by side, with sums of their own.
    """
    registers = gates * lanes // processor().lanes
    parts = next(parts for parts in (8, 4, 2, 1) if parts * registers <= SUMS or parts == 1)
    four, two = min(parts, 4), min(parts, 2)
    row_bytes = gates * lanes * 4

    @inline
    def product(panel, x, size, others):
        sums = add_first(start_panel(panel, lanes, gates, parts, 0), others, joint)
        panel += row_bytes
        rest = size & (parts - 1)
        end = x + 4 * (size - rest)
        while x < end:
            sums = accumulate_panel(panel, x, sums, gates, parts, 0)
            panel += parts * row_bytes
            x += 4 * parts
        if rest & 4:
            sums = accumulate_panel(panel, x, sums, gates, four, 0)
            panel += 4 * row_bytes
            x += 16
        if rest & 2:
            sums = accumulate_panel(panel, x, sums, gates, two, 0)
            panel += 2 * row_bytes
            x += 8
        if rest & 1:
            sums = accumulate_panel(panel, x, sums, gates, 1, 0)
        return finish_panel(sums, gates)

    return product


def _make_simple_product(lanes, gates, joint, scaled):
    """The same with one sum a register, which keeps the code short; if `scaled` so that nothing overflows."""
    row_bytes = gates * lanes * 4

    @inline
    def product(panel, x, size, others):
        sums = add_first(start_panel(panel, lanes, gates, 1, scaled), others, joint)
        for k in range(size):
            panel += row_bytes
            sums = accumulate_panel(panel, x + 4 * k, sums, gates, 1, scaled)
        return sums

    return product


def make_affine(lanes, gates, scaled=False):
    """A function ``affine(panel, x, size)`` that gives `gates` registers: a panel's bias plus its matrix times x.

    They may overflow, which `guard.watch` notices; if `scaled` they never do, and are slow.
    """
    product = _make_product(lanes, gates, 0)
    simple, small = (_make_simple_product(lanes, gates, 0, form) for form in (0, 1))

    @inline
    def affine(panel, x, size):
        if scaled:
            return rescued(simple(panel, x, size, ()), small(panel, x, size, ()))
        return product(panel, x, size, ())

    return affine


def make_gates(lanes, gates, joint, scaled=False):
    """A function ``sums(W, x, input_size, R, h, hidden_size)`` of the panels of W and R, of `gates` each.

    Its first `joint` registers are sums of both products, as gates need them. Then come the other products of R, at
    last those of W: two registers for the one gate of a GRU that keeps them apart. `scaled` as in `make_affine`.
    """
    if not scaled:
        return _make_joined(*(_make_product(lanes, gates, first) for first in (0, joint)), joint)
    simple, small = (
        _make_joined(*(_make_simple_product(lanes, gates, first, form) for first in (0, joint)), joint)
        for form in (0, 1)
    )

    @inline
    def sums(W, x, input_size, R, h, hidden_size):
        return rescued(simple(W, x, input_size, R, h, hidden_size), small(W, x, input_size, R, h, hidden_size))

    return sums


def _make_joined(product_W, product_R, joint):
    @inline
    def sums(W, x, input_size, R, h, hidden_size):
        Wx = product_W(W, x, input_size, ())
        return join(product_R(R, h, hidden_size, Wx), Wx, joint)

    return sums
