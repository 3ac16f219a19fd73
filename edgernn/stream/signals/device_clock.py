"""The sender's clock: how much time lies between two samples, where the clock wraps, and how long a sample lasts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MODULI_US = (1 << 30, 1 << 32, 1000 << 30, 1000 << 32, 1000 << 16)  # of micros() and millis()
SHORT_MODULUS_US = 1000 << 16  # a 16-bit millis(): comes round so often that only a regular step is one of its wraps
SLACK_US = 2_000_000  # by which a wrapped step may be longer than the pause in which it arrived
PERIOD_SHARE = 1 / 16  # of the newest step in the mean
IRREGULAR = 0.25  # mean deviation, in periods, from which on time does not tell how many samples were sent
OUTLIER = 4.0  # times the period, or its inverse: no step between two samples in a row
MAX_OUTLIERS = 8  # in a row; then the period has changed


class DeviceClock:
    """Steps of the sender's clock in microseconds, whatever its width.

    Parameters
    ----------
    modulus_us : int, optional
        Where it wraps. If it is not given, a step back to where a clock of 30 or 32 bits in micro- or milliseconds, or
        of 16 bits in milliseconds, would go on is a wrap.

    Attributes
    ----------
    elapsed_us : int
        Unwrapped time since `begin`.

    Examples
    --------
    >>> clock = DeviceClock()
    >>> clock.begin((1 << 32) - 500)
    >>> clock.step_us(500, pause_ns=0)
    1000
    >>> clock.step_us(0, pause_ns=0), clock.step_us(5_000_000, pause_ns=0) < 0
    (500, True)
    """

    def __init__(self, modulus_us: int | None = None) -> None:
        self._modulus_us = modulus_us
        self._last_us = self._max_us = 0
        self._deviation = 0.0  # of steps from the period, in periods
        self._outliers = 0
        self._period_us = 0.0
        self.elapsed_us = 0

    @property
    def period_us(self) -> float | None:
        """Time between two samples in a row; None if it is not known or not regular."""
        return self._period_us if self._period_us and self._deviation < IRREGULAR else None

    def begin(self, time_us: int) -> None:
        """Start over at a sample of this time; the period is still the same."""
        self._last_us = self._max_us = time_us
        self.elapsed_us = 0

    def step_us(self, time_us: int, pause_ns: int) -> int:
        """Time since the last sample, negative where the clock was set back; `pause_ns` passed here meanwhile."""
        step_us = time_us - self._last_us
        if self._modulus_us is not None:
            step_us %= self._modulus_us
            return step_us if step_us < self._modulus_us // 2 else step_us - self._modulus_us
        if step_us >= 0:
            return step_us
        longest_us = SLACK_US + pause_ns // 900
        for modulus_us in MODULI_US:
            if max(self._max_us, time_us) < modulus_us:
                wrapped_us, short = step_us + modulus_us, modulus_us == SHORT_MODULUS_US
                if wrapped_us <= (1.5 * self._period_us if short else longest_us):
                    return wrapped_us
        return step_us

    def may_have_wrapped(self, pause_ns: int) -> bool:
        """Whether so much time passed here that its steps say nothing."""
        return self._modulus_us is not None and pause_ns // 1000 > self._modulus_us // 2

    def take(self, time_us: int, step_us: int, *, is_next: bool) -> None:
        """A sample of this time is used; `is_next` says that the sender numbers it as the one after the last."""
        self.elapsed_us += step_us
        self._max_us = time_us if time_us < self._last_us else max(self._max_us, time_us)
        self._last_us = time_us
        if is_next:
            self._learn(float(step_us))

    def take_all(self, times_us: NDArray[np.int64]) -> None:
        """Samples in a row, (n,), each later than the one before and than the last."""
        steps_us = np.diff(times_us, prepend=self._last_us)
        self.elapsed_us += int(times_us[-1]) - self._last_us
        self._last_us = int(times_us[-1])
        self._max_us = max(self._max_us, self._last_us)
        for step_us in steps_us[-64:].tolist():
            self._learn(float(step_us))

    def periods(self, step_us: int) -> float | None:
        """A step in periods; None if the period is not known or not regular."""
        return None if self.period_us is None else step_us / self.period_us

    def _learn(self, step_us: float) -> None:
        if step_us <= 0:
            return
        if not self._period_us or self._outliers >= MAX_OUTLIERS:
            self._period_us, self._deviation, self._outliers = step_us, 0.0, 0
            return
        ratio = step_us / self._period_us
        if not 1 / OUTLIER < ratio < OUTLIER:
            self._outliers += 1
            return
        self._outliers = 0
        self._deviation += PERIOD_SHARE * (abs(ratio - 1.0) - self._deviation)
        self._period_us += PERIOD_SHARE * (step_us - self._period_us)
