"""Operators with their own state: LinearAttention and CausalConvWithState. Source: ONNX, operator set 27."""

from __future__ import annotations

from math import sqrt

import numpy as np

from edgernn.importers.onnx.rules.blocks import Sliding
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.convolution import check_spatial_axes, products, unfolded
from edgernn.importers.onnx.rules.dense import product, transposed
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.cached import Continued, continued
from edgernn.importers.onnx.streams.sequence import as_per_sequence, frames_of, is_time, join
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Signal, Tensor, features, width_of
from edgernn.program.operations import StateRegion

UPDATE_RULES = ("linear", "gated", "delta", "gated_delta")


def causal_conv_with_state(call: Call) -> Results:
    """CausalConvWithState: a depthwise convolution over time that keeps its last frames, and an activation."""
    node, x, W = call.node, call.stream(0), call.array(1, "weight")
    activation = node.word("activation", "none")
    if W.ndim != 3 or W.shape[1] != 1 or activation not in {"none", "silu", "swish"}:
        raise node.malformed(f"has a weight of shape {W.shape} and the activation {activation!r}")
    if x.rank != 3:
        raise node.malformed(f"has an input of {x.rank} axes, it must have 3")
    check_spatial_axes(call, x)
    if x.elements.shape[1] != len(W):
        raise node.malformed(f"has W of shape {W.shape} for {x.elements.shape[1]} channels")
    kernel, bias = W.shape[2], call.array(2, "bias") if call.has(2) else None
    before = (kernel - 1, 0)
    present: tuple[Tensor, ...] = ()
    if call.has(3) and isinstance(call.tensor(3), Signal):
        x, before = _joined_frames(call, call.stream(3), x), (0, 0)
        if isinstance(x, Continued):
            present = (as_per_sequence(call.builder, x.frames_kept(2)),)
        else:
            newest = x.elements[:, :, x.elements.shape[2] - kernel + 1 :]
            present = (x.moved((*x.axes[:2], features(kernel - 1)), newest),)
    elif call.has(3) and call.array(3, "past_state").any():
        raise node.unsupported("begins from frames that are not zero: leave its past_state out")
    elif len(node.outputs) > 1 and node.outputs[1] and kernel > 1 and is_time(x.axes[2]):
        taken = frames_of(call.builder, x, kernel - 1, pads=(kernel - 2, 0))  # (taps, batch, channels, time)
        frames = taken.moved((*x.axes[:2], taken.axes[0]), np.moveaxis(taken.elements.squeeze(3), 0, 2))
        present = (as_per_sequence(call.builder, frames),)
    patches, spatial = unfolded(call, x, [Sliding(kernel, 1, 1, before)], 0.0)
    plain = call.output if activation == "none" else call.inner("plain")
    y: Tensor = products(call, patches, spatial, W, bias, len(W), plain)
    if activation != "none":
        assert isinstance(y, Signal)
        y = emit_pair(call, "Mul", y, emit_unary(call, y, call.inner("gate"), "Sigmoid"), call.output)
    return (y, *present)


def _joined_frames(call: Call, past: Signal, x: Signal) -> Signal:
    """The frames that the state holds, and those of this step behind them, as features; a sequence of them all."""
    if is_time(x.axes[2]):
        if past.elements.shape[:2] != x.elements.shape[:2] or not call.builder.state_inputs.can_bind(past):
            raise call.node.unsupported("begins a sequence from past_state that is no input: export one time step")
        return continued(call.builder, past, x, 2)
    past, x = aligned(call.builder, (past, x), repr(call.node))
    if past.elements.shape[:2] != x.elements.shape[:2]:
        raise call.node.malformed(f"has a past_state of shape {past.extents} for an input of shape {x.extents}")
    frames = past.elements.shape[2] + x.elements.shape[2]
    return join(call.builder, (past, x), 2, (*x.axes[:2], features(frames)))


