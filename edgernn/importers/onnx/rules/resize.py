"""Resize and Upsample: numbers between those of an axis, the nearest or on a line between neighbours.

Along time the sequence gets so many times as many frames, which come in blocks. Source: ONNX Resize, Upsample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import emit_dense
from edgernn.importers.onnx.rules.elementwise import emit_pair
from edgernn.importers.onnx.rules.framing import repeated
from edgernn.importers.onnx.rules.layout import with_axis_from_end, with_last_axis
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.dimension import Extent, divide
from edgernn.importers.onnx.streams.sequence import frames_of, is_blocks, is_time, padded
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Constant,
    Role,
    Signal,
    check_constant_shape,
    check_step_shape,
    features,
    has_role,
    is_features,
)

Array = NDArray[Any]
ROUND: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
UNUSED = ("cubic_coeff_a", "exclude_outside", "extrapolation_value")  # by the modes that are supported


def resize(call: Call) -> Results:
    """Resize, and Upsample of old, in the modes nearest and linear."""
    x = call.stream(0)
    mode, coordinates, rounding = _modes(call)
    for axis, extent, scale in _targets(call, x):
        if is_features(x.axes[axis]):
            assert isinstance(extent, int)
            check_step_shape((extent,), repr(call.node))
            places = _places(coordinates, x.elements.shape[axis], extent, scale)
            x = _along_features(call, x, axis, places, mode, rounding)
        else:
            x = _along_time(call, x, axis, scale, mode, coordinates, rounding)
    return (x,)


def _modes(call: Call) -> tuple[str, str, str]:
    node = call.node
    node.ignore(*UNUSED)
    mode = node.word("mode", "nearest")
    coordinates = node.word("coordinate_transformation_mode", "half_pixel")
    rounding = node.word("nearest_mode", "round_prefer_floor")
    if node.operator == "Upsample" or node.opset < 11:
        coordinates, rounding = "asymmetric", "floor"
    if mode == "bilinear":
        mode = "linear"
    known = coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
    if mode not in ("nearest", "linear") or not known or rounding not in ROUND:
        raise node.unsupported(
            f"has mode {mode!r}, {coordinates!r}, {rounding!r}: resize by the nearest numbers, or linearly"
        )
    if node.integer("antialias", 0) or node.word("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.unsupported("has antialias or keep_aspect_ratio_policy: export it without")
    return mode, coordinates, rounding


def _targets(call: Call, x: Signal) -> list[tuple[int, Extent, float]]:
    """The axes that change, their new extents, and how many times these are the old ones."""
    node, extents = call.node, x.extents
    axes = [x.reversed_axis(axis) for axis in node.integers("axes") or range(x.rank)]
    place = 1 if node.operator == "Upsample" or node.opset < 11 else 2
    if call.has(3):
        targets = call.extents(3, "sizes")
        scales = [_ratio(call, target, extents[axis]) for axis, target in zip(axes, targets, strict=False)]
    else:
        given = call.array(place, "scales") if call.has(place) else np.array(node.numbers("scales") or [])
        scales = [float(scale) for scale in given.ravel()]
        targets = [_scaled(call, extents[axis], scale) for axis, scale in zip(axes, scales, strict=False)]
    if len(targets) != len(axes) or len(scales) != len(axes) or min(scales, default=1) <= 0:
        raise node.malformed(f"has scales {scales} for {len(axes)} axes")
    changed = zip(axes, targets, scales, strict=True)
    return [(axis, target, scale) for axis, target, scale in changed if target != extents[axis]]


def _ratio(call: Call, target: Extent, extent: Extent) -> float:
    if isinstance(target, int) and isinstance(extent, int):
        return target / extent
    ratio = divide(target, extent)
    if not isinstance(ratio, int):
        raise NeedsWindowError(f"{call.node!r} resizes {extent} to {target} frames")
    return ratio


def _scaled(call: Call, extent: Extent, scale: float) -> Extent:
    if isinstance(extent, int):
        return int(np.floor(np.float32(extent) * np.float32(scale)))
    if scale != int(scale):
        raise NeedsWindowError(f"{call.node!r} makes {scale} times as many frames")
    return extent * int(scale)


def _places(coordinates: str, extent: int, target: int, times: float) -> Array:
    """Where each number of the result lies on the axis, in steps of its own numbers; rounded as in onnxruntime."""
    after, scale = np.arange(target, dtype=np.float32), np.float32(times)
    if coordinates == "asymmetric":
        return after / scale
    if coordinates == "align_corners":
        return after * (extent - 1) / max(target - 1, 1)
    if coordinates == "pytorch_half_pixel" and target == 1:
        return np.zeros(1, np.float32)
    places = (after + np.float32(0.5)) / scale - np.float32(0.5)
    if coordinates == "half_pixel_symmetric":
        places += np.float32(extent / 2 * (1 - target / (float(scale) * extent)))
    return places


def _along_features(call: Call, x: Signal, axis: int, places: Array, mode: str, rounding: str) -> Signal:
    width = x.elements.shape[axis]
    if mode == "nearest":
        indices = np.clip(ROUND[rounding](places), 0, width - 1).astype(int)
        elements = x.elements.take(indices, axis)
        check_step_shape(elements.shape, repr(call.node))
        return x.moved((*x.axes[:axis], features(len(indices)), *x.axes[axis + 1 :]), elements)
    places = np.clip(places, 0, width - 1)
    check_constant_shape((len(places), width), repr(call.node))
    W = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(width)))  # a tent over each number
    y = emit_dense(call, with_last_axis(x, axis), W.astype(np.float32), None, call.inner("line"))
    return with_axis_from_end(y, axis)


def _along_time(call: Call, x: Signal, axis: int, scale: float, mode: str, coordinates: str, rounding: str) -> Signal:
    """Blocks of as many frames for each."""
    node, time = call.node, x.axes[axis]
    if not is_time(time) and not is_blocks(time):
        kind = NeedsWindowError if has_role(time, Role.TIME) else WrongAxisError
        raise kind(f"{node!r} resizes an axis of the batch, or one that mixes time with features")
    count = int(scale)
    check_step_shape((3, count), repr(node))
    places = _places(coordinates, 3, 3 * count, count)[count : 2 * count] - 1  # of the frames for one, from it
    if count != scale or count < 2 or coordinates in ("align_corners", "half_pixel_symmetric"):
        raise NeedsWindowError(f"{node!r} makes {scale:g} times as many frames, by their positions in the sequence")
    if mode == "nearest" and (ROUND[rounding](places) == 0).all():
        return repeated(call, x, axis, count)
    if mode == "nearest" or not is_time(time):
        raise NeedsWindowError(f"{node!r} takes frames from beside each, of a sequence that comes in blocks")
    return _on_lines(call, x, axis, places)


def _on_lines(call: Call, x: Signal, axis: int, places: Array) -> Signal:
    """Frames between each and its neighbours; at both ends, where there is none, the frame itself."""
    builder, shape = call.builder, (*(1 for _ in x.axes[:axis]), 1, len(places), *(1 for _ in x.axes[axis + 1 :]))
    pairs = frames_of(builder, x, 2)  # (2, *axes of x)
    before, behind = (Signal(pairs.axes[1:], part, bases=pairs.bases, timing=pairs.timing) for part in pairs.elements)
    step = emit_pair(call, "Sub", behind, before, call.inner("step"))
    assert isinstance(step, Signal)
    y = x.moved((*x.axes[: axis + 1], (), *x.axes[axis + 1 :]), np.expand_dims(x.elements, axis + 1))
    for pads, shares in (((1, 0), np.minimum(places, 0)), ((0, 1), np.maximum(places, 0))):
        if shares.any():
            steps = padded(builder, step, axis, pads, 0.0)
            steps = steps.moved(
                (*steps.axes[: axis + 1], (), *steps.axes[axis + 1 :]), np.expand_dims(steps.elements, axis + 1)
            )
            share = Constant.of(shares.reshape(shape).astype(np.float32), f"{call.output}:shares")
            part = emit_pair(call, "Mul", steps, share, call.inner("part"))
            y = emit_pair(call, "Add", y, part, call.inner("line"))  # type: ignore[assignment]
    time = (*x.axes[axis], *features(len(places)))
    elements = y.elements.reshape(*x.elements.shape[:axis], len(places), *x.elements.shape[axis + 1 :])
    return y.moved((*x.axes[:axis], time, *x.axes[axis + 1 :]), elements)
