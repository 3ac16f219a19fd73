"""Selection, repetition and placement at constant positions. They only move `elements`, so they cost nothing.

Source: ONNX Tile, GatherElements, GatherND, ScatterElements, Scatter, ScatterND, Trilu, Compress, ReverseSequence,
DepthToSpace, SpaceToDepth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import one_frame
from edgernn.importers.onnx.rules.layout import repeated_time_invariant
from edgernn.importers.onnx.rules.logic import chosen_by, without_unused_bases
from edgernn.importers.onnx.rules.number_types import floats, is_integer
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.dimension import Dimension
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Axis,
    Constant,
    Role,
    Signal,
    Tensor,
    axis_of,
    check_constant_shape,
    check_step_shape,
    extent_of,
    features,
    has_role,
    is_features,
    width_of,
)

Elements = NDArray[Any]


def _require_features(call: Call, axes: tuple[Axis, ...]) -> None:
    for axis in axes:
        if has_role(axis, Role.TIME):
            raise NeedsWindowError(f"{call.node!r} moves frames along time")
        if not is_features(axis):
            raise WrongAxisError(f"{call.node!r} moves samples of the batch: export the model so that they stay apart")


def _moved(call: Call, x: Tensor, axes: tuple[Axis, ...], elements: Elements) -> Tensor:
    """The tensor with other axes and elements, if that is no more than a step may hold."""
    (check_constant_shape if isinstance(x, Constant) else check_step_shape)(elements.shape, repr(call.node))
    return x.moved(axes, elements)


def _places(call: Call, index: int, name: str) -> Elements:
    """A constant tensor of positions."""
    places = call.array(index, name)
    if places.dtype.kind not in "iu" or not places.size:
        raise call.node.malformed(f"has {name} of type {places.dtype} and shape {places.shape}")
    return places.astype(np.int64)


def tile(call: Call) -> Results:
    """Tile: copies along axes of features."""
    x, repeats = call.tensor(0), call.extents(1, "repeats")
    if len(repeats) != x.rank:
        raise call.node.malformed(f"has {len(repeats)} repeats for {x.rank} axes")
    axes, counts = [], []
    for i, count in enumerate(repeats):
        again = repeated_time_invariant(call, x, i, count)
        x, repeats[i] = (x, count) if again is None else (again, 1)
    for axis, count in zip(x.axes, repeats, strict=True):
        if isinstance(count, Dimension):
            if axis or isinstance(x, Signal):
                raise NeedsWindowError(f"{call.node!r} repeats numbers for each time step or sample of the batch")
            axes.append(axis_of(count))
            counts.append(width_of(axes[-1]))
            continue
        if count < 1:
            raise call.node.malformed(f"repeats {count} times")
        if count > 1:
            _require_features(call, (axis,))
        axes.append(axis if count == 1 else features(width_of(axis) * count))
        counts.append(count)
    shape = tuple(width * count for width, count in zip(x.elements.shape, counts, strict=True))
    (check_constant_shape if isinstance(x, Constant) else check_step_shape)(shape, repr(call.node))
    return (x.moved(tuple(axes), np.tile(x.elements, counts)),)


def _places_of_frame(call: Call, x: Tensor, axis: int) -> Elements:
    """Constant positions along an axis of features, for each number beside it, the same in each frame and sample."""
    _require_features(call, (x.axes[axis],))
    places = _places(call, 1, "indices")
    if places.ndim != x.rank:
        raise call.node.malformed(f"has indices of {places.ndim} axes for a tensor of {x.rank}")
    axes = (*x.axes[:axis], features(places.shape[axis]), *x.axes[axis + 1 :])
    return one_frame(call, Constant.of(places), axes)


def gather_elements(call: Call) -> Results:
    """GatherElements at constant positions."""
    x, node = call.tensor(0), call.node
    axis = x.reversed_axis(node.integer("axis", 0))
    places = _places_of_frame(call, x, axis)
    cut = x.elements[tuple(slice(None) if i == axis else slice(extent) for i, extent in enumerate(places.shape))]
    axes = tuple(
        own if not is_features(own) and i != axis else features(extent)
        for i, (own, extent) in enumerate(zip(x.axes, places.shape, strict=True))
    )
    return (_moved(call, x, axes, np.take_along_axis(cut, places, axis)),)


def gather_nd(call: Call) -> Results:
    """GatherND at constant positions."""
    x, batch = call.tensor(0), call.node.integer("batch_dims", 0)
    places = _places(call, 1, "indices")
    depth = places.shape[-1]
    if not 0 <= batch < min(x.rank, places.ndim) or batch + depth > x.rank:
        raise call.node.malformed(f"has indices of shape {places.shape} for {x.rank} axes")
    _require_features(call, x.axes[batch : batch + depth])
    front = x.elements.shape[:batch]
    same = tuple(1 if width == 1 else extent for width, extent in zip(front, places.shape, strict=False))
    if not all(is_features(axis) for axis in x.axes[:batch]) or front != same:
        if any(not (places == places.take([0], i)).all() for i in range(batch)):
            raise NeedsWindowError(f"{call.node!r} takes other numbers of each frame or sample")
        places = places[tuple(slice(width) for width in front)]
    grid = np.ogrid[tuple(slice(width) for width in front)] if front else []
    own = tuple(np.reshape(part, part.shape + (1,) * (places.ndim - 1 - batch)) for part in grid)
    elements = x.elements[(*own, *np.moveaxis(places, -1, 0))]
    axes = (*x.axes[:batch], *map(features, places.shape[batch:-1]), *x.axes[batch + depth :])
    return (_moved(call, x, axes, elements),)


def scatter_elements(call: Call) -> Results:
    """ScatterElements, and Scatter of old, at constant positions."""
    data = call.tensor(0)
    axis = data.reversed_axis(call.node.integer("axis", 0))
    places = _places_of_frame(call, data, axis)
    grid = list(np.ogrid[tuple(map(slice, places.shape))])
    grid[axis] = places
    return (_scattered(call, tuple(grid)),)


def scatter_nd(call: Call) -> Results:
    """ScatterND at constant positions."""
    places = _places(call, 1, "indices")
    _require_features(call, call.tensor(0).axes[: places.shape[-1]])
    return (_scattered(call, tuple(np.moveaxis(places, -1, 0))),)


def _scattered(call: Call, places: tuple[Elements, ...]) -> Tensor:
    """Data with updates put into it."""
    if call.node.word("reduction", "none") != "none":
        raise call.node.unsupported("adds or multiplies what it scatters: only plain writing is supported")
    data, updates = call.tensor(0), call.tensor(2)
    if isinstance(data, Constant) and isinstance(updates, Constant):
        result = data.elements.copy()
        result[places] = updates.elements
        return data.moved(data.axes, result)
    streams = aligned(call.builder, [x for x in (data, updates) if isinstance(x, Signal)], repr(call.node))
    waiting, timing = iter(streams), streams[0].timing
    old, new = (next(waiting) if isinstance(x, Signal) else call.builder.as_stream(x, timing) for x in (data, updates))
    if is_integer(call.builder, old) != is_integer(call.builder, new):
        old, new = floats(call, old), floats(call, new)
    elements = np.array(old.elements)
    elements[places] = new.elements + sum(call.builder.size_of(base) for base in old.bases)
    return without_unused_bases(call, Signal(old.axes, elements, bases=(*old.bases, *new.bases), timing=timing))


def trilu(call: Call) -> Results:
    """Trilu: zeros above or below a diagonal."""
    x, node = call.tensor(0), call.node
    if x.rank < 2:
        raise node.malformed(f"has an input of {x.rank} axes, it must have at least 2")
    k = int(call.array(1, "k").ravel()[0]) if call.has(1) else 0
    upper = bool(node.integer("upper", 1))
    if isinstance(x, Constant):
        return (x.moved(x.axes, np.triu(x.elements, k) if upper else np.tril(x.elements, k)),)
    _require_features(call, x.axes[-2:])
    kept = np.ones(x.elements.shape[-2:], bool)
    mask = Constant.of(np.triu(kept, k) if upper else np.tril(kept, k))
    assert isinstance(x, Signal)
    zero = np.array(0, np.int32 if is_integer(call.builder, x) else np.float32)
    return (chosen_by(call, mask, x, Constant.of(zero)),)


def compress(call: Call) -> Results:
    """Compress by a constant condition."""
    x, condition = call.tensor(0), call.array(1, "condition")
    if condition.dtype != bool or condition.ndim != 1 or not condition.any():
        raise call.node.malformed("needs a vector of true and false as condition, with something true")
    if not call.node.has("axis"):
        _require_features(call, x.axes)
        kept = x.elements.ravel()[: condition.size][condition[: x.elements.size]]
        return (_moved(call, x, (features(kept.size),), kept),)
    axis = x.reversed_axis(call.node.integer("axis", 0))
    _require_features(call, (x.axes[axis],))
    elements = x.elements.compress(condition, axis)
    return (_moved(call, x, (*x.axes[:axis], features(elements.shape[axis]), *x.axes[axis + 1 :]), elements),)


def reverse_sequence(call: Call) -> Results:
    """ReverseSequence by constant lengths."""
    x, node = call.tensor(0), call.node
    time, batch = (
        x.reversed_axis(node.integer(name, default)) for name, default in (("time_axis", 0), ("batch_axis", 1))
    )
    lengths = call.extents(1, "sequence_lens")
    if time == batch or not lengths:
        raise node.malformed("has its time on the axis of the batch, or no lengths")
    extent = extent_of(x.axes[time])
    if any(length != extent for length in lengths):
        return (_partly_reversed(call, x, time, batch, call.integers(1, "sequence_lens")),)
    if has_role(x.axes[time], Role.TIME):
        raise NeedsWindowError(f"{node!r} reads the sequence from its end")
    _require_features(call, (x.axes[time],))
    return (x.moved(x.axes, np.flip(x.elements, time)),)


def _partly_reversed(call: Call, x: Tensor, time: int, batch: int, lengths: list[int]) -> Tensor:
    """Each sample reversed up to its own length."""
    _require_features(call, (x.axes[time], x.axes[batch]))
    order = (batch, time, *(i for i in range(x.rank) if i not in (batch, time)))
    elements = np.array(x.elements.transpose(order))
    if len(lengths) != len(elements) or not all(0 <= length <= elements.shape[1] for length in lengths):
        raise call.node.malformed(f"has sequence_lens {lengths} for {len(elements)} sequences")
    for sample, length in zip(elements, lengths, strict=True):
        sample[:length] = sample[:length][::-1].copy()
    return x.moved(x.axes, elements.transpose(np.argsort(order)))


def depth_to_space(call: Call) -> Results:
    """DepthToSpace: blocks of channels become a finer grid."""
    x, node = call.tensor(0), call.node
    size, mode = node.integer("blocksize", 0), node.word("mode", "DCR")
    n, c, h, w = _image(call, x)
    if size < 1 or c % (size * size) or mode not in ("DCR", "CRD"):
        raise node.malformed(f"has blocksize = {size} and mode = {mode!r} for {c} channels")
    if mode == "DCR":
        blocks = x.elements.reshape(n, size, size, c // size**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.elements.reshape(n, c // size**2, size, size, h, w).transpose(0, 1, 4, 2, 5, 3)
    shape = (c // size**2, h * size, w * size)
    return (x.moved((x.axes[0], *map(features, shape)), blocks.reshape(n, *shape)),)


def space_to_depth(call: Call) -> Results:
    """SpaceToDepth: a coarser grid of more channels."""
    x, size, mode = call.tensor(0), call.node.integer("blocksize", 0), call.node.word("mode", "DCR")
    n, c, h, w = _image(call, x)
    if size < 1 or h % size or w % size or mode not in ("DCR", "CRD"):
        raise call.node.malformed(f"has blocksize = {size} and mode = {mode!r} for a grid of {h} by {w}")
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    blocks = x.elements.reshape(n, c, h // size, size, w // size, size).transpose(order)
    shape = (c * size**2, h // size, w // size)
    return (x.moved((x.axes[0], *map(features, shape)), blocks.reshape(n, *shape)),)


def _image(call: Call, x: Tensor) -> tuple[int, int, int, int]:
    """Extents within a step."""
    if x.rank != 4:
        raise call.node.malformed(f"has an input of {x.rank} axes, it must have 4")
    _require_features(call, x.axes[1:])
    n, c, h, w = x.elements.shape
    return n, c, h, w
