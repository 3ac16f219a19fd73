"""A source inside the process: what is written to it is read from it. For programs that already have the bytes."""

from __future__ import annotations

import queue

from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.sources.base import Chunk, Source

MAX_CHUNKS = 4096


class MemorySource(Source):
    """Bytes from another thread, or from this one.

    Parameters
    ----------
    clock : Clock, optional
    live : bool
        False for a source whose writer waits until its bytes are read.

    Examples
    --------
    >>> source = MemorySource()
    >>> source.open()
    >>> source.write(b"1,2,3\\n")
    >>> source.read(timeout_s=1.0).data
    b'1,2,3\\n'
    """

    def __init__(self, clock: Clock | None = None, *, live: bool = True) -> None:
        super().__init__("memory", clock or SystemClock())
        self.live = live
        self.whole_start = True
        self._chunks: queue.Queue[Chunk | None] = queue.Queue(MAX_CHUNKS)

    def open(self) -> None:
        """Nothing is needed."""

    def write(self, data: bytes) -> None:
        """Give bytes to the reader; waits while `MAX_CHUNKS` chunks are not read yet."""
        self._chunks.put(self.chunk(data))

    def end(self) -> None:
        """No more bytes come."""
        self._chunks.put(None)

    def read(self, timeout_s: float) -> Chunk | None:
        try:
            return self._chunks.get(timeout=timeout_s)
        except queue.Empty:
            return self.chunk(b"")

    def close(self) -> None:
        """Nothing is held."""
