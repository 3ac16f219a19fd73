"""Loops within a step, while what they repeat is emitted."""

from __future__ import annotations

from edgernn.importers.onnx.streams.timing import Timing
from edgernn.program.trees import LoopPath


class Loops:
    """The Repeats around what is emitted.

    Attributes
    ----------
    around : tuple of str
        Names of the open ones, the outermost first.
    paths : dict of str to tuple of str
        By operation, the Repeats around it.
    timings : dict of str to Timing
        By Repeat, when it runs.
    """

    def __init__(self) -> None:
        self.around: LoopPath = ()
        self.paths: dict[str, LoopPath] = {}
        self.timings: dict[str, Timing] = {}

    def open(self, name: str, timing: Timing) -> None:
        """What follows is the body of a Repeat, until `close`."""
        self.around = (*self.around, name)
        self.timings[name] = timing

    def close(self) -> None:
        """The body of the loop that was opened last is complete."""
        self.around = self.around[:-1]
