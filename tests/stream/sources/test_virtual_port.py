"""The simulated board keeps its pace."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from edgernn.stream.sources import virtual_port
from edgernn.stream.sources.virtual_port import MAX_LATE_S, VirtualBoard


def test_a_board_that_was_held_up_does_not_make_up_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, waits_s = [100.0], []
    monkeypatch.setattr(virtual_port, "time", SimpleNamespace(monotonic=lambda: now_s[0]))

    def wait(seconds: float) -> bool:
        waits_s.append(seconds)
        now_s[0] += seconds
        return False

    def frames() -> Iterator[bytes]:
        for number in range(400):
            if number == 100:
                now_s[0] += 3600.0  # nobody took its bytes
            yield b"1\n"

    board = VirtualBoard(lambda data: None, frames(), rate_hz=100)
    monkeypatch.setattr(board, "_stopping", SimpleNamespace(wait=wait))
    board._play()
    assert board.sent == 400
    assert sum(seconds == 0 for seconds in waits_s) <= 100 * MAX_LATE_S + 2
    assert now_s[0] == pytest.approx(3700.0 + 4.0 - MAX_LATE_S, abs=0.05)
