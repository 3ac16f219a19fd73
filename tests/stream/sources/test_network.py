"""TCP and UDP on this machine: bytes, ends, errors with a remedy."""

import socket
from collections.abc import Iterator

import pytest

from edgernn.errors import ConfigError, SourceBusyError, SourceError, SourceNotFoundError
from edgernn.stream.formats.cobs import encode_packet
from edgernn.stream.sources import make_source
from edgernn.stream.sources.base import Source
from edgernn.stream.sources.reader import Notice, Reader


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def tcp(server: socket.socket) -> Source:
    return make_source(f"tcp://127.0.0.1:{server.getsockname()[1]}?format=csv")[0]


def read(source: Source, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = source.read(timeout_s=10.0)
        assert chunk is not None
        assert chunk.data, "nothing came in 10 s"
        data += chunk.data
    return data


def test_tcp_bytes_come_through_and_the_end_is_a_loss(server: socket.socket) -> None:
    source = tcp(server)
    source.open()
    board, _ = server.accept()
    with board:
        board.sendall(bytes(range(256)) * 300)
        assert read(source, 256 * 300) == bytes(range(256)) * 300
        nothing = source.read(timeout_s=0.0)
        assert nothing is not None
        assert nothing.data == b""
    with pytest.raises(SourceError, match="closed the connection"):
        source.read(timeout_s=10.0)
    source.close()
    with pytest.raises(SourceError, match="is not open"):
        source.read(timeout_s=0.0)


def test_a_lost_connection_is_made_again(server: socket.socket) -> None:
    reader = Reader(tcp(server))
    reader.start()
    for number in range(2):
        board, _ = server.accept()
        with board:
            board.sendall(b"%d\n" % number)
            while isinstance(item := reader.next(10.0), Notice):
                pass
            assert item is not None
            assert item.data == b"%d\n" % number
    reader.stop()
    assert reader.reconnects >= 1


PACKET = encode_packet(1, 2, [3, 4], "int16")


@pytest.mark.parametrize(
    ("datagrams", "expected"),
    [
        ([b"1,2\n", b"3,4\n"], b"1,2\n3,4\n"),
        ([b"1,2", b"3,4", b"5,6"], b"1,2\n3,4\n5,6\n"),
        ([b"1,2\r\n3,4", b"", b"5,6\r\n"], b"1,2\r\n3,4\n5,6\r\n"),
        ([b'{"x":1}', b'{"x":2}'], b'{"x":1}\n{"x":2}\n'),
        ([b"1,2\0", b"3,4\0"], b"1,2\x003,4\0"),
        ([PACKET, PACKET[:-1], PACKET], 3 * PACKET),
        ([b"5" * 60_000], b"5" * 60_000 + b"\n"),
    ],
)
def test_a_udp_datagram_is_never_joined_to_the_next(datagrams: list[bytes], expected: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source, _ = make_source(f"udp://127.0.0.1:{port}")
    source.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as board:
        for datagram in datagrams:
            board.sendto(datagram, ("127.0.0.1", port))
    assert read(source, len(expected)) == expected
    other, _ = make_source(f"udp://127.0.0.1:{port}")
    with pytest.raises(SourceBusyError, match="cannot be listened to"):
        other.open()
    source.close()


def test_errors_say_what_to_do(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(SourceError, match="is the sender running"):
        make_source(f"tcp://127.0.0.1:{port}")[0].open()
    with pytest.raises(SourceNotFoundError, match="not an address of this machine"):
        make_source("udp://name.invalid:5000")[0].open()
    for wrong in ("tcp://host", "tcp://host:0", "udp://:70000", "tcp://host:x"):
        with pytest.raises(ConfigError, match="must be HOST:PORT"):
            make_source(wrong)
