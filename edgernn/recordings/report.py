"""What was read of a file of samples, what was passed over, and what was filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from edgernn.errors import InputError
from edgernn.stream.signals.gaps import GapPolicy

MAX_DROPPED_SHARE = 0.05  # of the rows of a file, unless more is allowed
DROPPED = ("malformed", "wrong_width", "too_long")


class Reading(NamedTuple):
    """How files of samples are read.

    Attributes
    ----------
    gap : {"hold", "interpolate", "reset"}
        What stands for missing numbers, as in a stream.
    gap_steps : int
        Most samples in a row that are filled; longer gaps are left out.
    allow_dropped : bool
        A file of which more than one row in twenty is not read is used all the same.
    """

    gap: GapPolicy = "hold"
    gap_steps: int = 10
    allow_dropped: bool = False


DEFAULT_READING = Reading()


class ReadReport:
    """Counts of one file.

    Parameters
    ----------
    name : str
        Of the file.

    Attributes
    ----------
    counts : Counter
        Samples, and what was none, by kind; missing numbers by cause.
    filled, left_out : int
        Samples with a missing number: those that were filled, and those that were not used.

    Examples
    --------
    >>> report = ReadReport("monday.csv")
    >>> report.counts.update(samples=98, malformed=2, text=1, missing_nan=3)
    >>> report.filled = 3
    >>> print(report)
    monday.csv: 98 samples; malformed 2, text 1, missing nan 3, filled 3
    >>> report.dropped_share
    0.02
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.filled = self.left_out = 0

    @property
    def dropped_share(self) -> float:
        """Rows that are no samples, as a share of all that should be."""
        dropped = sum(self.counts[kind] for kind in DROPPED)
        return dropped / max(dropped + self.counts["samples"], 1)

    def expect_few_dropped(self, reading: Reading) -> None:
        """See that most rows were read.

        Raises
        ------
        InputError
            More than one row in twenty was not, and that is not allowed.
        """
        expect_few_dropped(self.name, self.counts, allowed=reading.allow_dropped)

    def __str__(self) -> str:
        rest = {kind: count for kind, count in self.counts.items() if kind != "samples"}
        rest |= {"filled": self.filled, "left_out": self.left_out}
        told = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in rest.items() if count)
        return f"{self.name}: {self.counts['samples']} samples" + (f"; {told}" if told else "; nothing was passed over")


def expect_few_dropped(name: str, counts: Mapping[str, int], *, allowed: bool) -> None:
    """See that most rows of a file, whose counts these are, were read.

    Raises
    ------
    InputError
        More than one row in twenty was not, and that is not allowed.
    """
    dropped = {kind: counts.get(kind, 0) for kind in DROPPED}
    rows = sum(dropped.values()) + counts.get("samples", 0)
    if allowed or sum(dropped.values()) <= MAX_DROPPED_SHARE * rows:
        return
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in dropped.items() if count)
    raise InputError(
        f"{name}: {sum(dropped.values())} of {rows} rows were not read ({kinds}): repair the file, or accept the loss "
        f"with --allow-dropped"
    )
