"""Measures how many samples a second come."""

from __future__ import annotations

MIN_SPAN_NS = 2_000_000_000  # of a measurement
MIN_SAMPLES = 50
AGREEMENT = 0.025  # by which the rates of two spans may differ that agree: a span with a hiccup differs more


class RateMeter:
    """Samples a second over spans of at least two seconds and fifty samples, by arrival times.

    Attributes
    ----------
    rate_hz : float or None
        Of the last complete span.
    agreed_hz : float or None
        Mean of the last two complete spans if they agree; None if not.
    spans : int
        Complete spans so far.

    Examples
    --------
    >>> meter = RateMeter()
    >>> for second in range(4):
    ...     meter.add(samples=25, arrival_ns=second * 1_000_000_000)
    >>> meter.rate_hz
    25.0
    """

    def __init__(self) -> None:
        self.rate_hz: float | None = None
        self.agreed_hz: float | None = None
        self.spans = 0
        self._begin_ns: int | None = None
        self._samples = 0
        self._sent = 0

    def add(self, samples: int, arrival_ns: int) -> None:
        """`samples` were complete at `arrival_ns`."""
        if self._begin_ns is None:
            self._begin_ns = arrival_ns  # what came at the beginning took an unknown time
            return
        self._samples += samples
        span_ns = arrival_ns - self._begin_ns
        if span_ns >= MIN_SPAN_NS and self._samples >= MIN_SAMPLES:
            before_hz, self.rate_hz = self.rate_hz, self._samples * 1e9 / span_ns
            agree = before_hz is not None and abs(self.rate_hz / before_hz - 1) <= AGREEMENT
            self.agreed_hz = (self.rate_hz + before_hz) / 2 if agree and before_hz is not None else None
            self.spans += 1
            self._begin_ns, self._samples = arrival_ns, 0

    def add_up_to(self, samples: int, arrival_ns: int) -> None:
        """`samples` were sent in all up to those that were complete at `arrival_ns`."""
        self.add(max(0, samples - self._sent), arrival_ns)
        self._sent = max(samples, self._sent)

    def restart(self) -> None:
        """Begin a new span, as after an outage."""
        self._begin_ns = None
        self._samples = 0
