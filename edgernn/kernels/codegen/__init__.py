"""From Numba functions to object code: registers, pointers, the compiler and the cache of compiled kernels."""
