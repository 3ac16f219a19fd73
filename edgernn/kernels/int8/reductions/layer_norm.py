"""Integer layer normalisation. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.pointers import inline, int16_at, int64_at
from edgernn.kernels.codegen.simd import slot
from edgernn.kernels.instructions import slots
from edgernn.kernels.int8.instructions import Int8LayerNormInstruction

LAYER_NORM = slots(Int8LayerNormInstruction)


@inline
def square_root(x):
    """The largest integer whose square is at most x, below 2^62: digit by digit, as by hand."""
    root, bit = 0, 1 << 60
    while bit > x:
        bit >>= 2
    while bit > 0:
        if x >= root + bit:
            x -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


def layer_norm(row, weights, state, arena):
    """Of each row of x, with int64 numbers on the way."""
    x, y, constants = (
        int16_at(arena + slot(row, LAYER_NORM.x)),
        int16_at(arena + slot(row, LAYER_NORM.y)),
        int64_at(weights + slot(row, LAYER_NORM.constants)),
    )
    size, epsilon, norm_bits = (
        slot(row, LAYER_NORM.size),
        slot(row, LAYER_NORM.epsilon),
        slot(row, LAYER_NORM.norm_bits),
    )
    first = 0
    for _ in range(slot(row, LAYER_NORM.rows)):
        total, squares = 0, 0
        for k in range(first, first + size):
            number = int(x[k])
            total += number
            squares += number * number
        if not slot(row, LAYER_NORM.centred):
            total = 0
        root = max(square_root(size * squares - total * total + epsilon), 1)
        bits = 0
        while root >> bits:
            bits += 1
        divisor = root >> (bits - 16) if bits >= 16 else root << (16 - bits)
        reciprocal = min(((1 << 30) + (divisor >> 1)) // divisor, 32767)
        shift = 14 + bits - norm_bits
        half = 1 << (shift - 1)
        for k in range(size):
            normal = ((size * int(x[first + k]) - total) * reciprocal + half) >> shift
            normal = min(max(normal, -32768), 32767)
            scaled = (normal * constants[3 * k] + (1 << (constants[3 * k + 1] - 1))) >> constants[3 * k + 1]
            y[first + k] = min(max(scaled + constants[3 * k + 2], -32768), 32767)
        first += size
    return 0


def build():
    """The one kernel of this module."""
    return layer_norm
