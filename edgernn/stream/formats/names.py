"""What names say about numbers: headings of tables, units, and which numbers are the sender's clock or sequence.

A heading is a line of names with commas, semicolons or tabs between them, such as ``ax [g],ay [g],az [g]``. A name
begins with a letter; its unit may follow in brackets.

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

MAX_NAME_BYTES = 64
MAX_WHOLE = float(1 << 53)  # whole numbers up to here are exact in float64

_NAME = r"[^\W\d][\w./-]*"
_HEADED = re.compile(rf"({_NAME})\s*(?:\[([^\[\]]*)\]|\(([^()]*)\))?")
_CLOCK = re.compile(r"(?:t|time|timestamp)(?:_(s|ms|us))?", re.IGNORECASE)
_SEQUENCE = re.compile(r"seq|sequence", re.IGNORECASE)
_UNIT_US = {"s": 1e6, "ms": 1e3, None: 1e3, "us": 1.0}


class Heading(NamedTuple):
    """Names of the numbers of a sample, and their units; an empty text where none stands there."""

    channels: tuple[str, ...]
    units: tuple[str, ...]


def read_heading(line: bytes) -> Heading | None:
    """The names in a line without its end; None if it is no heading.

    Examples
    --------
    >>> read_heading(b'time_ms, ax [g], "ay (g)"')
    Heading(channels=('time_ms', 'ax', 'ay'), units=('', 'g', 'g'))
    >>> read_heading(b"MPU6050 ready, range 2 g")
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    separator = next((separator for separator in ",;\t" if separator in text), None)
    if separator is None:
        return None
    return parse_names([field.strip().strip('"') for field in text.rstrip(f" {separator}").split(separator)])


def parse_names(fields: Sequence[str]) -> Heading | None:
    """Names and units in the fields of a heading; None if one is no name, or stands there twice."""
    found = [_HEADED.fullmatch(field.strip()) for field in fields]
    names = [match[1] for match in found if match is not None]
    if len(names) != len(fields) or len(set(names)) != len(names):
        return None
    if any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return None
    return Heading(tuple(names), tuple((match[2] or match[3] or "").strip() for match in found if match is not None))


def write_heading(channels: Sequence[str], units: Sequence[str]) -> bytes:
    """A heading as `read_heading` reads it, with the end of its line; nothing without names.

    Examples
    --------
    >>> write_heading(("ax", "ay"), ("g", ""))
    b'ax [g],ay\\n'
    """
    fields = [f"{name} [{unit}]" if unit else name for name, unit in zip(channels, units, strict=True)]
    return (",".join(fields) + ("," if len(fields) == 1 else "") + "\n").encode() if fields else b""


def same_unit(one: str, other: str) -> bool:
    """Whether two units are the same but for their spelling; a unit that is not given is that of the other.

    Examples
    --------
    >>> same_unit("m/s^2", "M/S²"), same_unit("", "g"), same_unit("g", "m/s2")
    (True, True, False)
    """
    plain = [unit.casefold().replace("²", "2").replace("^", "").replace(" ", "") for unit in (one, other)]
    return not all(plain) or plain[0] == plain[1]


def places_by_name(names: Sequence[str], channels: Sequence[str]) -> list[int | None]:
    """The place of each channel among numbers with these names, in either case; None of one that is not there.

    Examples
    --------
    >>> places_by_name(("t_ms", "AY", "ax"), ("ax", "ay", "az"))
    [2, 1, None]
    """
    places = {name.casefold(): place for place, name in enumerate(names)}
    places |= {name: place for place, name in enumerate(names)}
    return [places.get(channel, places.get(channel.casefold())) for channel in channels]


def are_made_up(names: Sequence[str]) -> bool:
    """Whether numbers have only the names that a converted recording gives them: x0, x1 and so on.

    Examples
    --------
    >>> are_made_up(("seq", "x0", "x1")), are_made_up(("x", "y"))
    (True, False)
    """
    own = [name for name in names if clock_unit_us(name) is None and not is_sequence(name)]
    return own == [f"x{place}" for place in range(len(own))]


def places_without_clock(names: Sequence[str], width: int) -> list[int]:
    """The places, of `width`, that are neither the sender's clock nor its sequence."""
    clock = clock_columns(names)
    own = {None if clock is None else clock.time, None if clock is None else clock.sequence}
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
