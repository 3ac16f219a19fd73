"""Fits the sender's clock to this machine's: ``host = a * device + b``, from the samples that came earliest.

A sample arrives late by what the operating system and the cable make of it, never early. So of every second of the
sender's time only the sample with the smallest delay counts. Of the last 64 of them, `a` is the median of the slopes
between all pairs (Theil-Sen; a quarter of the seconds may be late altogether), and the line passes through the lowest.
"""

from __future__ import annotations

import numpy as np

SPAN_NS = 1_000_000_000  # of the sender's time, of which the earliest arrival is kept
SPANS = 64
MIN_SPANS = 8  # for a line
TIMES_US = 1 << 32


class ClockFit:
    """Unwraps the sender's time (microseconds modulo 2**32) and fits it to arrival times. Memory is fixed.

    Examples
    --------
    >>> fit = ClockFit()
    >>> for second in range(20):  # a sender whose clock is 100 ppm fast
    ...     fit.add(second * 1_000_100, arrival_ns=second * 1_000_000_000)
    >>> round(fit.drift_ppm)
    100
    """

    def __init__(self) -> None:
        self._points = np.zeros((SPANS, 2), np.int64)  # device and arrival (ns) of the earliest of each span
        self.restart()

    def restart(self) -> None:
        """The sender's clock was reset, or an unknown time has passed."""
        self._last_us: int | None = None
        self._device_ns = 0  # unwrapped, from the first sample on
        self._span = -1
        self._spans = 0  # begun so far

    def add(self, device_time_us: int, arrival_ns: int) -> None:
        """A sample that the sender took at `device_time_us` arrived at `arrival_ns`."""
        if self._last_us is not None:
            step_us = (device_time_us - self._last_us) % TIMES_US
            if step_us >= TIMES_US // 2:  # late, or sent again
                return
            self._device_ns += 1000 * step_us
        self._last_us = device_time_us
        span = self._device_ns // SPAN_NS
        place = (self._spans - 1) % SPANS
        if span != self._span:
            self._span = span
            self._spans += 1
            self._points[(self._spans - 1) % SPANS] = self._device_ns, arrival_ns
        elif arrival_ns - self._device_ns < self._points[place, 1] - self._points[place, 0]:
            self._points[place] = self._device_ns, arrival_ns

    @property
    def drift_ppm(self) -> float | None:
        """How much the sender's clock is fast; None until eight seconds are known."""
        line = self._line()
        return None if line is None else (1.0 / line[0] - 1.0) * 1e6

    @property
    def host_ns(self) -> int | None:
        """When the newest sample was taken, on this machine's clock, apart from the smallest delay; None as above."""
        line = self._line()
        if line is None:
            return None
        a, device_ns, arrival_ns = line
        return round(arrival_ns + a * (self._device_ns - device_ns))

    def _line(self) -> tuple[float, float, float] | None:
        """The slope, and a point on the line: device and host, in nanoseconds."""
        count = min(self._spans, SPANS)
        if count < MIN_SPANS:
            return None
        device, arrival = (self._points[:count] - self._points[0]).T.astype(np.float64)  # (count,) each
        first, second = np.triu_indices(count, 1)
        a = float(np.median((arrival[second] - arrival[first]) / (device[second] - device[first])))
        if a <= 0:  # all came at once, as out of a file
            return None
        return a, float(self._points[0, 0]), float(self._points[0, 1] + (arrival - a * device).min())
