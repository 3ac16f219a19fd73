"""Kernels whose sums never overflow for good: `watch` notices what does, and `guard` has all of it computed again.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import LONG, call_intrinsic, inline


@intrinsic
def watch(typing, watched, sums):
    """`watched` as long as all numbers of `sums` are finite, then NaN, lane by lane; it begins with zeros."""

    def lower(context, builder, signature, arguments):
        test, zero = arguments[0], ir.Constant(arguments[0].type, [0.0] * watched.lanes)
        for index in range(sums.count):
            test = call_intrinsic(builder, "fmuladd", builder.extract_value(arguments[1], index), zero, test)
        return test

    return watched(watched, sums), lower


@intrinsic
def has_nan(typing, register):
    """1 if a lane is NaN, else 0."""

    def lower(context, builder, signature, arguments):
        lanes = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        bits = builder.bitcast(lanes, ir.IntType(register.lanes))
        return builder.zext(builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0)), LONG)

    return types.int64(register), lower


def guard(make):
    """A function ``compute(row, weights, state, arena)`` whose sums are finite.

    ``make(scaled)`` gives the Python function of a kernel that computes with sums of this kind, keeps all that it read
    and results in 1 if a sum overflowed. Then the scaled form computes everything again, as a function of its own.
    """
    compute, compute_again = inline(make(False)), _apart(make(True))

    @inline
    def guarded(row, weights, state, arena):
        if compute(row, weights, state, arena):
            compute_again(row, weights, state, arena)

    return guarded


def _apart(function):
    """A kernel's function that is called, never inlined: what is seldom needed keeps out of the way."""
    arguments = (types.int64,) * 4
    dispatcher = njit(error_model="numpy")(function)
    dispatcher.compile(arguments)
    compiled: Any = dispatcher.overloads[arguments]

    @intrinsic
    def call(typing, row, weights, state, arena):
        def lower(context, builder, signature, given):
            context.active_code_library.add_linking_library(compiled.library)
            callee = context.declare_function(builder.module, compiled.fndesc)
            _, result = context.call_conv.call_function(
                builder, callee, types.int64, arguments, given, attrs=("noinline", "nounwind")
            )
            return result

        return types.int64(*arguments), lower

    return call
