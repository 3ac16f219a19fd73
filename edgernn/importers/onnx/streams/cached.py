"""A sequence behind frames that a state input holds: the cache of a causal convolution, joined to a whole sequence.

A stream comes frame by frame, so the cache is a state of its frames, oldest first. Each step reads it, joins its frame
to it, and keeps what is newest of both: exactly what the graph does with a sequence of one step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Axis, Factor, Role, Signal, extent_of, features, width_of

Elements = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Continued(Signal):
    """A sequence with `places.shape[0]` frames of a state before it; `elements` are those of the newest frame.

    Its value holds all frames of the state and the newest one, (frames + 1, numbers of a frame). The value `kept` holds
    the frames that stay in the state: `places`, (frames, numbers of a frame), are where.
    """

    is_known: ClassVar[bool] = False

    kept: str = ""
    places: Elements = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def pad_begin(self) -> int:
        """Frames that the state holds."""
        return len(self.places)

    def frame(self, axis: int) -> Signal:
        """The newest frame, of the sequence as it was."""
        return Signal(self._with_time(axis, -self.pad_begin), self.elements, bases=self.bases, timing=self.timing)

    def frames_kept(self, axis: int) -> Signal:
        """What the state holds behind the newest frame, as features."""
        size = self.places.shape[1]
        frames = self.places[:, self.elements.squeeze(axis) - self.pad_begin * size]  # (frames, *others)
        axes = (*self.axes[:axis], features(self.pad_begin), *self.axes[axis + 1 :])
        return Signal(axes, np.moveaxis(frames, 0, axis), bases=(self.kept,), timing=self.timing)

    def windows(self, taps: int, dilation: int, stride: int, axis: int) -> Signal:
        """Windows that end with the newest frame, as long as the state has frames for; axes are the taps and its own.

        Raises
        ------
        UnsupportedModelError
            The windows have another length.
        """
        span = (taps - 1) * dilation + 1
        if span != self.pad_begin + 1:
            raise UnsupportedModelError(
                f"a window of {span} frames runs over a sequence that begins with {self.pad_begin} frames from a "
                f"state: a state of {span - 1} frames can be streamed; for another, export the model for one time "
                "step (time length 1)"
            )
        size = self.places.shape[1]
        elements = np.stack([self.elements - (self.pad_begin - k * dilation) * size for k in range(taps)])
        axes = (features(taps), *self._with_time(axis, -self.pad_begin, stride))
        timing = self.timing if stride == 1 else self.timing.strided(stride)
        return Signal(axes, elements, bases=self.bases, timing=timing)

    def _with_time(self, axis: int, more: int, stride: int = 1) -> tuple[Axis, ...]:
        extent = (extent_of(self.axes[axis]) + more + (stride - 1)) // stride
        return (*self.axes[:axis], (Factor(Role.TIME, extent),), *self.axes[axis + 1 :])

    def unknown(self) -> NeedsWindowError:
        return NeedsWindowError(
            f"a sequence that begins with {self.pad_begin} frames from a state is read by something else than a "
            "convolution or pooling over these frames and one more: export the model for one time step (time length 1)"
        )


def continued(builder: ProgramBuilder, past: Signal, x: Signal, axis: int) -> Continued:
    """The frames of a state, then those of a sequence with real frames; `axis` is that of the frames in both.

    `past` is known to be claimable, and has the other axes of x.
    """
    pad_begin = width_of(past.axes[axis])
    region = builder.state_inputs.bind(past, "")
    assert region is not None
    old = builder.unique(f"{region.slot}:old")
    size = past.elements.size
    builder.read_state(f"read {region.slot}", region, old, size, x.timing)
    places = np.moveaxis(np.arange(size).reshape(past.elements.shape), axis, 0)  # (frames, *others)
    newest = np.moveaxis(x.elements, axis, 0) + size
    joined = np.concatenate([places, newest]).reshape(pad_begin + 1, -1)
    frames = Signal(tuple(map(features, joined.shape)), joined, bases=(old, *x.bases), timing=x.timing)
    value = builder.value(frames, joined.shape)
    after = np.empty(size, np.int64)
    after[places.ravel()] = joined[1:].ravel()
    kept = builder.value(Signal((features(size),), after, bases=(old, *x.bases), timing=x.timing), (size,))
    builder.write_state(f"write {region.slot}", region, kept, size, x.timing)
    builder.state_inputs.set_last(-1, kept)
    axes = (*x.axes[:axis], (Factor(Role.TIME, extent_of(x.axes[axis]) + pad_begin),), *x.axes[axis + 1 :])
    inner = prod(joined.shape[1:])
    elements = np.arange(pad_begin * inner, (pad_begin + 1) * inner).reshape(np.moveaxis(x.elements, axis, 0).shape)
    return Continued(
        axes,
        np.moveaxis(elements, 0, axis),
        bases=(value,),
        timing=x.timing,
        kept=kept,
        places=places.reshape(pad_begin, -1),
    )
