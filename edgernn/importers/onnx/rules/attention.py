"""Attention and rotary positions over the frames of a window: products of two signals, masks, a softmax.

Source: ONNX Attention, RotaryEmbedding; com.microsoft Attention, MultiHeadAttention, RotaryEmbedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.attention_ring import looked_back
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import emit_dense, product, transposed
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary, number
from edgernn.importers.onnx.rules.masks import LOWEST
from edgernn.importers.onnx.rules.normalization import emit_softmax
from edgernn.importers.onnx.rules.reductions import require_features
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.sequence import is_time
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor, features, width_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Attending:
    """What attention looks at.

    Attributes
    ----------
    scale : float or None
        Factor of the scores, None for one over the root of the size of a head.
    mask : ndarray or None
        Added to the scores; -inf where a query may not look.
    is_causal : bool
        A query looks at no later key.
    softcap : float
        Bound of the scores, 0 for none.
    left, right : int
        How far a query looks back and ahead, -1 for everywhere.
    """

    scale: float | None = None
    mask: Array | None = None
    is_causal: bool = False
    softcap: float = 0.0
    left: int = -1
    right: int = -1

    def bias(self, queries: int, keys: int) -> Array | None:
        """All masks as one, (..., queries, keys); None for none."""
        ahead = np.arange(keys)[None] - np.arange(queries)[:, None]
        allowed = np.ones((queries, keys), bool)
        for bound, distance in ((0 if self.is_causal else -1, ahead), (self.left, -ahead), (self.right, ahead)):
            allowed &= (bound < 0) | (distance <= bound)
        if self.mask is None and allowed.all():
            return None
        mask = np.zeros((queries, keys), np.float32) if self.mask is None else self.mask
        return np.maximum(np.where(allowed, mask, -np.inf), LOWEST).astype(np.float32)


def attention(call: Call) -> Results:
    """Attention of operator set 23 and later, without a cache of past keys."""
    node = call.node
    node.ignore("softmax_precision", "qk_matmul_output_mode")
    if any(call.has(i) for i in (4, 5, 6)):
        raise node.unsupported("has past keys and values, or lengths: export it over a whole window, without a cache")
    if any(node.outputs[3:]):
        raise node.unsupported("gives its scores: keep only its result among the outputs")
    q, k, v = (call.stream(i) for i in range(3))
    is_flat = q.rank == 3
    if is_flat:
        heads, shared = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
        q, k, v = (split_heads(call, x, count) for x, count in ((q, heads), (k, shared), (v, shared)))
    node.ignore("q_num_heads", "kv_num_heads")
    how = Attending(
        node.number("scale", None),
        _mask(call, 3) if call.has(3) else None,
        bool(node.integer("is_causal", 0)),
        node.number("softcap", 0.0) or 0.0,
        node.integer("left_window_size", -1),
        node.integer("right_window_size", -1),
    )
    y = attended(call, q, k, v, how)
    return (join_heads(y) if is_flat else y, k, v)


def _mask(call: Call, index: int) -> Array:
    """A constant mask, which is added, or says where a query may look."""
    mask = call.array(index, "attn_mask")
    if mask.dtype == bool:
        return np.where(mask, 0.0, -np.inf)
    if mask.dtype.kind != "f" or np.isnan(mask).any() or np.isposinf(mask).any():
        raise call.node.malformed(f"has a mask of type {mask.dtype}, or one that is not finite")
    return mask


def split_heads(call: Call, x: Signal, heads: int) -> Signal:
    """(batch, length, heads * size) as (batch, heads, length, size)."""
    require_features(call, x, [x.rank - 1])
    width = width_of(x.axes[-1])
    if x.rank != 3 or heads < 1 or width % heads:
        raise call.node.malformed(f"has {heads} heads of a tensor of {x.rank} axes with {width} features")
    elements = x.elements.reshape(*x.elements.shape[:2], heads, width // heads).swapaxes(1, 2)
    return x.moved((x.axes[0], features(heads), x.axes[1], features(width // heads)), elements)


def join_heads(x: Signal) -> Signal:
    """The opposite of `split_heads`."""
    elements = x.elements.swapaxes(1, 2)
    width = elements.shape[2] * elements.shape[3]
    return x.moved((x.axes[0], x.axes[2], features(width)), elements.reshape(*elements.shape[:2], width))


def attended(call: Call, q: Signal, k: Signal, v: Signal, how: Attending) -> Signal:
    """``softmax(scale * q @ k.T + mask) @ v``, each (batch, heads, length, size); k and v may have fewer heads."""
    if q.rank != 4 or k.rank != 4 or v.rank != 4:
        raise call.node.malformed(f"attends over tensors of {q.rank}, {k.rank} and {v.rank} axes, each must have 4")
    if any(is_time(x.axes[2]) for x in (q, k, v)):
        return _over_time(call, q, k, v, how)
    heads, shared = q.elements.shape[1], k.elements.shape[1]
    if heads % shared or v.elements.shape[1] != shared:
        raise call.node.malformed(f"shares {shared} heads of keys among {heads} heads of queries")
    k, v = (
        x.moved((x.axes[0], features(heads), *x.axes[2:]), np.repeat(x.elements, heads // shared, 1)) for x in (k, v)
    )
    scale = 1 / sqrt(q.elements.shape[3]) if how.scale is None else how.scale
    scores = product(call, q, transposed(k), scale, call.inner("scores"))
    if how.softcap:
        scores = emit_pair(call, "Div", scores, number(how.softcap), call.inner("bounded"))
        scores = emit_unary(call, scores, call.inner("tanh"), "Tanh")
        scores = emit_pair(call, "Mul", scores, number(how.softcap), call.inner("capped"))
    bias = how.bias(q.elements.shape[2], k.elements.shape[2])
    if bias is not None:
        scores = emit_pair(call, "Add", scores, Constant.of(bias), call.inner("masked"))
    assert isinstance(scores, Signal)
    shares: Tensor = emit_softmax(call, scores, call.inner("shares"))
    if bias is not None and (lost := (bias <= LOWEST).all(-1, keepdims=True)).any():  # who may look nowhere sees zeros
        shares = emit_pair(
            call, "Mul", shares, Constant.of(np.where(lost, np.float32(0), np.float32(1))), call.inner("seen")
        )
    y = product(call, shares, v, 1.0, call.output)
    assert isinstance(y, Signal)
    return y


def _over_time(call: Call, q: Signal, k: Signal, v: Signal, how: Attending) -> Signal:
    """Attention that says itself how far each frame looks back."""
    q, k, v = aligned(call.builder, (q, k, v), repr(call.node))
    looks_ahead = not how.is_causal and how.right != 0
    frames = how.left + 1 if how.left >= 0 else call.options.attention_steps
    if (
        how.mask is not None
        or how.softcap
        or looks_ahead
        or frames is None
        or not all(is_time(x.axes[2]) for x in (q, k, v))
    ):
        raise NeedsWindowError(f"{call.node!r} attends over time, so it needs the whole sequence")
    if how.left < 0:
        call.builder.warnings.append(f"{call.node!r} looks back {frames} frames only, so results are approximate")
    heads = q.elements.shape[1]
    k, v = (
        x.moved((x.axes[0], features(heads), *x.axes[2:]), np.repeat(x.elements, heads // x.elements.shape[1], 1))
        for x in (k, v)
    )
    scale = 1 / sqrt(q.elements.shape[3]) if how.scale is None else how.scale
    y = looked_back(call, q, transposed(k), v, scale, np.zeros(frames))
    assert isinstance(y, Signal)
    return y


# ---- as onnxruntime writes it


def packed_attention(call: Call) -> Results:
    """com.microsoft Attention: one matrix makes queries, keys and values."""
    node, x = call.node, call.stream(0)
    node.ignore("mask_filter_value", "do_rotary", "past_present_share_buffer", "rotary_embedding_dim")
    if any(call.has(i) for i in (3, 4, 6)) or any(node.outputs[1:]):
        raise node.unsupported("has a mask of lengths or a cache: export it over a whole window, without either")
    if node.integer("do_rotary", 0):
        raise node.unsupported("turns positions inside: load the model as it was before onnxruntime optimised it")
    heads, weights = node.integer("num_heads", 0), call.array(1, "weights")
    sizes = node.integers("qkv_hidden_sizes") or [weights.shape[1] // 3] * 3
    bias = call.array(2, "bias") if call.has(2) else None
    packed = emit_dense(call, x, weights.T, bias, call.inner("packed"))
    if len(sizes) != 3 or sum(sizes) != weights.shape[1]:
        raise node.malformed(f"splits {weights.shape[1]} features into {sizes}")
    parts = np.split(packed.elements, np.cumsum(sizes)[:2], -1)
    q, k, v = (
        split_heads(call, packed.moved((*packed.axes[:-1], features(part.shape[-1])), part), heads) for part in parts
    )
    return (join_heads(attended(call, q, k, v, _how(call, 5, bool(node.integer("unidirectional", 0))))),)


def multi_head_attention(call: Call) -> Results:
    """com.microsoft MultiHeadAttention."""
    node, heads = call.node, call.node.integer("num_heads", 0)
    node.ignore("mask_filter_value")
    if any(call.has(i) for i in (4, 6, 7)) or any(node.outputs[1:]) or not (call.has(1) and call.has(2)):
        raise node.unsupported("has packed keys, a mask of lengths or a cache: load the model as it was before")
    streams = [call.stream(i) for i in range(3)]
    if call.has(3):
        starts = np.cumsum([width_of(x.axes[-1]) for x in streams])
        biases = np.split(call.array(3, "bias"), starts[:2])
        streams = [
            emit_pair(call, "Add", x, Constant.of(bias), call.inner("biased"))  # type: ignore[misc]
            for x, bias in zip(streams, biases, strict=True)
        ]
    q, k, v = (split_heads(call, x, heads) if x.rank == 3 else x for x in streams)
    return (join_heads(attended(call, q, k, v, _how(call, 5, bool(node.integer("unidirectional", 0))))),)


def _how(call: Call, mask: int, is_causal: bool) -> Attending:
    scale = call.node.number("scale", None) or None  # 0 stands for none
    return Attending(scale, _mask(call, mask) if call.has(mask) else None, is_causal)


# ---- rotary positions


def rotary_embedding(call: Call) -> Results:
    """RotaryEmbedding: pairs of features turned by an angle of their position."""
    cos, sin = (call.array(i, name).astype(np.float64) for i, name in ((1, "cos_cache"), (2, "sin_cache")))
    if call.has(3):
        places = call.array(3, "position_ids")
        cos, sin = cos[places], sin[places]
    return (_turned(call, cos, sin),)


def rotary_embedding_of_onnxruntime(call: Call) -> Results:
    """com.microsoft RotaryEmbedding, which has its inputs in another order."""
    call.node.ignore("is_packed_batching", "scale")
    if call.node.integer("is_packed_batching", 0) or call.node.number("scale", 1.0) != 1.0:
        raise call.node.unsupported("packs its batch or scales: load the model as it was before")
    cos, sin = (call.array(i, name).astype(np.float64) for i, name in ((2, "cos_cache"), (3, "sin_cache")))
    places, x = call.array(1, "position_ids"), call.stream(0)
    if places.size == 1:  # the position of the first frame
        places = places.reshape(1, 1) + np.arange(x.elements.shape[1 if x.rank == 3 else 2])
    return (_turned(call, cos[places], sin[places]),)


def _turned(call: Call, cos: Array, sin: Array) -> Signal:
    """``x * cos + turned(x) * sin``; cos and sin are (batch, length, half of the turned features)."""
    node, x = call.node, call.stream(0)
    is_flat = x.rank == 3
    half = cos.shape[-1]
    if cos.ndim != 3 or sin.shape != cos.shape:
        raise node.malformed(f"has caches of shape {cos.shape} and {sin.shape}")
    size = node.integer("rotary_embedding_dim", 0)
    if is_flat:
        x = split_heads(call, x, node.integer("num_heads", 0) or width_of(x.axes[-1]) // (2 * half))
    node.ignore("num_heads")
    require_features(call, x, [3])
    width = width_of(x.axes[3])
    if (size or width) != 2 * half or width < 2 * half:
        raise node.malformed(f"turns {size or width} of {width} features by caches of {half}")
    first, second = np.arange(half), np.arange(half) + half
    if node.integer("interleaved", 0):
        first, second = 2 * first, 2 * first + 1
    order, factors, terms = np.arange(width), np.ones((2, *cos.shape[:2], width)), None
    order[first], order[second] = second, first
    factors[1] = 0.0
    for part, sign in ((first, -1.0), (second, 1.0)):
        factors[0][..., part], factors[1][..., part] = cos, sign * sin
    terms = [Constant.of(factor[:, np.newaxis].astype(np.float32)) for factor in factors]  # batch, 1, length, size
    turned = x.moved(x.axes, x.elements[..., order])
    kept = emit_pair(call, "Mul", x, terms[0], call.inner("kept"))
    crossed = emit_pair(call, "Mul", turned, terms[1], call.inner("crossed"))
    y = emit_pair(call, "Add", kept, crossed, call.output)
    assert isinstance(y, Signal)
    return join_heads(y) if is_flat else y
