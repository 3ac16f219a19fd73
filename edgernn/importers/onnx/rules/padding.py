"""Pad: frames before and behind the sequence, or numbers around the features. Source: ONNX Pad."""

from __future__ import annotations

import numpy as np

from edgernn.importers.onnx.rules.borders import pad_features
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams import sequence
from edgernn.importers.onnx.streams.sequence import is_time
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Signal, Tensor, is_features


def pad(call: Call) -> Results:
    """Pad; its numbers are attributes before operator set 11."""
    node, x = call.node, call.tensor(0)
    mode, value = node.word("mode", "constant"), 0.0
    if node.opset < 11:
        pads = node.integers("pads") or []
        value = node.number("value", 0.0) or 0.0
    else:
        pads = call.integers(1, "pads")
        if call.has(2):
            value = float(call.array(2, "constant_value").reshape(-1)[0])
    axes = call.integers(3, "axes") if call.has(3) else list(range(x.rank))
    if len(pads) != 2 * len(axes) or not np.isfinite(value):
        raise node.malformed(f"has pads {pads} for {len(axes)} axes, with the value {value}")
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        if before or after:
            x = _pad_axis(call, x, x.reversed_axis(axis), (before, after), mode, value)
    return (x,)


def _pad_axis(call: Call, x: Tensor, axis: int, pads: tuple[int, int], mode: str, value: float) -> Tensor:
    if is_features(x.axes[axis]):
        return pad_features(call, x, axis, pads, mode, value)
    if not is_time(x.axes[axis]) or not isinstance(x, Signal):
        raise WrongAxisError(f"{call.node!r} pads the batch, or an axis that mixes time with others")
    if mode != "constant":
        raise NeedsWindowError(f"{call.node!r} pads time with its own frames (mode = {mode})")
    return sequence.padded(call.builder, x, axis, pads, value)
