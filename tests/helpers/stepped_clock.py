"""Time that passes only when something takes it."""

from __future__ import annotations


class SteppedClock:
    """Sleeping takes exactly as long as asked; `pass_ns` is work. Looking takes `look_ns`."""

    def __init__(self, look_ns: int = 0) -> None:
        self.now_ns = 1_000_000_000
        self._look_ns = look_ns

    def monotonic_ns(self) -> int:
        self.now_ns += self._look_ns
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.pass_ns(round(seconds * 1e9))

    def pass_ns(self, time_ns: int) -> None:
        self.now_ns += time_ns
