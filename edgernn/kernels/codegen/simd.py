"""SIMD registers as values in Numba functions, and the memory operations of the kernels.

A register holds `lanes` float32 numbers, a multiple of what the processor's own registers hold: one of 16 lanes is two
of AVX2, or four of NEON. The functions below become single LLVM instructions, so the same kernel source turns into
AVX-512, AVX2, SSE or NEON code, and sums stay in processor registers where plain Numba loops would store and load them
again. Registers know ``+ - * /``, with each other and with numbers; tuples of registers hold the sums of a panel
(panels.py). Addresses are int64 byte addresses.

No fast-math flag is set, so a NaN stays a NaN; multiplication and addition are fused only where `multiply_add` says so.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

BYTE, SHORT, INT, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()

MAX_FLOAT32 = 3.4028234663852886e38  # the largest finite float32

inline = njit(forceinline=True, error_model="numpy")  # for the small functions that kernels are made of


class Register(types.Type):
    """Numba's type of a register of float32."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Register({lanes})")


@register_model(Register)
class RegisterModel(models.PrimitiveModel):
    """A register is an LLVM vector."""

    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, vector_of_floats(numba_type.lanes))


def vector_of_floats(lanes):
    """LLVM's type of a register."""
    return ir.VectorType(FLOAT, lanes)


def _ints(lanes):
    return ir.VectorType(INT, lanes)


def _int_constant(lanes, value):
    return ir.Constant(_ints(lanes), [value] * lanes)


def pointer_to(builder, address, kind, offset_bytes=0):
    """An int64 address as an LLVM pointer."""
    return builder.inttoptr(builder.add(address, ir.Constant(LONG, offset_bytes)), kind.as_pointer())


