"""What rules find out on their way that later rules, or the choice of axes, ask for."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgernn.importers.onnx.streams.values import Signal


@dataclass
class Findings:
    """Facts about the graph.

    Attributes
    ----------
    batch : int
        Samples in a batch, where the file has frozen their number.
    steps : int or None
        Time steps, where the file has frozen their number.
    ran_over_time : bool
        An operator, or a loop, has run over time.
    carried : list of tuple of Signal
        What loops within a step begin from, and what they make of it.
    running_means : dict of str to tuple of Signal
        For the value of a mean over time the frames that it is of, and the mean of all up to each.
    """

    batch: int = 1
    steps: int | None = None
    ran_over_time: bool = False
    carried: list[tuple[Signal, Signal]] = field(default_factory=list)
    running_means: dict[str, tuple[Signal, Signal]] = field(default_factory=dict)
