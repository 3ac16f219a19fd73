"""The standard input as a source."""

from __future__ import annotations

import os
import sys

from edgernn.errors import SourceError
from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.sources.base import READ_BYTES, Chunk, Source


class StdinSource(Source):
    """Bytes from the standard input, up to its end. A pipe waits for its reader, so nothing is dropped."""

    live = False
    whole_start = True

    def __init__(self, location: str = "", *, clock: Clock | None = None) -> None:
        super().__init__("standard input", clock or SystemClock())

    def open(self) -> None:
        if sys.stdin is None or sys.stdin.closed:
            raise SourceError("the standard input is closed: give a port or a file as SOURCE")
        self._descriptor = sys.stdin.fileno()

    def read(self, timeout_s: float) -> Chunk | None:
        if os.name == "posix":
            import select

            if not select.select([self._descriptor], [], [], timeout_s)[0]:
                return self.chunk(b"")
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except OSError as error:
            raise SourceError(f"the standard input cannot be read: {error}") from error
        return self.chunk(data) if data else None

    def close(self) -> None:
        """The standard input stays open."""