def splat(builder, scalar, lanes):
    """A register with the same number in every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(INT, 0))
    return builder.shuffle_vector(first, undefined, _int_constant(lanes, 0))


def call_intrinsic(builder, name, *arguments):
    """Call the LLVM intrinsic `name` of registers."""
    kind = arguments[0].type
    full_name = f"llvm.{name}.v{kind.count}f32"
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    function = builder.module.globals.get(full_name) or ir.Function(builder.module, function_type, full_name)
    return builder.call(function, arguments)


# ---- memory


def _access(kind, numba_type, alignment):
    """Functions that load and store one number."""

    @intrinsic
    def load_number(typing, address):
        def lower(context, builder, signature, arguments):
            return builder.load(pointer_to(builder, arguments[0], kind), align=alignment)

        return numba_type(types.int64), lower

    @intrinsic
    def store_number(typing, address, value):
        def lower(context, builder, signature, arguments):
            builder.store(arguments[1], pointer_to(builder, arguments[0], kind), align=alignment)
            return context.get_dummy_value()

        return types.void(types.int64, numba_type), lower

    return load_number, store_number


# numbers that come from the caller may lie at any address
load_byte, store_byte = _access(BYTE, types.int8, 1)
load_short, store_short = _access(SHORT, types.int16, 1)
load_int, store_int = _access(INT, types.int32, 1)
load_long, store_long = _access(LONG, types.int64, 8)
load_float, store_float = _access(FLOAT, types.float32, 1)
load_double, _ = _access(DOUBLE, types.float64, 1)


@inline
def slot(row, index):
    """Entry `index` of a row of int64."""
    return load_long(row + 8 * index)


@intrinsic
def bits_of(typing, number):
    """The bit pattern of a float32."""

    def lower(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], INT)

    return types.int32(types.float32), lower


@intrinsic(prefer_literal=True)
def load(typing, address, lanes):
    """The register of `lanes` float32 at an address."""
    register = Register(lanes.literal_value)

    def lower(context, builder, signature, arguments):
        return builder.load(pointer_to(builder, arguments[0], vector_of_floats(register.lanes)), align=4)

    return register(types.int64, lanes), lower


@intrinsic
def store(typing, address, register):
    """Store a register at an address."""

    def lower(context, builder, signature, arguments):
        builder.store(arguments[1], pointer_to(builder, arguments[0], arguments[1].type), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, register), lower


@intrinsic
def first_lanes(typing, count, a, b):
    """Lanes below `count` from a, the others from b."""

    def lower(context, builder, signature, arguments):
        count, a, b = arguments
        indices = ir.Constant(_ints(a.type.count), list(range(a.type.count)))
        limits = splat(builder, builder.trunc(count, INT), a.type.count)
        return builder.select(builder.icmp_signed("<", indices, limits), a, b)

    return a(types.int64, a, b), lower


# ---- arithmetic


@intrinsic(prefer_literal=True)
def broadcast(typing, number, lanes):
    """A register with the same number in every lane."""
    register = Register(lanes.literal_value)

    def lower(context, builder, signature, arguments):
        return splat(builder, arguments[0], register.lanes)

    return register(types.float32, lanes), lower


def _lift(builder, numba_type, value, lanes):
    """A register as it is, a number in every lane."""
    if isinstance(numba_type, Register):
        return value
    return splat(builder, builder.fptrunc(value, FLOAT), lanes)


def _signature_of(given):
    """The signature for these arguments, at least one of them a register; numbers become float64."""
    register = next(kind for kind in given if isinstance(kind, Register))
    return register(*[kind if isinstance(kind, Register) else types.float64 for kind in given])


def _lift_all(builder, signature, arguments):
    lanes = signature.return_type.lanes
    return [_lift(builder, kind, value, lanes) for kind, value in zip(signature.args, arguments, strict=True)]


def _elementwise(arity, generate):
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
        4: lambda typing, a, b, c, d: typed(a, b, c, d),
    }
    return intrinsic(forms[arity])


def _define_operator(symbol, instruction):
    @infer_global(symbol)
    class RegisterOperator(AbstractTemplate):
        def generic(self, given, named):
            if any(isinstance(kind, Register) for kind in given):
                return _signature_of(given)
            return None

    def lower(context, builder, signature, arguments):
        return getattr(builder, instruction)(*_lift_all(builder, signature, arguments))

    for pair in ((Register, Register), (Register, types.Float), (types.Float, Register)):
        lower_builtin(symbol, *pair)(lower)


_define_operator(operator.add, "fadd")
_define_operator(operator.sub, "fsub")
_define_operator(operator.mul, "fmul")
_define_operator(operator.truediv, "fdiv")

# a * b + c, rounded once where the processor can
multiply_add = _elementwise(3, lambda builder, a, b, c: call_intrinsic(builder, "fmuladd", a, b, c))
# yes if a < b else no; a NaN in a or b gives no
where_less = _elementwise(4, lambda builder, a, b, yes, no: builder.select(builder.fcmp_ordered("<", a, b), yes, no))
# yes if a is NaN else no
where_nan = _elementwise(3, lambda builder, a, yes, no: builder.select(builder.fcmp_unordered("uno", a, a), yes, no))
# yes if a == b else no; a NaN gives no
where_equal = _elementwise(4, lambda builder, a, b, yes, no: builder.select(builder.fcmp_ordered("==", a, b), yes, no))
absolute = _elementwise(1, lambda builder, a: call_intrinsic(builder, "fabs", a))
square_root = _elementwise(1, lambda builder, a: call_intrinsic(builder, "sqrt", a))


def _times_power_of_two(builder, a, shifted):
    exponent = builder.shl(builder.bitcast(shifted, _ints(a.type.count)), _int_constant(a.type.count, 23))
    return builder.bitcast(builder.add(builder.bitcast(a, exponent.type), exponent), a.type)


def _exponent_of(builder, a):
    lanes = a.type.count
    biased = builder.lshr(builder.bitcast(a, _ints(lanes)), _int_constant(lanes, 23))
    return builder.sitofp(builder.sub(biased, _int_constant(lanes, 126)), a.type)


def _mantissa_of(builder, a):
    lanes = a.type.count
    fraction = builder.and_(builder.bitcast(a, _ints(lanes)), _int_constant(lanes, 0x007FFFFF))
    return builder.bitcast(builder.or_(fraction, _int_constant(lanes, 0x3F000000)), a.type)


# a * 2**n, where the second argument is n + 1.5 * 2**23: its lowest bits are n. The range is not checked
times_power_of_two = _elementwise(2, _times_power_of_two)
# of positive normal numbers a = m * 2**n with m in [0.5, 1): n and m
exponent_of = _elementwise(1, _exponent_of)
mantissa_of = _elementwise(1, _mantissa_of)


def _across_lanes(combine):
    """A function that combines all lanes to one number, by halves."""

    @intrinsic
    def reduce(typing, register):
        def lower(context, builder, signature, arguments):
            (lanes,) = arguments
            half = register.lanes // 2
            while half:
                order = ir.Constant(
                    _ints(register.lanes), [(lane + half) % register.lanes for lane in range(register.lanes)]
                )
                lanes = combine(builder, lanes, builder.shuffle_vector(lanes, lanes, order))
                half //= 2
            return builder.extract_element(lanes, ir.Constant(INT, 0))

        return types.float32(register), lower

    return reduce


sum_of_lanes = _across_lanes(lambda builder, a, b: builder.fadd(a, b))
largest_lane = _across_lanes(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


def _bounded(builder, register):
    """Finite where it is infinite; NaN stays NaN."""
    least, most = (ir.Constant(register.type, [limit] * register.type.count) for limit in (-MAX_FLOAT32, MAX_FLOAT32))
    register = builder.select(builder.fcmp_ordered("<", register, least), least, register)
    return builder.select(builder.fcmp_ordered(">", register, most), most, register)


# saturating at the largest float32, so that finite numbers never make a NaN
bounded_sum_of_lanes = _across_lanes(lambda builder, a, b: _bounded(builder, builder.fadd(a, b)))
bounded_product_of_lanes = _across_lanes(lambda builder, a, b: _bounded(builder, builder.fmul(a, b)))


def _picked(relation):
    """One of two registers lane by lane, NaN where one is NaN."""

    def pick(builder, a, b):
        picked = builder.select(builder.fcmp_ordered(relation, a, b), a, b)  # b if any is NaN
        return builder.select(builder.fcmp_unordered("uno", a, a), a, picked)

    return pick


maximum_of_lanes, minimum_of_lanes = _across_lanes(_picked(">")), _across_lanes(_picked("<"))
