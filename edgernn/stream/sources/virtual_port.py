"""A serial port without hardware: a pseudo-terminal whose other end is a board that plays samples."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import SourceError
from edgernn.stream.formats.cobs import encode_packet

SETTLING_S = 0.2  # in which a reader that has opened the port sets it up; pyserial empties it last
MAX_LATE_S = 0.5  # that a board makes up for after nobody took its bytes


class VirtualPort:
    """A pseudo-terminal. `device` is what a serial source opens, `write` is what the board sends.

    Raises
    ------
    SourceError
        This system has no pseudo-terminals (Windows).

    Examples
    --------
    >>> from edgernn.stream.sources.serial_port import SerialSource
    >>> with VirtualPort() as port:
    ...     source = SerialSource(port.device)
    ...     source.open()
    ...     _ = port.write(b"1,2,3")
    ...     source.read(timeout_s=5.0).data
    ...     source.close()
    b'1,2,3'
    """

    def __init__(self) -> None:
        if not hasattr(os, "openpty"):
            raise SourceError("this system has no pseudo-terminals: use edgernn.stream.sources.memory instead")
        import tty

        self._board, port = os.openpty()
        self.device = os.ttyname(port)
        tty.setraw(port)
        self._port: int | None = port  # kept open until closing, so that the settings of the line stay
        os.set_blocking(self._board, False)
        self._closed = False

    def write(self, data: bytes) -> int:
        """Send bytes; those that do not fit are lost, as on a real line. Returns how many were taken."""
        taken = 0
        while taken < len(data) and not self._closed:
            try:
                taken += os.write(self._board, data[taken:])
            except BlockingIOError:
                if not select.select([], [self._board], [], 0.05)[1]:
                    break
            except OSError:  # unplugged meanwhile
                break
        return taken

    def wait_for_reader(self, is_cancelled: Callable[[], bool]) -> None:
        """Wait until a program has opened the port; opening it drops what was sent before."""
        if self._port is not None:
            os.close(self._port)
            self._port = None
        poll = select.poll()
        poll.register(self._board, 0)
        while poll.poll(0) and not is_cancelled():  # a hang-up, as long as nobody has it open
            time.sleep(0.01)
        self._port = os.open(self.device, os.O_RDWR | os.O_NOCTTY)
        time.sleep(SETTLING_S)

    def unplug(self) -> None:
        """Take the port away; its reader sees a lost device. Doing it twice is harmless."""
        if not self._closed:
            self._closed = True
            if self._port is not None:
                os.close(self._port)
            os.close(self._board)

    close = unplug

    def __enter__(self) -> VirtualPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()


def csv_frames(samples: NDArray[np.floating], decimals: int = 5) -> Iterator[bytes]:
    """Samples (n, channels) as an Arduino prints them, one line each."""
    for sample in samples:
        yield (",".join(f"{value:.{decimals}g}" for value in sample) + "\r\n").encode()


def cobs_frames(samples: NDArray[np.floating], rate_hz: float) -> Iterator[bytes]:
    """Samples (n, channels) as checked packets with their sequence and time."""
    for sequence, sample in enumerate(samples):
        yield encode_packet(sequence, round(sequence * 1e6 / rate_hz), sample.tolist())


class VirtualBoard:
    """Sends frames at an even pace in a thread of its own.

    Parameters
    ----------
    write : callable
        Takes the bytes: `VirtualPort.write` or `MemorySource.write`.
    frames : iterator of bytes
    rate_hz : float
        Frames a second.

    Attributes
    ----------
    sent : int
        Frames so far.
    done : threading.Event
        Set after the last frame.
    """

    def __init__(self, write: Callable[[bytes], object], frames: Iterator[bytes], rate_hz: float) -> None:
        self.sent = 0
        self.done = threading.Event()
        self._write, self._frames, self._period_s = write, frames, 1.0 / rate_hz
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._play, name="board", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait until that is so."""
        self._stopping.set()
        with contextlib.suppress(RuntimeError):  # never started
            self._thread.join()

    def _play(self) -> None:
        due_s = time.monotonic()
        for frame in self._frames:
            if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                break
            self._write(frame)
            self.sent += 1
            due_s = max(due_s + self._period_s, time.monotonic() - MAX_LATE_S)
        self.done.set()