def linear_attention(call: Call) -> Results:
    """LinearAttention: ``S = decay * S + k v'``, with the delta rule where asked for, and ``y = scale * q S``."""
    node = call.node
    node.ignore("chunk_size")
    rule = node.word("update_rule", "gated_delta")
    heads, shared = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
    if rule not in UPDATE_RULES or shared < 1 or heads < 1 or heads % shared:
        raise node.malformed(f"has update_rule = {rule!r}, {heads} heads of queries and {shared} of keys")
    optional = [i for i in (4, 5) if call.has(i)]
    streams = aligned(call.builder, [call.stream(i) for i in (0, 1, 2, *optional)], repr(node))
    given = dict(zip((0, 1, 2, *optional), streams, strict=True))
    if any(x.rank != 3 for x in streams):
        raise node.malformed("has inputs that have not 3 axes")
    if not is_time(given[0].axes[1]) and given[0].axes[1]:
        raise NeedsWindowError(f"{node!r} runs over features of a frame")
    if given[0].elements.shape[0] > 1:
        raise node.unsupported("runs several samples side by side within one frame: export it for one")
    q, k, v = (_by_head(call, given[i], count) for i, count in ((0, heads), (1, shared), (2, shared)))
    key_size, value_size = k.elements.shape[-1], v.elements.shape[-1]
    q, k, v = (x.moved((*x.axes[:3], (), x.axes[3]), x.elements[..., np.newaxis, :]) for x in (q, k, v))  # rows
    region, old = _past(call, q, shared, key_size, value_size)
    state: Tensor = old
    if rule in ("gated", "gated_delta"):
        if 4 not in given:
            raise node.malformed("lacks its decay")
        decay = emit_unary(call, _per_head(call, given[4], shared, key_size), call.inner("decay"), "Exp")
        state = emit_pair(call, "Mul", state, decay, call.inner("decayed"))
    added: Tensor = v
    if rule in ("delta", "gated_delta"):
        if 5 not in given:
            raise node.malformed("lacks its beta")
        known = product(call, k, state, 1.0, call.inner("known"))
        beta = _per_head(call, given[5], shared, 1)
        added = emit_pair(call, "Mul", emit_pair(call, "Sub", v, known, call.inner("new")), beta, call.inner("update"))
    outer = product(call, transposed(k), added, 1.0, call.inner("outer"))
    state = emit_pair(call, "Add", state, outer, call.inner("state"))
    assert isinstance(state, Signal)
    present = _keep(call, region, state)
    copies = np.repeat(state.elements, heads // shared, 2)
    repeated = state.moved((*state.axes[:2], features(heads), *state.axes[3:]), copies)
    scale = node.number("scale", 0.0) or 1 / sqrt(key_size)
    y = product(call, q, repeated, scale, call.output)
    flat = y.elements.reshape(*y.elements.shape[:2], heads * value_size)
    return (y.moved((*y.axes[:2], features(heads * value_size)), flat), present)


def _by_head(call: Call, x: Signal, heads: int) -> Signal:
    """(batch, time, heads * size) as (batch, time, heads, size)."""
    width = width_of(x.axes[2])
    if width % heads:
        raise call.node.malformed(f"splits {width} features into {heads} heads")
    axes = (*x.axes[:2], features(heads), features(width // heads))
    return x.moved(axes, x.elements.reshape(*x.elements.shape[:2], heads, width // heads))


def _per_head(call: Call, x: Signal, heads: int, rows: int) -> Signal:
    """A decay or rate of each head, or of each row of its state, as (batch, time, heads, rows or 1, 1)."""
    width = width_of(x.axes[2])
    if width == 1 and heads > 1:
        x = x.moved((*x.axes[:2], features(heads)), np.repeat(x.elements, heads, 2))
        width = heads
    if width not in (heads, heads * rows):
        raise call.node.malformed(f"has {width} decays or rates for {heads} heads")
    by_head = _by_head(call, x, heads)
    return by_head.moved((*by_head.axes, ()), by_head.elements[..., np.newaxis])


def _past(call: Call, x: Signal, heads: int, rows: int, columns: int) -> tuple[StateRegion, Signal]:
    """Where the state lives, and what it held, (batch, time, heads, rows, columns)."""
    builder, size = call.builder, heads * rows * columns
    past = call.tensor(3) if call.has(3) else None
    if past is not None and past.elements.size != size:
        raise call.node.malformed(f"has a past_state of shape {past.extents}, it must have {size} numbers")
    name = f"{call.output}.state"
    if isinstance(past, Signal):
        region = builder.state_inputs.bind(past, "")
        if region is None:
            raise NeedsWindowError(f"{call.node!r} begins from a state that is computed from other signals")
    else:
        start = np.zeros(size, np.float32) if past is None else np.asarray(past.elements, np.float32).ravel()
        region = builder.hidden_states.add(name, start)
    old = call.inner("old")
    builder.read_state(f"read {name}", region, old, size, x.timing)
    return region, Signal.of(old, (*x.axes[:2], features(heads), features(rows), features(columns)), x.timing)


def _keep(call: Call, region: StateRegion, state: Signal) -> Signal:
    """Write the state; what it is after the last frame, (batch, heads, rows, columns)."""
    builder = call.builder
    value = builder.value_of_any_shape(state)
    builder.write_state(f"write {region.slot}", region, value, state.elements.size, state.timing)
    if builder.state_inputs.bindings and not builder.state_inputs.bindings[-1].last:
        builder.state_inputs.set_last(-1, value)
    axes = (state.axes[0], *state.axes[2:])
    last = state.moved(axes, state.elements.squeeze(1))
    return as_per_sequence(builder, last) if is_time(state.axes[1]) else last
