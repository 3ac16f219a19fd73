"""A serial port as a source, by pyserial. All of pyserial's errors are turned into ours here."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

from edgernn.errors import ConfigError, SourceError
from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.formats.headings import read_heading
from edgernn.stream.sources.base import READ_BYTES, Chunk, Source
from edgernn.stream.sources.boards import board_family
from edgernn.stream.sources.ports import open_error, stable_name, usb_id_of

DEFAULT_BAUD = 115200

MAX_SETTLING_BYTES = 8192  # that are searched for headings
_SPACED_NAMES = re.compile(rb"(?:[#%/]*\s*)?[A-Za-z]\w*(?:\s+[A-Za-z]\w*)+")


class SerialSource(Source):
    """Bytes from a serial port.

    Parameters
    ----------
    location : str
        A device (``/dev/ttyACM0``, ``COM3``) or an address that pyserial understands (``hwgrep://``, ``loop://``).
    baud : int
        Bits per second; without effect on a board with native USB.
    dtr : bool, optional
        Level of DTR at opening, which resets many boards; as the family of the board needs it if not given.
    rts : bool, optional
        Level of RTS at opening; as the family of the board needs it if not given.
    settle_s : float, optional
        Seconds after opening in which all bytes are dropped, such as the output of a boot loader; as the family of the
        board needs it if not given.
    clock : Clock, optional
    """

    def __init__(
        self,
        location: str,
        *,
        baud: int = DEFAULT_BAUD,
        dtr: bool | None = None,
        rts: bool | None = None,
        settle_s: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(location, clock or SystemClock())
        if not 50 <= baud <= 100_000_000:
            raise ConfigError(f"baud is {baud}: it must be from 50 to 100000000")
        if settle_s is not None and not 0.0 <= settle_s <= 60.0:
            raise ConfigError(f"settle_s is {settle_s}: it must be from 0 to 60 seconds")
        self._location = location  # replaced by a stable name once that is known
        self._baud, self._dtr, self._rts = baud, dtr, rts
        self._settle_s = settle_s
        self._settled_at_ns = 0
        self._settling = b""  # the last bytes that came while it settled
        self._port: Any = None

    def open(self) -> None:
        import serial

        self.close()
        try:
            port = serial.serial_for_url(self._location, do_not_open=True)
            port.baudrate = self._baud
            if os.name == "posix" and isinstance(port, serial.Serial):
                port.exclusive = True
            dtr, rts, settle_s = self._manner()
            if dtr is not None:
                port.dtr = dtr
            if rts is not None:
                port.rts = rts
            port.open()
        except _port_errors() as error:
            raise open_error(self._location, error) from error
        except ValueError as error:
            raise ConfigError(f"{self._location} is not the address of a serial port: {error}") from error
        with contextlib.suppress(AttributeError, ValueError, NotImplementedError, *_port_errors()):
            port.set_low_latency_mode(True)  # else an FTDI adapter holds bytes back for 16 ms
        self._port, self._settling = port, b""
        self._location = stable_name(self._location) or self._location
        self._settled_at_ns = self.clock.monotonic_ns() + round(1e9 * settle_s)

    def _manner(self) -> tuple[bool | None, bool | None, float]:
        """Levels of DTR and RTS and time to settle: those given, else those of the board's family."""
        family = board_family(usb_id_of(self._location))
        own = (None, None, 0.0) if family is None else (family.dtr, family.rts, family.settle_s)
        dtr = own[0] if self._dtr is None else self._dtr
        rts = own[1] if self._rts is None else self._rts
        return dtr, rts, own[2] if self._settle_s is None else self._settle_s

    def read(self, timeout_s: float) -> Chunk | None:
        port = self._port
        if port is None:
            raise SourceError(f"{self.name} is not open")
        try:
            if port.timeout != timeout_s:
                port.timeout = timeout_s
            data: bytes = port.read(min(port.in_waiting, READ_BYTES) or 1)
            if len(data) == 1:  # perhaps the first of many
                data += port.read(min(port.in_waiting, READ_BYTES))
        except _port_errors() as error:
            raise SourceError(f"{self.name} is gone: {error}") from error
        chunk = self.chunk(data)
        if chunk.received_ns < self._settled_at_ns:
            self._settling = (self._settling + data)[-MAX_SETTLING_BYTES:]
            return chunk._replace(data=b"")
        if self._settling:
            settling, self._settling = self._settling, b""
            return chunk._replace(data=with_headings(settling, data))
        return chunk

    def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(*_port_errors()):
                port.close()


def with_headings(settling: bytes, data: bytes) -> bytes:
    """Bytes after the time to settle, with the headings that came in it, and the beginning of their first line.

    Examples
    --------
    >>> with_headings(b"boot 1.2\\r\\nx,y,z\\r\\n1,2,3\\r\\n4,", b"5,6\\r\\n")
    b'\\nx,y,z\\n4,5,6\\r\\n'
    >>> with_headings(b"1,2,3\\r\\n4,", b"5,6\\r\\n")
    b'5,6\\r\\n'
    """
    *lines, unfinished = settling.replace(b"\r", b"\n").split(b"\n")
    headings = [line for line in lines if read_heading(line) is not None or _SPACED_NAMES.fullmatch(line.strip())]
    return b"\n" + b"\n".join([*headings, unfinished]) + data if headings else data


def _port_errors() -> tuple[type[Exception], ...]:
    """The families of errors that a lost port raises: pyserial's own is an OSError, termios has one apart."""
    try:
        import termios
    except ImportError:  # not POSIX
        return (OSError,)
    return (OSError, termios.error)
