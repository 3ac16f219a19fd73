"""Attention that looks back a limited number of frames: rings of keys and values.

Scores of every frame with every other are no tensor of a stream. They are followed as what they are made of, until a
product with the values follows their softmax. If their mask lets a frame look back so many frames and no more, and if
what it adds depends on nothing but the distance, then the last keys and values are all that a step needs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.attention_scores import AttentionScores
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import product
from edgernn.importers.onnx.rules.elementwise import emit_pair
from edgernn.importers.onnx.rules.logic import chosen
from edgernn.importers.onnx.rules.normalization import emit_softmax
from edgernn.importers.onnx.streams.sequence import frames_of, is_time
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor, extent_of, features
from edgernn.program.operations import MAX_ELEMENTS

Array = NDArray[Any]
NOWHERE = -1e9  # the score of a frame before the sequence
MIN_MASK = -1e4  # a mask that adds less than this forbids


def of_pairs(call: Call) -> Results:
    """The rule of an operator that reads scores of frames with each other."""
    node = call.node
    operator = "Mul" if node.operator == "Sum" else node.operator
    places = [i for i, tensor in enumerate(call.inputs) if isinstance(tensor, AttentionScores)]
    scores = call.inputs[places[0]]
    assert isinstance(scores, AttentionScores)
    if len(places) == 1:
        if operator in ("Identity", "Dropout", "Cast"):
            node.ignore("to", "saturate", "ratio", "seed", "round_mode")
            return (scores,)
        if operator == "MatMul" and places == [0] and scores.shares and isinstance(call.inputs[1], Signal):
            return (_attended(call, scores, call.stream(1)),)
        if operator == "Softmax" and node.integer("axis", -1) in (-1, scores.rank - 1) and not scores.shares:
            return (replace(scores, shares=True),)
        if operator == "IsNaN" and scores.shares:
            return (Constant.of(np.array(False)),)  # a frame sees itself, or `_by_age` refuses
        if operator == "Where" and places == [2] and scores.shares and not call.constant(0, "condition").elements.any():
            return (scores,)
        if not scores.shares and all(isinstance(x, Constant) for i, x in enumerate(call.inputs) if i not in places):
            changed = _with_constants(call, scores, operator, places[0])
            if changed is not None:
                return (changed,)
    raise NeedsWindowError(f"{node!r} uses products of all frames with each other, as attention does")


def _with_constants(call: Call, scores: AttentionScores, operator: str, place: int) -> AttentionScores | None:
    """Scores times or plus a constant, or masked by one."""
    if operator == "Where":
        condition = call.constant(0, "condition").elements
        other = call.array(3 - place, "X")
        if place == 0 or other.size != 1 or not float(other.reshape(-1)[0]) < MIN_MASK:
            return None
        allowed = condition.astype(bool) if place == 1 else ~condition.astype(bool)
        return _masked(scores, np.where(allowed, 0.0, -np.inf))
    numbers = call.array(1 - place, "B")
    if operator in ("Mul", "Div") and numbers.size == 1 and (operator == "Mul" or place == 0):
        factor = float(numbers.reshape(-1)[0])
        factor = factor if operator == "Mul" else 1 / factor
        bias = None if scores.bias is None else scores.bias * factor
        return replace(scores, scale=scores.scale * factor, bias=bias) if factor > 0 else None
    if operator in ("Add", "Sub") and place == 0:
        return _masked(scores, numbers if operator == "Add" else -numbers)
    return _masked(scores, numbers) if operator == "Add" else None


def _masked(scores: AttentionScores, mask: Array) -> AttentionScores:
    return replace(scores, bias=mask.astype(np.float64) if scores.bias is None else scores.bias + mask)


def _attended(call: Call, scores: AttentionScores, values: Signal) -> Tensor:
    """The shares times the values."""
    assert scores.queries is not None
    assert scores.keys is not None
    if not is_time(values.axes[-2]):
        raise NeedsWindowError(f"{call.node!r} weighs something else than frames")
    steps = extent_of(scores.axes[-1])
    bias = _by_age(call, scores.bias, steps if isinstance(steps, int) else None)
    return looked_back(call, scores.queries, scores.keys, values, scores.scale, bias)


def _by_age(call: Call, bias: Array | None, steps: int | None) -> Array:
    """What is added to the score of a frame by how many frames ago it was, (..., frames); the newest first."""
    approximate = call.options.attention_steps
    everywhere = NeedsWindowError(
        f"{call.node!r} attends over all frames of the sequence so far, or over later ones: only a mask that lets each "
        "frame look back a limited number of frames can be a ring"
    )
    if bias is None or steps is None or bias.ndim < 2 or bias.shape[-2:] != (steps, steps):
        raise everywhere
    rows, columns = np.indices((steps, steps))
    age = rows - columns
    allowed = np.broadcast_to(bias > MIN_MASK, bias.shape)
    if allowed[..., age < 0].any() or not allowed[..., age == 0].all():
        raise everywhere
    last = bias[..., -1, ::-1]  # of the last frame, by age
    expected = np.where(age >= 0, last[..., np.maximum(age, 0)], -np.inf)
    agrees = np.where(allowed, np.isclose(bias, expected, atol=1e-6), expected <= MIN_MASK)
    if not agrees.all():
        raise NeedsWindowError(f"{call.node!r} has a mask that depends on more than the distance of two frames")
    reach = int(np.flatnonzero((last > MIN_MASK).reshape(-1, steps).any(0)).max()) + 1
    if reach == steps:
        if approximate is None or approximate >= steps:
            raise everywhere
        reach = approximate
        call.builder.warnings.append(
            f"{call.node!r} attends over the whole sequence; attention_steps={approximate} lets it look back so many "
            "frames only, so results are approximate"
        )
    return np.maximum(last[..., :reach], NOWHERE)


def looked_back(call: Call, q: Signal, k: Signal, v: Signal, scale: float, bias: Array) -> Tensor:
    """Attention over the last frames; q, v (..., time, size), k (..., size, time), bias (..., age)."""
    frames = bias.shape[-1]
    if frames * (k.elements.size + v.elements.size) > MAX_ELEMENTS:
        raise call.node.unsupported(f"looks back {frames} frames, which is more than memory should hold")
    keys, values = _ring(call, k, -1, frames), _ring(call, v, -2, frames)
    scores = product(call, q, keys, scale, call.inner("scores"))
    ones = call.builder.constant(Constant.of(np.ones(1, np.float32), f"{call.output}:ones"), k.timing.real)
    time = next(axis for axis in k.axes if is_time(axis))
    there = _ring(call, replace(ones, axes=(time,), timing=k.timing), 0, frames)  # 1 where a frame has come
    scores = chosen(call, there, scores, Constant.of(np.array(NOWHERE, np.float32)), call.inner("begun"))
    if bias.any():
        added = bias[..., np.newaxis, ::-1] if bias.ndim > 1 else bias[::-1]  # the oldest first
        scores = emit_pair(call, "Add", scores, Constant.of(added.astype(np.float32)), call.inner("biased"))
    assert isinstance(scores, Signal)
    return product(call, emit_softmax(call, scores, call.inner("shares")), values, 1.0, call.output)


def _ring(call: Call, x: Signal, axis: int, frames: int) -> Signal:
    """The last frames of x in place of its axis of time, the oldest first."""
    place = axis % x.rank
    taken = frames_of(call.builder, x, frames, pads=(frames - 1, 0))
    axes = (*x.axes[:place], features(frames), *x.axes[place + 1 :])
    return taken.moved(axes, np.moveaxis(taken.elements.squeeze(place + 1), 0, place))
