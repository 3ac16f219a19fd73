"""A file as a source: a recording of raw bytes, or any file of bytes such as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edgernn.errors import FormatError, SourceError, SourceNotFoundError
from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.recording import RecordedChunk, RecordingReader, is_recording
from edgernn.stream.sources.base import READ_BYTES, Chunk, Source

Pace = Literal["fast", "recorded"]


class ReplaySource(Source):
    """Bytes of a file, as fast as they are taken or at the pace they were recorded at.

    Parameters
    ----------
    location : str
        Path of a recording made by edgernn, or of a file with the bytes that a board would send.
    pace : {"fast", "recorded"}
        As fast as possible or as recorded; a file without arrival times is always fast.
    clock : Clock, optional
    """

    live = False
    whole_start = True

    def __init__(self, location: str, *, pace: Pace = "fast", clock: Clock | None = None) -> None:
        super().__init__(location, clock or SystemClock())
        self._path = Path(location)
        self._pace = pace
        self._chunks: Iterator[Chunk] | None = None
        self._reader: RecordingReader | None = None
        self._next: Chunk | None = None
        self._behind_ns: int | None = None  # from the recorded clock to this one

    def open(self) -> None:
        try:
            if is_recording(self._path):
                self._reader = RecordingReader(self._path)
                self._chunks = (self._recorded(chunk) for chunk in self._reader)
            else:
                self.timed = False
                self._chunks = self._plain()
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"there is no file {self._path}") from error
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read: {error.strerror}") from error

    def read(self, timeout_s: float) -> Chunk | None:
        if self._chunks is None:
            raise SourceError(f"{self._path} is not open")
        try:
            chunk = self._next or next(self._chunks, None)
        except FormatError as error:
            raise SourceError(str(error)) from error
        self._next = None
        if chunk is None or self._pace == "fast" or self._reader is None:
            return chunk if chunk is None else chunk._replace(received_ns=self.clock.monotonic_ns())
        if self._behind_ns is None:
            self._behind_ns = self.clock.monotonic_ns() - chunk.monotonic_ns
        wait_s = (chunk.monotonic_ns + self._behind_ns - self.clock.monotonic_ns()) / 1e9
        if wait_s > timeout_s:
            self._next = chunk
            self.clock.sleep(timeout_s)
            return self.chunk(b"")
        if wait_s > 0:
            self.clock.sleep(wait_s)
        return chunk._replace(received_ns=self.clock.monotonic_ns())

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._chunks = self._reader = None

    def _recorded(self, chunk: RecordedChunk) -> Chunk:
        return Chunk(chunk.data, chunk.monotonic_ns, chunk.wall_ns, 0, chunk.after_gap)

    def _plain(self) -> Iterator[Chunk]:
        with self._path.open("rb") as file:
            while data := file.read(READ_BYTES):
                yield self.chunk(data)
