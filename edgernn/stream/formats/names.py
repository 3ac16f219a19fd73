"""What names say about numbers: which are the model's channels, and which the sender's clock or sequence.

The sender's clock is a number called ``t``, ``time`` or ``timestamp``, alone or with ``_s``, ``_ms`` or ``_us`` behind;
alone it is in milliseconds, as Arduino's ``millis()``. Its sequence is called ``seq`` or ``sequence``, one more for
each sample; where it and the clock wrap is found out from
the samples (`edgernn.stream.signals.sequence`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.stream.formats.units import canonical_unit

MAX_NAME_BYTES = 64
MAX_WHOLE = float(1 << 53)  # whole numbers up to here are exact in float64

_CLOCK = re.compile(r"(?:t|time|timestamp)(?:_(s|ms|us))?", re.IGNORECASE)
_SEQUENCE = re.compile(r"seq|sequence", re.IGNORECASE)
NANOSECONDS, MICROSECONDS = 1e17, 1e14  # times since 1970 are at least so large in these units
_BREAKS = re.compile(r"[\s._/-]+")
_UNIT_US = {"s": 1e6, "ms": 1e3, None: 1e3, "us": 1.0}


def places_by_name(names: Sequence[str], channels: Sequence[str]) -> list[int | None]:
    """The place of each channel among numbers with these names; None of one that is not there.

    Large and small letters are the same, and so are blanks, ``.``, ``_``, ``-`` and ``/`` in names. Where no channel is
    found by its whole name, the last word of each name counts: ``acc.x`` and ``acc x`` are x.

    Examples
    --------
    >>> places_by_name(("t_ms", "AY", "ax"), ("ax", "ay", "az"))
    [2, 1, None]
    >>> places_by_name(("acc x", "acc y"), ("x", "y")), places_by_name(("acc.x", "gyro.x"), ("x",))
    ([0, 1], [None])
    """
    exact = {name: place for place, name in enumerate(names)}
    for forms in ((_joined, _joined), (_last_word, _joined), (_joined, _last_word)):
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(forms[0](name), []).append(place)
        wanted = [forms[1](channel) for channel in channels]
        found = [
            exact[channel] if channel in exact and forms[0] is _joined else _only(places.get(form, []))
            for channel, form in zip(channels, wanted, strict=True)
        ]
        if len(set(found)) == len(found) and None not in found:
            return found
        if forms == (_joined, _joined):
            first = found
            if any(place is not None for place in found):
                break
    return first


def _only(places: list[int]) -> int | None:
    return places[0] if len(places) == 1 else None


def _joined(name: str) -> str:
    return _BREAKS.sub("_", name.casefold())


def _last_word(name: str) -> str:
    return _BREAKS.split(name.casefold())[-1]


def are_made_up(names: Sequence[str]) -> bool:
    """Whether numbers have only names that say nothing: x0, x1 as in a converted recording, or places in one list.

    Examples
    --------
    >>> are_made_up(("seq", "x0", "x1")), are_made_up(("acc.0", "acc.1")), are_made_up(("x", "y"))
    (True, True, False)
    """
    own = [name for name in names if clock_unit_us(name) is None and not is_sequence(name)]
    before = {name.rpartition(".")[0] for name in own}
    in_list = len(before) == 1 and own == [f"{next(iter(before))}.{place}" for place in range(len(own))]
    return own == [f"x{place}" for place in range(len(own))] or in_list


def places_without_clock(names: Sequence[str], width: int) -> list[int]:
    """The places, of `width`, that by their names are neither a clock nor a sequence of the sender."""
    own = {place for place, name in enumerate(names) if clock_unit_us(name) is not None or is_sequence(name)}
    return [place for place in range(width) if place not in own]


def clock_unit_us(name: str) -> float | None:
    """Microseconds in a unit of the sender's clock called `name`; None if that is no clock.

    Examples
    --------
    >>> clock_unit_us("time_s"), clock_unit_us("timestamp"), clock_unit_us("temperature")
    (1000000.0, 1000.0, None)
    """
    match = _CLOCK.fullmatch(name)
    return None if match is None else _UNIT_US[match[1] and match[1].lower()]


def time_unit_us(name: str, unit: str, times: NDArray[np.float64]) -> float:
    """Microseconds in the unit of times (n,) called `name`: as the name or the heading says, else as the numbers look.

    Numbers with fractions are seconds; whole ones are milliseconds, unless they are too large for any date.

    Examples
    --------
    >>> time_unit_us("timestamp", "", np.array([0.0, 0.02])), time_unit_us("timestamp", "us", np.array([0.0, 20.0]))
    (1000000.0, 1.0)
    """
    match = _CLOCK.fullmatch(name)
    said = (match[1] if match else None) or canonical_unit(unit)
    if said in _UNIT_US:
        return _UNIT_US[said]
    if (times != np.rint(times)).any():
        return _UNIT_US["s"]
    largest = float(np.abs(times).max(initial=0.0))
    return 1e-3 if largest >= NANOSECONDS else 1.0 if largest >= MICROSECONDS else _UNIT_US["ms"]


def is_sequence(name: str) -> bool:
    """Whether a number called `name` counts the samples."""
    return _SEQUENCE.fullmatch(name) is not None


class ClockColumns(NamedTuple):
    """Places, in a sample, of the sender's clock and sequence; None where it sends none."""

    time: int | None
    unit_us: float
    sequence: int | None

    def sequence_of(self, values: NDArray[np.float64]) -> NDArray[np.int64] | None:
        """Sequence (n,) of samples (n, width), as it is sent."""
        return None if self.sequence is None else _whole(values[:, self.sequence])

    def time_us_of(self, values: NDArray[np.float64]) -> NDArray[np.int64] | None:
        """Time (n,) in microseconds of samples (n, width), as it is sent."""
        return None if self.time is None else _whole(values[:, self.time] * self.unit_us)

    def sound(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which samples (n, width) have a clock and sequence that can be ones, (n,)."""
        right = np.ones(len(values), np.bool_)
        if self.time is not None:
            right &= np.abs(values[:, self.time]) * self.unit_us < MAX_WHOLE  # False for NaN
        if self.sequence is not None:
            numbers = values[:, self.sequence]
            right &= (numbers >= 0) & (numbers < MAX_WHOLE) & (numbers == np.floor(numbers))
        return right


def clock_columns(names: Sequence[str], taken: Collection[int] = ()) -> ClockColumns | None:
    """Where the sender's clock and sequence are among numbers with these names; None if it sends neither.

    `taken` are the places of channels, which are nothing else.

    Examples
    --------
    >>> clock_columns(("seq", "t_us", "x"))
    ClockColumns(time=1, unit_us=1.0, sequence=0)
    """
    places = [place for place in range(len(names)) if place not in taken]
    time = next((place for place in places if clock_unit_us(names[place]) is not None), None)
    sequence = next((place for place in places if is_sequence(names[place])), None)
    if time is None and sequence is None:
        return None
    return ClockColumns(time, 1.0 if time is None else clock_unit_us(names[time]) or 1.0, sequence)


def _whole(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(numbers).astype(np.int64)
