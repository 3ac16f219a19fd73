"""What a model needs of a source: how many numbers, and which, so that lines are read against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgernn.stream.formats.names import are_made_up, clock_unit_us, is_sequence, places_by_name, places_without_clock


class Needs(NamedTuple):
    """How many numbers a model takes of each sample, and what is known about them.

    Attributes
    ----------
    size : int
    channels : tuple of str
        Their names; empty if unknown.
    columns : tuple of int
        Their places in a sample, if the settings say them.
    units : tuple of str
        Units of the channels; empty if unknown.

    Examples
    --------
    >>> Needs(2, ("x", "y")).fit(("seq", "y", "x", "boot"), 4), Needs(2).fit((), 3), Needs(2, columns=(0, 2)).fit((), 3)
    (True, False, True)
    """

    size: int
    channels: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()
    units: tuple[str, ...] = ()

    def fit(self, names: Sequence[str], width: int) -> bool:
        """Whether samples of this width, with these names if there are any, hold the numbers."""
        if self.columns:
            return max(self.columns) < width
        if self.channels and names and not are_made_up(names):
            return None not in places_by_name(names, self.channels)
        return self.size in {width, len(places_without_clock(names, width))}

    def wanted(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the names that are needed, with the sender's clock and sequence; all of them where none is known."""
        if self.columns or not self.channels or are_made_up(names) or not self.fit(names, len(names)):
            return tuple(names)
        places = set(places_by_name(names, self.channels))
        return tuple(
            name
            for place, name in enumerate(names)
            if place in places or clock_unit_us(name) is not None or is_sequence(name)
        )
