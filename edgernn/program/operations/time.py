"""Time that becomes features: the last frames of a sequence, kept in a ring."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from edgernn.program.operations.base import MAX_ELEMENTS, Operation, Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Sizes, State, StateRegion
from edgernn.program.operations.schedule import EVERY_STEP, Schedule


class DelayLine(Operation, frozen=True, kw_only=True, tag="History"):  # the file's name
    """Keeps the last `length` frames of its input, and gives `taps` of them, oldest first, `dilation` frames apart.

    Tap k is the frame that was written ``length - 1 - k * dilation`` frames before the newest: the first tap is the
    oldest frame of the ring. So a convolution over time reads its receptive field, and one tap of a longer ring is a
    delay. The ring begins as its state's initial content, the padding before the sequence.

    A frame is written when the input comes (`when`), and in the tail, in place of frames behind the sequence's end,
    `fill` is, at the same pace. Taps are read, after the write, only when `read` says so.

    Attributes
    ----------
    ring : StateRegion
        (length, *frame), of the input's number type.
    position : StateRegion
        int32, one number: the row of the ring that is written next.
    length, taps, dilation : int
        ``(taps - 1) * dilation < length``.
    fill : float
        Padding behind the end, in the unit of the ring's numbers, whole where these are integers.
    read : Schedule
        Steps in which the output is made, all of which are steps of the input.
    int8_storage : bool
        The ring holds int16 numbers as int8, rounded as matrix products of 8 bits read them; taps are 256 times that.
    """

    input_ports: ClassVar[Operands] = (Operand("source", ("*frame",), dtype=None),)
    output_ports: ClassVar[Operands] = (Operand("y", ("taps", "*frame"), dtype=None),)

    ring: Annotated[StateRegion, State(Attribute("ring_dtype"), ("length", "size"), Attribute("ring_scale"))]
    position: Annotated[StateRegion, State("int32", ())]
    length: int
    taps: int = 1
    dilation: int = 1
    fill: float = 0.0
    read: Schedule = EVERY_STEP
    size: int  # numbers of a frame
    dtype: str = "float32"
    scale: float | None = None
    int8_storage: bool = msgspec.field(default=False, name="narrow")  # the file's name

    @property
    def ring_dtype(self) -> str:
        """Number type of the ring."""
        return "int8" if self.int8_storage else self.dtype

    @property
    def ring_scale(self) -> float | None:
        """Scale of the ring."""
        return 256 * self.scale if self.int8_storage and self.scale is not None else self.scale

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if min(self.length, self.taps, self.dilation, self.size) < 1 or self.length * self.size > MAX_ELEMENTS:
            raise self.malformed("length, taps, dilation and size must be above 0, and the ring not too large")
        if (self.taps - 1) * self.dilation >= self.length:
            raise self.malformed(f"{self.taps} taps {self.dilation} frames apart do not fit into {self.length} frames")
        if (inputs[0].size, inputs[0].dtype, inputs[0].scale) != (self.size, self.dtype, self.scale):
            raise self.malformed(f"input {self.inputs[0]} is {inputs[0]}, unlike the ring")
        if not isfinite(self.fill) or (self.dtype != "float32" and self.fill != int(self.fill)):
            raise self.malformed(f"fill is {self.fill}")
        if self.dtype.startswith("int") and not np.iinfo(self.dtype).min <= self.fill <= np.iinfo(self.dtype).max:
            raise self.malformed(f"fill is {self.fill}, which {self.dtype} cannot hold")
        if self.int8_storage and (self.dtype != "int16" or self.scale is None):
            raise self.malformed(f"holds {self.dtype} in 8 bits, which is for int16 with a scale")
        if not self.read.is_valid or self.read.at_end or self.when.at_end:
            raise self.malformed("its schedules are out of range")
