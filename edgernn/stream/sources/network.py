"""Bytes over the network: a TCP connection to a board or bridge, and UDP datagrams that are sent here."""

from __future__ import annotations

import contextlib
import select
import socket
from abc import abstractmethod
from typing import ClassVar

from edgernn.errors import ConfigError, SourceBusyError, SourceError, SourceNotFoundError
from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.sources.base import READ_BYTES, Chunk, Source

CONNECT_TIMEOUT_S = 5.0
MAX_DATAGRAM_BYTES = 65535
_FRAME_ENDS = frozenset(b"\0\r\n")
_BINARY = frozenset(range(1, 9))  # bytes that no line of text holds; each packet holds its kind, 1 or 2


class NetworkSource(Source):
    """What TCP and UDP have in common.

    Parameters
    ----------
    location : str
        ``host:port``; an IPv6 host stands in brackets.
    clock : Clock, optional

    Raises
    ------
    ConfigError
        That is no host and port.
    """

    scheme: ClassVar[str]

    def __init__(self, location: str, *, clock: Clock | None = None) -> None:
        super().__init__(f"{self.scheme}://{location}", clock or SystemClock())
        host, separator, port = location.rpartition(":")
        if not separator or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError(f"source {self.name}: it must be HOST:PORT with a port from 1 to 65535")
        self._host, self._port = host.removeprefix("[").removesuffix("]"), int(port)
        self._socket: socket.socket | None = None

    def read(self, timeout_s: float) -> Chunk | None:
        if self._socket is None:
            raise SourceError(f"{self.name} is not open")
        try:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return self.chunk(b"")
            return self.chunk(self._receive(self._socket))
        except OSError as error:
            raise SourceError(f"{self.name} is gone: {error}") from error

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    @abstractmethod
    def _receive(self, connection: socket.socket) -> bytes:
        """Bytes of a socket that has some."""


class TcpSource(NetworkSource):
    """Bytes of a TCP connection to ``host:port``, such as a serial bridge; connected again when it is lost."""

    scheme: ClassVar[str] = "tcp"

    def open(self) -> None:
        self.close()
        try:
            self._socket = socket.create_connection((self._host, self._port), CONNECT_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.gaierror as error:
            raise SourceNotFoundError(f"{self.name}: the host is not known: {error.strerror}") from error
        except OSError as error:
            raise SourceError(f"{self.name} does not answer: {error}; is the sender running?") from error

    def _receive(self, connection: socket.socket) -> bytes:
        data = connection.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError("the sender closed the connection")
        return data


class UdpSource(NetworkSource):
    """UDP datagrams sent to port ``host:port`` of this machine; an empty host or 0.0.0.0 is every address it has.

    A datagram holds one or several whole frames; the last of them ends where the datagram ends, with or without the end
    of a line or the zero byte of a packet.
    """

    scheme: ClassVar[str] = "udp"
    whole_start = True

    def open(self) -> None:
        self.close()
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self._host or None, self._port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
            )[0]
            receiver = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            raise SourceNotFoundError(f"{self.name} is not an address of this machine: {error}") from error
        try:
            receiver.bind(address)
        except OSError as error:
            receiver.close()
            raise SourceBusyError(f"{self.name} cannot be listened to: {error}") from error
        self._socket = receiver

    def _receive(self, connection: socket.socket) -> bytes:
        connection.setblocking(False)
        data = bytearray()
        with contextlib.suppress(BlockingIOError):
            while len(data) < READ_BYTES:
                data += ended(connection.recv(MAX_DATAGRAM_BYTES))
        return bytes(data)


def ended(datagram: bytes) -> bytes:
    """A datagram with the end of its last line or packet.

    Examples
    --------
    >>> ended(b"1,2\\n3,4"), ended(b"1,2\\r\\n"), ended(b"\\x02\\x01\\x05")
    (b'1,2\\n3,4\\n', b'1,2\\r\\n', b'\\x02\\x01\\x05\\x00')
    """
    if not datagram or datagram[-1] in _FRAME_ENDS:
        return datagram
    return datagram + (b"\0" if _BINARY.intersection(datagram) else b"\n")
