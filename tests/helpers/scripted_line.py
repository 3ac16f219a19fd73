"""A live source whose bytes and interruptions come when a script says, on a clock that only it moves."""

from __future__ import annotations

from collections import deque
from typing import Any

from stream_models import ManualClock

from edgernn.program.program import Program
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.reader import Item, Notice, NoticeKind
from edgernn.stream.stream import Stream, open_stream


class ScriptedSource(Source):
    """Says what a port says; its bytes come by `ScriptedReader`."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__("the port", clock)

    def open(self) -> None:
        """Nothing is needed."""

    def read(self, timeout_s: float) -> Chunk | None:
        return None

    def close(self) -> None:
        """Nothing is held."""


class ScriptedReader:
    """Takes the place of a stream's reader, so that nothing depends on threads."""

    def __init__(self, clock: ManualClock) -> None:
        self.readers: tuple[Any, ...] = ()
        self._clock = clock
        self._items: deque[tuple[int, Item]] = deque()  # when each comes

    def put(self, due_ns: int, item: Item) -> None:
        """`item` comes at `due_ns`, not before those that were put before it."""
        self._items.append((due_ns, item))

    def start(self) -> None:
        """Nothing is needed."""

    def stop(self) -> None:
        """Nothing is held."""

    def next(self, timeout_s: float) -> tuple[int, Item] | None:
        if not self._items:
            return 0, Notice("end", "the port has ended")
        wait_s = (self._items[0][0] - self._clock.monotonic_ns()) / 1e9
        if wait_s > timeout_s:
            self._clock.sleep(timeout_s)
            return None
        self._clock.sleep(max(0.0, wait_s))
        return 0, self._items.popleft()[1]


class Line:
    """A stream and its script. Times are seconds since its beginning.

    Attributes
    ----------
    stream : Stream
    notices : list of str
    clock : ManualClock
    """

    def __init__(self, program: Program, **settings: Any) -> None:
        self.clock = ManualClock()
        self.notices: list[str] = []
        self.stream: Stream = open_stream(
            program, ScriptedSource(self.clock), on_notice=self.notices.append, **settings
        )
        self._reader = ScriptedReader(self.clock)
        self.stream._reader = self._reader  # type: ignore[assignment]
        self._stepped_ns = 0
        self._begin_ns = self.clock.monotonic_ns()

    def send(self, at_s: float, data: bytes) -> None:
        """Bytes arrive."""
        due_ns = self._begin_ns + round(at_s * 1e9)
        self._reader.put(due_ns, Chunk(data, due_ns, due_ns + self._stepped_ns, due_ns))

    def step_wall_clock(self, seconds: int) -> None:
        """Somebody sets the time of day."""
        self._stepped_ns += seconds * 1_000_000_000

    def notice(self, at_s: float, kind: NoticeKind) -> None:
        """The reader has something to say."""
        self._reader.put(self._begin_ns + round(at_s * 1e9), Notice(kind, f"the port is {kind}"))
