"""Where times come from."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks and a way to wait; replaced in tests."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never jumps."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, which may jump when somebody sets the clock."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The clocks of this machine."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)
    sleep = staticmethod(time.sleep)
