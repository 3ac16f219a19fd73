"""Padding around features: constant, or of the numbers themselves."""

from __future__ import annotations

import numpy as np

from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.streams.sequence import join, materialize_padding
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor, features, width_of

MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}  # ONNX's name and NumPy's


def pad_features(call: Call, x: Tensor, axis: int, pads: tuple[int, int], mode: str, value: float) -> Tensor:
    """The tensor with numbers before and behind an axis of features; negative pads take numbers away."""
    if mode not in MODES:
        raise call.node.malformed(f"has mode = {mode!r}")
    before, after = pads
    if mode == "constant" and isinstance(x, Signal):
        x = materialize_padding(call.builder, x)
    begin, end = max(0, -before), x.elements.shape[axis] - max(0, -after)
    if end - begin < 1 or (mode == "reflect" and max(pads) >= end - begin):
        raise call.node.malformed(f"pads an axis of {x.elements.shape[axis]} with {pads}")
    before, after = max(0, before), max(0, after)
    cut = x.elements[(slice(None),) * axis + (slice(begin, end),)]
    axes = (*x.axes[:axis], features(end - begin + before + after), *x.axes[axis + 1 :])
    widths = [(before, after) if i == axis else (0, 0) for i in range(x.rank)]
    if isinstance(x, Constant):
        filled = {"constant_values": np.array(value, cut.dtype)} if mode == "constant" else {}
        return x.moved(axes, np.pad(cut, widths, MODES[mode], **filled))  # type: ignore[call-overload]
    if mode != "constant":
        return x.moved(axes, np.pad(cut, widths, MODES[mode]))  # type: ignore[call-overload]
    assert isinstance(x, Signal)
    parts = [x.moved((*x.axes[:axis], features(end - begin), *x.axes[axis + 1 :]), cut)]
    for count, place in ((before, 0), (after, len(parts))):
        if count:
            border = Constant.of(np.full(1, value, np.float32), f"{call.output}:border")
            stream = call.builder.constant(border, x.timing)
            shape = (*cut.shape[:axis], count, *cut.shape[axis + 1 :])
            border_axes = (*x.axes[:axis], features(count), *x.axes[axis + 1 :])
            parts.insert(place if place == 0 else len(parts), stream.moved(border_axes, np.zeros(shape, np.int64)))
    assert width_of(axes[axis]) == sum(part.elements.shape[axis] for part in parts)
    return join(call.builder, parts, axis, axes)
