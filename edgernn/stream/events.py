"""Event: what a stream gives."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True):
    """A label was recognized.

    Attributes
    ----------
    time_ns, monotonic_ns : int
        When the last byte of the deciding sample arrived: since 1970, and on a clock that never jumps.
    step : int
        Index of that sample, from 0; samples made up in gaps count.
    label : str
    score : float
        Smoothed score of the label.
    latency_ns : int
        From the arrival to this event.
    """

    time_ns: int
    monotonic_ns: int
    step: int
    label: str
    score: float
    latency_ns: int
