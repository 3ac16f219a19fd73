"""Integer recurrent cells, and 32-bit states that are written out: ARITHMETIC.md section 7, formula by formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgernn.program.operations import (
    Int8FineGate,
    Int8Gru,
    Int8Lstm,
    Int8Rnn,
    Int32StateTerm,
    Int32StateUpdate,
    IntegerFunction,
    Shape,
    StateMatrix,
)
from edgernn.reference.arguments import Reference
from edgernn.reference.int8.base import (
    INT16_MAX,
    Array,
    Rows,
    multiply_fine,
    product,
    rescale,
    saturate16,
    saturate32,
)
from edgernn.reference.int8.elementwise import Function, activate, fine_sigmoid, function_of


def rnn(x: Array, h: Array, W: Rows, R: Rows, B: Array, function: Function, clip: int, bits: int) -> Array:
    """Elman cell; B (H,). Returns the new h, int16."""
    p = product(W, x, bits) + product(R, h, bits) + B
    return activate(_limit(p, clip), function)


def gru(
    x: Array,
    h: Array,
    W: Rows,
    R: Rows,
    B: Array,
    functions: Sequence[Function],
    linear_before_reset: bool,
    clip: int,
    bits: int,
    int32_state: bool,
) -> Array:
    """Gates z r h; B (4 H,) is z, r, h of W, h of R, or (3 H,) where the reset comes first. Returns the new h.

    With `int32_state`, h is int32 and the update gate is computed as its complement with 30 fraction bits.
    """
    H = R.weights.shape[1]
    high = h >> 16 if int32_state else h  # (H,) int16
    a = product(W, x, bits)  # (3 H,)
    u = product(R if linear_before_reset else R.part(slice(2 * H)), high, bits)  # (3 H,) or (2 H,)
    p = a[..., : 2 * H] + u[..., : 2 * H] + B[: 2 * H]  # (2 H,)
    r = activate(_limit(p[..., H:], clip), functions[0])
    if linear_before_reset:
        v = saturate16(u[..., 2 * H :] + B[3 * H :])
        p_n = a[..., 2 * H :] + B[2 * H : 3 * H] + ((r * v + (1 << 14)) >> 15)
    else:
        reset = (r * high + (1 << 14)) >> 15
        p_n = a[..., 2 * H :] + product(R.part(slice(2 * H, None)), reset, bits) + B[2 * H :]
    n = activate(_limit(p_n, clip), functions[1])
    if int32_state:
        step = multiply_fine(n - high, fine_sigmoid(-_limit(p[..., :H], clip, 65535)))
        return h + step + step
    z = activate(_limit(p[..., :H], clip), functions[0])
    return n + (((h - n) * z + (1 << 14)) >> 15)


def lstm(
    x: Array,
    h: Array,
    c: Array,
    W: Rows,
    R: Rows,
    B: Array,
    P: tuple[Array, Array] | None,
    functions: Sequence[Function],
    input_forget: bool,
    clip: int,
    bits: int,
    candidate_shift: int,
    cell_shift: int,
    int32_state: bool,
) -> tuple[Array, Array]:
    """Gates i o f c; B (4 H,); P is multiplier and shift of the peepholes i o f, (3 H,) each. Returns new h, new c.

    `candidate_shift` is how many more fraction bits the candidate has than c, `cell_shift` how many more c has than the
    input of the output function. With `int32_state`, c is int32 and the gates i and f have 30 fraction bits.
    """
    H = R.weights.shape[1]
    p = product(W, x, bits) + product(R, h, bits) + B  # (4 H,)
    p_i, p_o, p_f, p_g = (p[..., gate * H : (gate + 1) * H] for gate in range(4))
    high = c >> 16 if int32_state else c  # (H,) int16
    if P is not None:
        p_i = p_i + rescale(high, P[0][:H], P[1][:H])
        p_f = p_f + rescale(high, P[0][2 * H :], P[1][2 * H :])
    g = activate(_limit(p_g, clip), functions[1])
    if int32_state:
        fine_i = fine_sigmoid(_limit(p_i, clip, 65535))
        decay = fine_i if input_forget else fine_sigmoid(-_limit(p_f, clip, 65535))
        loss = multiply_fine(high, decay)
        c_new = saturate32(c - 2 * loss + _round_shift(2 * multiply_fine(g, fine_i), candidate_shift))
        high = c_new >> 16
    else:
        i = activate(_limit(p_i, clip), functions[0])
        f = np.minimum(32768 - i, INT16_MAX) if input_forget else activate(_limit(p_f, clip), functions[0])
        gain = (i * g + (1 << (14 + candidate_shift))) >> (15 + candidate_shift)
        c_new = high = saturate16(((f * c + (1 << 14)) >> 15) + gain)
    if P is not None:
        p_o = p_o + rescale(high, P[0][H : 2 * H], P[1][H : 2 * H])
    o = activate(_limit(p_o, clip), functions[0])
    cell = saturate16(_round_shift(high, cell_shift) if cell_shift >= 0 else high * (1 << -cell_shift))
    return (o * activate(cell, functions[2]) + (1 << 14)) >> 15, c_new


def _limit(p: Array, clip: int, largest: int = INT16_MAX) -> Array:
    """A gate's input: clipped to [-clip, clip] and saturated to [-largest - 1, largest]."""
    return np.minimum(np.maximum(p, max(-clip, -largest - 1)), min(clip, largest))


