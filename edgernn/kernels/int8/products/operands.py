"""What an integer matrix product reads of values, in the forms of int8_forms.py.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edgernn.kernels.codegen.simd import BYTE, INT, inline
from edgernn.kernels.codegen.simd_int32 import SHORT, call, constant, pointer, vector
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.int8.products.forms import FORMS

NATIVE_LANES = processor().lanes


def make_operands(form, operand_bits, int32_state=False, count=NATIVE_LANES):
    """A function ``operands(target, source, size)``: what a matrix product reads of `size` numbers.

    The source holds int16, or with `int32_state` int32 whose high halves count. It is read in pieces of `count`
    numbers, no more than were stored at once: a larger piece would have to wait until they are in the cache.
    """
    operand_bytes, offset, splits = FORMS[form].operand_bytes, FORMS[form].offset, FORMS[form].splits
    source_bytes = 4 if int32_state else 2
    shorts = vector(SHORT, count)

    @intrinsic
    def convert(typing, target, source):
        """One register of int16."""

        def lower(context, builder, signature, arguments):
            target, source = arguments
            numbers = builder.load(pointer(builder, source, vector(INT, count) if int32_state else shorts), align=1)
            if int32_state:
                numbers = builder.trunc(builder.lshr(numbers, constant(numbers.type, 16)), shorts)
            if operand_bits == 8:
                numbers = _rounded(builder, numbers)
            if splits:
                numbers = _split(builder, builder.add(numbers, constant(shorts, offset << 8)))
            elif operand_bytes == 1:
                numbers = _bytes(builder, numbers, offset)
            builder.store(numbers, pointer(builder, target, numbers.type), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), lower

    @inline
    def operands(target, source, size):
        for k in range(0, size, count):
            convert(target + operand_bytes * k, source + source_bytes * k)

    return operands


def rounded_bytes(builder, numbers, form):
    """LLVM code of 8-bit operands of int16 numbers."""
    return _bytes(builder, _rounded(builder, numbers), FORMS[form].offset)


def _rounded(builder, numbers):
    """In 8 bits; as the sum saturates, at most 127 comes out."""
    kind = numbers.type
    return builder.ashr(
        call(builder, f"llvm.sadd.sat.v{kind.count}i16", kind, numbers, constant(kind, 128)), constant(kind, 8)
    )


def _bytes(builder, numbers, offset):
    kind = vector(BYTE, numbers.type.count)
    return builder.add(builder.trunc(numbers, kind), constant(kind, offset))


def _split(builder, numbers):
    """Bytes of 16-bit numbers: of each four first the upper halves, then the lower ones."""
    halves = builder.bitcast(numbers, vector(BYTE, 2 * numbers.type.count))
    order = [
        2 * (four + place) + half for four in range(0, numbers.type.count, 4) for half in (1, 0) for place in range(4)
    ]
    undefined = ir.Constant(halves.type, ir.Undefined)
    return builder.shuffle_vector(halves, undefined, ir.Constant(vector(INT, len(order)), order))
