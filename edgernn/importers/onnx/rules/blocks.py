"""Windows over a sequence that comes in blocks of several frames, as it does behind a transposed convolution.

Such an axis is time, then the frames of a block: T blocks of s frames are a sequence of s T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.sequence import frames_of, materialize_padding, padded
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Signal, features, width_of


@dataclass(frozen=True)
class Sliding:
    """How a window slides along one spatial axis."""

    kernel: int
    dilation: int
    stride: int
    pads: tuple[int, int]

    @property
    def span(self) -> int:
        """Elements from the window's first to its last."""
        return (self.kernel - 1) * self.dilation + 1


def windows_of_blocks(builder: ProgramBuilder, x: Signal, axis: int, slide: Sliding, fill: float, where: str) -> Signal:
    """All windows along an axis of blocks, again in blocks; the axes are the window's elements, and those of x.

    With windows of k elements, d apart, and a stride S, element k of window ``m r + i`` is the frame
    ``m s + i S + k d - pad``, in block m or one beside it.

    Raises
    ------
    NeedsWindowError
        The windows are not the same number in each block.
    """
    size = width_of(x.axes[axis])
    stride, before = slide.stride, slide.pads[0]
    more = sum(slide.pads) - slide.span + stride  # frames that the sequence seems longer by, in windows of `stride`
    if stride % size == 0:
        count, blocks_apart, blocks_more = 1, stride // size, more // size
    else:
        count, blocks_apart = size // stride, 1
        blocks_more, rest = divmod(more // stride, count)
        if size % stride or rest:
            raise NeedsWindowError(f"{where} makes blocks of unequal length of a sequence that comes {size} at a time")
    places = stride * np.arange(count)[:, None] + slide.dilation * np.arange(slide.kernel) - before  # (count, kernel)
    blocks = places // size
    oldest, newest = int(blocks.min()), int(blocks.max())
    taps = newest - oldest + 1
    pads = (-oldest, blocks_more + oldest + taps - blocks_apart)
    if min(pads) < 0:  # blocks that no window reaches
        x = padded(builder, materialize_padding(builder, x), axis, (min(pads[0], 0), min(pads[1], 0)), 0.0)
        pads = (max(pads[0], 0), max(pads[1], 0))
    frames = frames_of(builder, x, taps, stride=blocks_apart, pads=pads, fill=fill)  # (taps, *axes of x)
    elements = np.moveaxis(frames.elements, 1 + axis, 1)  # (taps, frames of a block, *others)
    picked = elements[blocks - oldest, places % size]  # (count, kernel, *others)
    time = (*frames.axes[1 + axis][:1], *features(count))
    axes = (features(slide.kernel), *frames.axes[1 : 1 + axis], time, *frames.axes[2 + axis :])
    return frames.moved(axes, np.moveaxis(picked, 0, 1 + axis))