def _round_shift(x: Array, shift: int) -> Array:
    return x if shift == 0 else (x + (1 << (shift - 1))) >> shift


class Matrix(NamedTuple):
    """A matrix (rows, columns) with multiplier, shift and bias of each row."""

    W: Array
    multiplier: Array
    shift: Array
    B: Array


def fine_gate(x: Array, complement: bool) -> Array:
    """Q4.11 int16 -> Q0.30, above 0 and below 1."""
    return fine_sigmoid(-2 * x if complement else 2 * x)


def add_product(h: Array, x: Array, fine: Array, negative: bool) -> Array:
    """``h + x * fine``, or minus: x of 16 or 17 bits with sign, fine Q0.30, in two halves that saturate."""
    half = multiply_fine(x, fine)
    half = -half if negative else half
    return saturate32(saturate32(h + half) + half)


def add_shifted(h: Array, x: Array, shift: int, negative: bool) -> Array:
    """``h + x * 2^shift``, or minus."""
    shifted = x * (1 << shift)
    return saturate32(h - shifted if negative else h + shifted)


def _rnn(
    x: Array,
    h: Array,
    W: Array,
    W_multiplier: Array,
    W_shift: Array,
    R: Array,
    R_multiplier: Array,
    R_shift: Array,
    B: Array,
    activations: Sequence[IntegerFunction],
    weights: Mapping[str, Array],
    clip: int,
    operand_bits: int,
) -> Array:
    (f,) = (function_of(each, weights) for each in activations)
    h[...] = rnn(x, h, Rows(W, W_multiplier, W_shift), Rows(R, R_multiplier, R_shift), B, f, clip, operand_bits)
    return h.copy()


def _gru(
    x: Array,
    h: Array,
    W: Array,
    W_multiplier: Array,
    W_shift: Array,
    R: Array,
    R_multiplier: Array,
    R_shift: Array,
    B: Array,
    activations: Sequence[IntegerFunction],
    weights: Mapping[str, Array],
    clip: int,
    operand_bits: int,
    linear_before_reset: bool,
    int32_state: bool,
) -> Array:
    functions = [function_of(each, weights) for each in activations]
    rows = Rows(W, W_multiplier, W_shift), Rows(R, R_multiplier, R_shift)
    h[...] = gru(x, h, *rows, B, functions, linear_before_reset, clip, operand_bits, int32_state)
    return h >> 16 if int32_state else h.copy()


def _lstm(
    x: Array,
    h: Array,
    c: Array,
    W: Array,
    W_multiplier: Array,
    W_shift: Array,
    R: Array,
    R_multiplier: Array,
    R_shift: Array,
    B: Array,
    activations: Sequence[IntegerFunction],
    weights: Mapping[str, Array],
    clip: int,
    operand_bits: int,
    P_multiplier: Array | None,
    P_shift: Array | None,
    input_forget: bool,
    candidate_shift: int,
    cell_shift: int,
    int32_state: bool,
) -> Array:
    functions = [function_of(each, weights) for each in activations]
    rows = Rows(W, W_multiplier, W_shift), Rows(R, R_multiplier, R_shift)
    P = None if P_multiplier is None or P_shift is None else (P_multiplier, P_shift)
    shifts = (candidate_shift, cell_shift)
    h[...], c[...] = lstm(x, h, c, *rows, B, P, functions, input_forget, clip, operand_bits, *shifts, int32_state)
    return h.copy()


def add_matrix(h: Array, x: Array, matrix: Matrix, bits: int) -> Array:
    """``h + W x + B`` for x (columns,) of any size; W and x are both of 16 bits or both of 32, in halves."""
    W = matrix.W
    total = W @ x if bits == 16 else ((W >> 16) @ x + (W & 65535) @ (x >> 16)) >> 16
    product = rescale(total, matrix.multiplier, matrix.shift) + matrix.B
    return saturate32(h + product.reshape(h.shape))


def int32_state_update(
    inputs: Sequence[Array],
    region: Array,
    shape: Shape,
    terms: Sequence[Int32StateTerm],
    weights: Mapping[str, Array],
    floor: bool,
) -> tuple[Array, Array]:
    """The new state and its high half."""
    h = region.reshape(shape).copy()
    for term in terms:
        if isinstance(term.matrix, StateMatrix):
            matrix = Matrix(*(weights[name] for name in term.matrix.names()))
            h = add_matrix(h, inputs[term.x].ravel(), matrix, term.matrix.bits)
            continue
        x = inputs[term.x].reshape(shape)
        x = x if term.minus is None else x - inputs[term.minus].reshape(shape)
        if term.gate is not None:
            h = add_product(h, x, inputs[term.gate].reshape(shape), term.negative)
        elif term.factor is not None:
            h = add_product(h, x, weights[term.factor].reshape(shape), term.negative)
        else:
            h = add_shifted(h, x, term.shift, term.negative)
    h = h.clip(min=0) if floor else h
    return h, h >> 16


OPERATIONS: dict[type, Reference] = {
    Int8Rnn: _rnn,
    Int8Gru: _gru,
    Int8Lstm: _lstm,
    Int8FineGate: fine_gate,
    Int32StateUpdate: int32_state_update,
}
