"""The reader: a slow consumer costs the oldest bytes, a lost source is opened again, errors arrive."""

import threading

import pytest
from stream_models import ManualClock

from edgernn.errors import SourceError, SourceNotFoundError
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.memory import MemorySource
from edgernn.stream.sources.reader import Notice, Reader

PATIENCE_S = 20.0


class Script(Source):
    """Gives what a list says: bytes, an error, or None for the end. `failing_opens` times it cannot be opened."""

    def __init__(self, *items: bytes | Exception | None, failing_opens: int = 0) -> None:
        super().__init__("script", ManualClock())
        self.items = list(items)
        self.failing_opens = failing_opens
        self.opened = 0
        self.all_read = threading.Event()

    def open(self) -> None:
        self.opened += 1
        if 1 < self.opened <= 1 + self.failing_opens:
            raise SourceNotFoundError("not there")

    def read(self, timeout_s: float) -> Chunk | None:
        if not self.items:
            self.all_read.wait(timeout_s)
            self.all_read.set()
            return self.chunk(b"")
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return None if item is None else self.chunk(item)

    def close(self) -> None:
        pass


def drain(reader: Reader) -> list[bytes | str]:
    """All data and the kinds of all notices up to the end."""
    seen: list[bytes | str] = []
    while not seen or seen[-1] != "end":
        item = reader.next(PATIENCE_S)
        assert item is not None
        seen.append(item.kind if isinstance(item, Notice) else item.data)
    return seen


def test_a_lost_source_is_opened_again() -> None:
    script = Script(b"a", SourceError("gone"), b"b", SourceError("gone"), b"c", None, failing_opens=2)
    reader = Reader(script)
    reader.start()
    assert drain(reader) == [b"a", "lost", "reopened", b"b", "lost", "reopened", b"c", "end"]
    assert (reader.reconnects, script.opened) == (2, 5)
    reader.stop()


def test_pauses_between_attempts_grow_to_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(Script(SourceError("gone"), None, failing_opens=9))
    pauses: list[float] = []
    monkeypatch.setattr(reader._stopping, "wait", pauses.append)
    reader.start()
    assert drain(reader) == ["lost", "reopened", "end"]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0]
    reader.stop()


def test_four_mebibytes_wait_for_a_slow_consumer() -> None:
    script = Script(*[bytes(1 << 18)] * 20)
    reader = Reader(script)
    reader.start()
    assert script.all_read.wait(PATIENCE_S)
    assert reader.dropped_bytes == 4 << 18
    reader.stop()


def test_a_writer_in_the_process_waits_after_4096_chunks() -> None:
    source = MemorySource(ManualClock())
    for _ in range(4095):
        source.write(b"1\n")
    assert not source._chunks.full()
    source.write(b"1\n")
    assert source._chunks.full()


def test_without_reconnect_the_error_arrives_after_the_bytes() -> None:
    reader = Reader(Script(b"a", SourceError("gone")), reconnect=False)
    reader.start()
    assert reader.next(PATIENCE_S).data == b"a"
    with pytest.raises(SourceError, match="gone"):
        reader.next(PATIENCE_S)
    reader.stop()


def test_an_error_that_nobody_expected_arrives_too() -> None:
    reader = Reader(Script(ZeroDivisionError("a bug")))
    reader.start()
    with pytest.raises(ZeroDivisionError):
        reader.next(PATIENCE_S)
    reader.stop()


def test_a_slow_consumer_costs_the_oldest_bytes_and_is_told() -> None:
    script = Script(*(bytes([number]) * 10 for number in range(20)))
    reader = Reader(script, queue_bytes=55)
    reader.start()
    assert script.all_read.wait(PATIENCE_S)
    notice = reader.next(PATIENCE_S)
    assert isinstance(notice, Notice)
    assert notice.kind == "dropped"
    assert [reader.next(PATIENCE_S).data[0] for _ in range(5)] == [15, 16, 17, 18, 19]
    assert reader.dropped_bytes == 150
    assert reader.next(0.0) is None
    reader.stop()


def test_stopping_does_not_wait_for_a_source_that_is_away() -> None:
    reader = Reader(Script(SourceError("gone"), failing_opens=10**9))
    reader.start()
    assert reader.next(PATIENCE_S).kind == "lost"
    reader.stop()
    assert not reader._thread.is_alive()


def test_a_source_that_waits_is_read_without_a_thread() -> None:
    source = MemorySource(live=False)
    source.write(b"a")
    source.end()
    reader = Reader(source)
    reader.start()
    assert reader._thread is None
    assert drain(reader) == [b"a", "end"]
    reader.stop()
