"""Messages to systemd: the service is ready, it works, it ends (sd_notify(3), one datagram each)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from edgernn.stream.clock import Clock, SystemClock


class Notifier:
    """Tells systemd how a service is; does nothing where no systemd asks.

    Parameters
    ----------
    environment : mapping, optional
        Where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` stand; the process's own if not given.
    clock : Clock, optional

    Examples
    --------
    >>> Notifier({}).ready()
    """

    def __init__(self, environment: Mapping[str, str] | None = None, clock: Clock | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        # four times as often as needed; without a watchdog never
        self._period_ns = int(watchdog_us) * 1000 // 4 if watchdog_us.isdecimal() else None
        self._clock = clock or SystemClock()
        self._fed_ns: int | None = None

    def ready(self) -> None:
        """Everything is compiled and the source is open."""
        self._send("READY=1")

    def worked(self) -> None:
        """The model has just taken a step: the watchdog is fed, if it is time."""
        if self._period_ns is None:
            return
        now_ns = self._clock.monotonic_ns()
        if self._fed_ns is None or now_ns - self._fed_ns >= self._period_ns:
            self._fed_ns = now_ns
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends on purpose."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(self._address)
            sender.send(message.encode())
