"""Frames that a Repeat takes from a value and puts into one, an iteration each."""

from __future__ import annotations

from typing import ClassVar

from edgernn.program.operations.base import MAX_ELEMENTS, Operation, Value, Weights
from edgernn.program.operations.declaration import Operand, Operands, Sizes

MAX_REPEATS = 1 << 20


class TakeFrame(Operation, frozen=True, kw_only=True):
    """``y = x[i]``, or ``x[len(x) - 1 - i]`` where `reverse`, in round i of the Repeat called `loop`."""

    input_ports: ClassVar[Operands] = (Operand("source", ("frames", "*inner"), dtype=None),)
    output_ports: ClassVar[Operands] = (Operand("target", ("*frame",), dtype=None),)

    loop: str
    reverse: bool = False

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(frame=inputs[0].shape[1:] or (1,))
        return sizes


class PutFrame(Operation, frozen=True, kw_only=True):
    """``y[i] = x``, or ``y[count - 1 - i]`` where `reverse`, in round i of the Repeat called `loop`.

    y has `count` frames and is whole when the rounds are over.
    """

    input_ports: ClassVar[Operands] = (Operand("source", ("*frame",), dtype=None),)
    output_ports: ClassVar[Operands] = (Operand("target", ("count", "*frame"), dtype=None),)

    loop: str
    count: int
    reverse: bool = False

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if not 1 <= self.count <= MAX_REPEATS or self.count * inputs[0].size > MAX_ELEMENTS:
            raise self.malformed(f"collects {self.count} frames of {inputs[0].size} numbers")
