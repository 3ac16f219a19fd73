"""Addresses as pointers that Numba can index: ``bytes_at(address)[i]``. No bounds are checked.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

from numba import njit, types
from numba.extending import intrinsic

inline = njit(forceinline=True, error_model="numpy")  # for the small functions that kernels are made of


def _pointer(element):
    """Intrinsic that makes a pointer to `element` of an int64 address."""

    @intrinsic
    def pointer(typing, address):
        def lower(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), lower

    return pointer


bytes_at = _pointer(types.uint8)
int8_at = _pointer(types.int8)
int16_at = _pointer(types.int16)
int32_at = _pointer(types.int32)
int64_at = _pointer(types.int64)
float32_at = _pointer(types.float32)
float64_at = _pointer(types.float64)
