"""A file that is appended to for weeks: bounded in size, written at most once a second, not upset by a full disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edgernn.errors import ConfigError, RecordingError
from edgernn.stream.clock import Clock, SystemClock

DEFAULT_MAX_BYTES = 1_000_000_000
MAX_ROTATED = 1000
FLUSH_PERIOD_NS = 1_000_000_000
MAX_PENDING_BYTES = 4 << 20  # kept while the disk is full


class RotatingFile:
    """Appends records to a file; begins a new one when it is full.

    The old file becomes ``NAME.1``, the one before ``NAME.2``, and so on; what would be beyond `rotate` is deleted. A
    record is never split over two files.

    Parameters
    ----------
    path : Path
        What it holds is kept, if it is there.
    max_bytes : int
        Largest size of one file.
    rotate : int
        How many old files are kept.
    heading : callable
        Gives what a file begins with; called for each.
    on_notice : callable
        Called with a sentence when writing fails, and when it works again.
    clock : Clock, optional
    must_write : bool
        A file that cannot be written is an error, not a notice.

    Attributes
    ----------
    lost_records : int
        Records that were dropped because the disk was full for too long.

    Raises
    ------
    ConfigError
        The file cannot be opened, or the bounds are out of range.
    RecordingError
        From `write`, `tick`, `flush` and `close`: it `must_write`, and cannot.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        rotate: int = 1,
        heading: Callable[[], bytes] = bytes,
        on_notice: Callable[[str], None],
        clock: Clock | None = None,
        must_write: bool = False,
    ) -> None:
        if max_bytes < 1000 or not 0 <= rotate <= MAX_ROTATED:
            raise ConfigError(f"{path}: max_bytes must be at least 1000, rotate from 0 to {MAX_ROTATED}")
        self.path = path
        self.lost_records = 0
        self._max_bytes, self._rotate, self._heading = max_bytes, rotate, heading
        self._notice, self._clock = on_notice, clock or SystemClock()
        self._must_write = must_write
        self._pending = bytearray()
        self._failing = False
        self._flushed_ns = self._clock.monotonic_ns()
        self._descriptor: int | None = None
        try:
            self._open()
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error

    def write(self, record: bytes) -> None:
        """Append a record; it reaches the file within a second if `tick` is called."""
        if len(self._pending) + len(record) > MAX_PENDING_BYTES:
            self.flush()
            if len(self._pending) + len(record) > MAX_PENDING_BYTES:
                self.lost_records += 1
                return
        if self._size + len(self._pending) + len(record) > self._max_bytes:
            self.flush()
            if not self._pending:
                self._begin_new_file()
        self._pending += record
        self.tick()

    def tick(self) -> None:
        """Write what is pending if a second has passed."""
        if self._pending and self._clock.monotonic_ns() - self._flushed_ns >= FLUSH_PERIOD_NS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending now, as far as the disk takes it."""
        self._flushed_ns = self._clock.monotonic_ns()
        try:
            if self._descriptor is None:
                self._open()
            assert self._descriptor is not None
            while self._pending:
                written = os.write(self._descriptor, self._pending)
                self._size += written
                del self._pending[:written]
        except OSError as error:
            if self._must_write:
                self._pending.clear()
                raise RecordingError(f"{self.path} cannot be written: {error.strerror}") from error
            if not self._failing:
                self._notice(f"{self.path} cannot be written: {error.strerror}; going on without it")
            self._failing = True
            return
        if self._failing:
            self._failing = False
            self._notice(f"{self.path} is written again; {self.lost_records} records are missing")

    def close(self) -> None:
        """Write what is pending and close; closing twice is harmless."""
        try:
            self.flush()
        finally:
            self._close()

    def _open(self) -> None:
        self._descriptor = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
        )
        self._size = os.fstat(self._descriptor).st_size
        if self._size == 0:
            self._pending[:0] = self._heading()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin_new_file(self) -> None:
        self._close()
        try:
            oldest = self._numbered(self._rotate) if self._rotate else self.path
            if oldest.exists():
                self._notice(f"{oldest} is deleted: {self._rotate} old files are kept; --rotate changes that")
            if self._rotate == 0:
                self.path.unlink()
            for number in range(self._rotate, 0, -1):
                older = self._numbered(number)
                newer = self._numbered(number - 1) if number > 1 else self.path
                if newer.exists():
                    newer.replace(older)
            self._open()
        except OSError as error:
            self._notice(f"{self.path} cannot be rotated: {error.strerror}")

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
