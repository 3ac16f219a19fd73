"""Takes bytes from a source, in a thread of its own where the source does not wait, and opens lost ports again."""

from __future__ import annotations

import threading
from collections import deque
from typing import Literal, NamedTuple, TypeAlias

from edgernn.errors import SourceError
from edgernn.stream.sources.base import Chunk, Source

QUEUE_BYTES = 4 << 20  # waiting for a slow consumer; the oldest are dropped first
READ_TIMEOUT_S = 0.2
FIRST_BACK_OFF_S = 0.05
MAX_BACK_OFF_S = 2.0

NoticeKind = Literal["lost", "reopened", "dropped", "end"]


class Notice(NamedTuple):
    """Something happened to the source. After every kind but "end" bytes are missing."""

    kind: NoticeKind
    text: str


Item: TypeAlias = Chunk | Notice


class Reader:
    """Reads a source; never lets a slow consumer hold up a port.

    Parameters
    ----------
    source : Source
        Opened by `start`.
    reconnect : bool
        Open a lost source again, with growing pauses from 50 ms to 2 s.
    queue_bytes : int
        Bytes that may wait for the consumer.
    changed : Condition, optional
        Told when something waits; readers that share one can be waited for together.

    Attributes
    ----------
    dropped_bytes, reconnects : int
    """

    def __init__(
        self,
        source: Source,
        *,
        reconnect: bool = True,
        queue_bytes: int = QUEUE_BYTES,
        changed: threading.Condition | None = None,
    ) -> None:
        self.source = source
        self.dropped_bytes = 0
        self.reconnects = 0
        self._reconnect = reconnect
        self._queue_bytes = queue_bytes
        self._chunks: deque[Item | BaseException] = deque()
        self._waiting_bytes = 0
        self._dropped = False  # since the last item was taken
        self._changed = changed or threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the source and begin to read.

        Raises
        ------
        SourceError
            It cannot be opened.
        """
        self.source.open()
        if self.source.live:
            self._thread = threading.Thread(target=self._read_all, name=f"read {self.source.name}", daemon=True)
            self._thread.start()

    def next(self, timeout_s: float) -> Item | None:
        """The next bytes or notice; None if nothing came in `timeout_s` seconds.

        Raises
        ------
        SourceError
            The source was lost and is not to be opened again.
        """
        if not self.source.live:
            chunk = self.source.read(timeout_s)
            if chunk is None:
                return Notice("end", f"{self.source.name} has ended")
            return chunk if chunk.data or chunk.after_gap else None
        with self._changed:
            if not self._chunks and not self._changed.wait_for(lambda: self._chunks, timeout_s):
                return None
            if self._dropped:
                self._dropped = False
                return Notice("dropped", f"too slow: {self.dropped_bytes} bytes of {self.source.name} dropped so far")
            item = self._chunks.popleft()
            if isinstance(item, Chunk):
                self._waiting_bytes -= len(item.data)
        if isinstance(item, BaseException):
            raise item
        return item

    def waits_since_ns(self) -> int | None:
        """Arrival of what `next` would give at once; 0 for a notice, None if nothing waits."""
        with self._changed:
            if not self._chunks:
                return None
            first = self._chunks[0]
            return first.monotonic_ns if isinstance(first, Chunk) and not self._dropped else 0

    def stop(self) -> None:
        """Stop reading and close the source."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * READ_TIMEOUT_S + 1.0)
        self.source.close()

    # in the reading thread

    def _read_all(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    chunk = self.source.read(READ_TIMEOUT_S)
                except SourceError as error:
                    if self._stopping.is_set() or not self._open_again(error):
                        return
                    continue
                if chunk is None:
                    self._put(Notice("end", f"{self.source.name} has ended"))
                    return
                if chunk.data:
                    self._put(chunk)
        except BaseException as error:
            self._put(error)

    def _open_again(self, error: SourceError) -> bool:
        """Open a lost source again; False if reading is over."""
        self.source.close()
        if not self._reconnect:
            self._put(error)
            return False
        self._put(Notice("lost", str(error)))
        pause_s = FIRST_BACK_OFF_S
        while not self._stopping.wait(pause_s):
            try:
                self.source.open()
            except SourceError:
                pause_s = min(2 * pause_s, MAX_BACK_OFF_S)
                continue
            self.reconnects += 1
            self._put(Notice("reopened", f"{self.source.name} is back"))
            return True
        return False

    def _put(self, item: Item | BaseException) -> None:
        with self._changed:
            if isinstance(item, Chunk):
                self._make_room(len(item.data))
                self._waiting_bytes += len(item.data)
            self._chunks.append(item)
            self._changed.notify()

    def _make_room(self, size: int) -> None:
        """Drop the oldest bytes until `size` more fit; notices stay."""
        while self._waiting_bytes and self._waiting_bytes + size > self._queue_bytes:
            place = next(place for place, item in enumerate(self._chunks) if isinstance(item, Chunk))
            chunk = self._chunks[place]
            del self._chunks[place]
            assert isinstance(chunk, Chunk)
            self._waiting_bytes -= len(chunk.data)
            self.dropped_bytes += len(chunk.data)
            self._dropped = True
