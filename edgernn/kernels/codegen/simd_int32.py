"""Registers of int32 as values in Numba functions: what simd.py is to float kernels, this is to the integer kernels.

Registers know ``+ - * & >> <<``, with each other and with numbers; `>>` is arithmetic. Values in memory are int16,
states int16 or int32; they become int32 when loaded. Nothing here checks for overflow: firmware_export/ARITHMETIC.md
proves that there is none.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from edgernn.kernels.codegen.simd import BYTE, DOUBLE, FLOAT, INT, Register, first_lanes, inline

SHORT = ir.IntType(16)


class Integers(types.Type):
    """Numba's type of a register of int32."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Integers({lanes})")


@register_model(Integers)
class IntegersModel(models.PrimitiveModel):
    """A register is an LLVM vector."""

    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, vector(INT, numba_type.lanes))


def vector(kind, lanes):
    """LLVM's type of a vector."""
    return ir.VectorType(kind, lanes)


def constant(kind, value):
    """A vector with the same number in every lane."""
    return ir.Constant(kind, [value] * kind.count)


def pointer(builder, address, kind, offset_bytes=0):
    """An int64 address as a pointer."""
    return builder.inttoptr(builder.add(address, ir.Constant(address.type, offset_bytes)), kind.as_pointer())


def call(builder, name, result, *arguments):
    """Call an LLVM intrinsic by its full name."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


def splat(builder, scalar, lanes):
    """A scalar in every lane."""
    undefined = ir.Constant(vector(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(INT, 0))
    return builder.shuffle_vector(first, undefined, constant(vector(INT, lanes), 0))


# ---- memory


def _memory(kind, widen, narrow):
    """Functions that load and store `lanes` numbers of another width in memory."""

    @intrinsic(prefer_literal=True)
    def load_register(typing, address, lanes):
        result = Integers(lanes.literal_value)

        def lower(context, builder, signature, arguments):
            stored = builder.load(pointer(builder, arguments[0], vector(kind, result.lanes)), align=1)
            return widen(builder, stored, vector(INT, result.lanes))

        return result(types.int64, lanes), lower

    @intrinsic
    def store_register(typing, address, register):
        def lower(context, builder, signature, arguments):
            narrowed = narrow(builder, arguments[1], vector(kind, register.lanes))
            builder.store(narrowed, pointer(builder, arguments[0], narrowed.type), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, register), lower

    return load_register, store_register


def _unchanged(builder, value, kind):
    return value


load8, store8 = _memory(BYTE, ir.IRBuilder.sext, ir.IRBuilder.trunc)
load16, store16 = _memory(SHORT, ir.IRBuilder.sext, ir.IRBuilder.trunc)
load32, store32 = _memory(INT, _unchanged, _unchanged)


@inline
def store16_first(address, register, count, lanes):
    """Store the first `count` lanes as int16 and leave what lies behind them as it is."""
    if count >= lanes:
        store16(address, register)
    elif count > 0:
        store16(address, first_lanes(count, register, load16(address, lanes)))


@inline
def store32_first(address, register, count, lanes):
    """Store the first `count` lanes as int32 and leave what lies behind them as it is."""
    if count >= lanes:
        store32(address, register)
    elif count > 0:
        store32(address, first_lanes(count, register, load32(address, lanes)))


@intrinsic
def look_up(typing, address, indices):
    """Entries of a table of int32."""

    def lower(context, builder, signature, arguments):
        address, indices = arguments
        entries = ir.Constant(indices.type, ir.Undefined)
        for lane in range(indices.type.count):
            place = ir.Constant(INT, lane)
            index = builder.zext(builder.extract_element(indices, place), address.type)
            at = builder.add(address, builder.shl(index, ir.Constant(address.type, 2)))
            entry = builder.load(builder.inttoptr(at, INT.as_pointer()), align=4)
            entries = builder.insert_element(entries, entry, place)
        return entries

    return indices(types.int64, indices), lower


@intrinsic(prefer_literal=True)
def filled(typing, number, lanes):
    """A register with the same number in every lane."""
    register = Integers(lanes.literal_value)

    def lower(context, builder, signature, arguments):
        return splat(builder, builder.trunc(arguments[0], INT), register.lanes)

    return register(types.int64, lanes), lower


# ---- arithmetic


def _lift(builder, numba_type, value, lanes):
    """A register as it is, a number in every lane."""
    return value if isinstance(numba_type, Integers) else splat(builder, builder.trunc(value, INT), lanes)


def _signature_of(given):
    """The signature for these arguments, at least one of them a register; numbers become int64."""
    register = next(kind for kind in given if isinstance(kind, Integers))
    return register(*[kind if isinstance(kind, Integers) else types.int64 for kind in given])


def _lift_all(builder, signature, arguments):
    lanes = signature.return_type.lanes
    return [_lift(builder, kind, value, lanes) for kind, value in zip(signature.args, arguments, strict=True)]


def _define_operator(symbol, instruction):
    @infer_global(symbol)
    class IntegersOperator(AbstractTemplate):
        def generic(self, given, named):
            if any(isinstance(kind, Integers) for kind in given):
                return _signature_of(given)
            return None

    def lower(context, builder, signature, arguments):
        return getattr(builder, instruction)(*_lift_all(builder, signature, arguments))

    for pair in ((Integers, Integers), (Integers, types.Integer), (types.Integer, Integers)):
        lower_builtin(symbol, *pair)(lower)


_define_operator(operator.add, "add")
_define_operator(operator.sub, "sub")
_define_operator(operator.mul, "mul")
_define_operator(operator.and_, "and_")
_define_operator(operator.rshift, "ashr")
_define_operator(operator.lshift, "shl")


def elementwise(arity, generate):
    """A function of `arity` registers or numbers, at least one a register, that works lane by lane."""

    def typed(*given):
        def lower(context, builder, signature, arguments):
            return generate(builder, *_lift_all(builder, signature, arguments))

        return _signature_of(given), lower

    # Numba counts an intrinsic's arguments by the parameters of the function
    forms = {
        1: lambda typing, a: typed(a),
        2: lambda typing, a, b: typed(a, b),
        3: lambda typing, a, b, c: typed(a, b, c),
    }
    return intrinsic(forms[arity])


def _add_saturated(builder, a, b):
    return call(builder, f"llvm.sadd.sat.v{a.type.count}i32", a.type, a, b)


def _leading_zeros(builder, a):
    flag = ir.IntType(1)
    return call(builder, f"llvm.ctlz.v{a.type.count}i32", a.type, a, flag(0))


smaller = elementwise(2, lambda builder, a, b: builder.select(builder.icmp_signed("<", a, b), a, b))
larger = elementwise(2, lambda builder, a, b: builder.select(builder.icmp_signed(">", a, b), a, b))
# yes if a < 0 else no
where_negative = elementwise(
    3, lambda builder, a, yes, no: builder.select(builder.icmp_signed("<", a, constant(a.type, 0)), yes, no)
)
add_saturated = elementwise(2, _add_saturated)
leading_zeros = elementwise(1, _leading_zeros)  # 32 of 0


def _across_lanes(combine):
    """A function that combines all lanes, by halves: a register with the result in every lane."""

    @intrinsic
    def reduce(typing, register):
        def lower(context, builder, signature, arguments):
            (numbers,) = arguments
            half = register.lanes // 2
            while half:
                order = ir.Constant(vector(INT, register.lanes), [lane ^ half for lane in range(register.lanes)])
                numbers = combine(builder, numbers, builder.shuffle_vector(numbers, numbers, order))
                half //= 2
            return numbers

        return register(register), lower

    return reduce


largest_everywhere = _across_lanes(lambda builder, a, b: builder.select(builder.icmp_signed(">", a, b), a, b))
sum_everywhere = _across_lanes(lambda builder, a, b: builder.add(a, b))


def _quotient(builder, a, b):
    doubles = vector(DOUBLE, a.type.count)
    return builder.fptosi(builder.fdiv(builder.sitofp(a, doubles), builder.sitofp(b, doubles)), a.type)


# a / b rounded down, of numbers that are not negative, and quotients of at most 16 bits: as a quotient that is no whole
# number lies 1 / b > 2^-31 from one, the rounding of float64 cannot reach it
quotient = elementwise(2, _quotient)


@inline
def clamp(x, low, high):
    """x kept from `low` to `high`."""
    return smaller(larger(x, low), high)


@inline
def saturate16(x):
    """The nearest int16."""
    return clamp(x, -32768, 32767)


# ---- float


@intrinsic
def to_integers(typing, register):
    """float32 numbers rounded down; they are within int32."""

    def lower(context, builder, signature, arguments):
        kind = arguments[0].type
        name = f"llvm.floor.v{kind.count}f32"
        floor = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.fptosi(builder.call(floor, arguments), vector(INT, register.lanes))

    return Integers(register.lanes)(register), lower


@intrinsic
def to_floats(typing, integers):
    """Integers as float32."""

    def lower(context, builder, signature, arguments):
        return builder.sitofp(arguments[0], vector(FLOAT, integers.lanes))

    return Register(integers.lanes)(integers), lower
