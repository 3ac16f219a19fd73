"""What all sources have in common: they are opened, give the bytes that are waiting, and are closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from edgernn.stream.clock import Clock

READ_BYTES = 65536  # taken in one read at most


class Chunk(NamedTuple):
    """Bytes that came together.

    Attributes
    ----------
    data : bytes
        Empty if nothing came in time.
    monotonic_ns, wall_ns : int
        When the last byte arrived; of a recording, when it arrived then.
    received_ns : int
        When this process had it, on the monotonic clock. Latency counts from here.
    after_gap : bool
        Bytes before them are missing, as in the recording of an unplugged cable.
    """

    data: bytes
    monotonic_ns: int
    wall_ns: int
    received_ns: int
    after_gap: bool = False


class Source(ABC):
    """Where bytes come from.

    Attributes
    ----------
    name : str
        What to call it in messages.
    live : bool
        It goes on whether or not anybody reads, as a port does; a file waits for its reader.
    whole_start : bool
        The first byte begins a frame.
    timed : bool
        It is known when its bytes arrived; true of all but plain files.
    clock : Clock
    """

    live = True
    whole_start = False
    timed = True

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock

    @abstractmethod
    def open(self) -> None:
        """Open it, or open it again after `close`.

        Raises
        ------
        SourceError
        """

    @abstractmethod
    def read(self, timeout_s: float) -> Chunk | None:
        """What is waiting; wait for it at most `timeout_s` seconds. None at the end of a source that ends.

        Raises
        ------
        SourceError
            It is gone, as when a cable comes out.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it; closing twice is harmless."""

    def chunk(self, data: bytes) -> Chunk:
        """Bytes that arrived just now."""
        now_ns = self.clock.monotonic_ns()
        return Chunk(data, now_ns, self.clock.wall_ns(), now_ns)
