"""What systemd hears from a service."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from stream_models import ManualClock

from edgernn.stream.systemd import Notifier


class Systemd:
    """The other end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    manager = Systemd(tmp_path / "notify")
    yield manager
    manager.close()


def test_ready_watchdog_and_end(systemd: Systemd) -> None:
    clock = ManualClock()
    notifier = Notifier({"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "20000000"}, clock)
    notifier.ready()
    assert systemd.heard() == ["READY=1"]
    for _ in range(101):  # 10 seconds of steps
        notifier.worked()
        clock.sleep(0.1)
    assert systemd.heard() == ["WATCHDOG=1"] * 3
    clock.sleep(60)
    assert systemd.heard() == []  # nobody worked
    notifier.stopping()
    assert systemd.heard() == ["STOPPING=1"]


def test_without_a_watchdog_it_is_not_fed(systemd: Systemd) -> None:
    Notifier({"NOTIFY_SOCKET": str(systemd.path)}).worked()
    assert systemd.heard() == []


def test_a_service_that_nobody_listens_to_goes_on(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "missing"), "WATCHDOG_USEC": "1"}).worked()
    Notifier({"NOTIFY_SOCKET": "@edgernn-nobody"}).ready()
