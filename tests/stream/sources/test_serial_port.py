"""The serial source on a pseudo-terminal: reading, unplugging, and errors with their remedies."""

import errno
import os
import termios
from pathlib import Path

import pytest

from edgernn.errors import (
    ConfigError,
    SourceBusyError,
    SourceError,
    SourceNotFoundError,
    SourcePermissionError,
)
from edgernn.stream.sources import make_source, ports
from edgernn.stream.sources.serial_port import SerialSource
from edgernn.stream.sources.virtual_port import VirtualPort


def read_all(source: SerialSource, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = source.read(timeout_s=5.0)
        assert chunk is not None
        assert chunk.data, "nothing came in 5 s"
        data += chunk.data
    return data


def test_bytes_come_through_unchanged() -> None:
    everything = bytes(range(256)) * 8
    with VirtualPort() as port:
        source = SerialSource(port.device)
        source.open()
        assert port.write(everything) == len(everything)
        assert read_all(source, len(everything)) == everything
        source.close()
        source.close()


def test_nothing_came_in_time() -> None:
    with VirtualPort() as port:
        source = SerialSource(port.device)
        source.open()
        chunk = source.read(timeout_s=0.01)
        assert chunk is not None
        assert chunk.data == b""
        source.close()


def test_an_unplugged_port_is_a_source_error() -> None:
    port = VirtualPort()
    source = SerialSource(port.device)
    source.open()
    port.unplug()
    with pytest.raises(SourceError, match=f"{port.device} is gone"):
        source.read(timeout_s=5.0)
    source.close()
    with pytest.raises(SourceNotFoundError, match="there is no port"):
        source.open()
    with pytest.raises(SourceError, match="is not open"):
        source.read(timeout_s=0.0)


@pytest.mark.parametrize("error", [termios.error(5, "Input/output error"), OSError(5, "Input/output error")])
def test_every_family_of_errors_of_a_lost_port_is_caught(error: Exception) -> None:
    class Lost:
        timeout = 0.0

        @property
        def in_waiting(self) -> int:
            raise error

        def read(self, size: int) -> bytes:
            raise error

        def close(self) -> None:
            raise error

    source = SerialSource("/dev/ttyUSB0")
    source._port = Lost()
    with pytest.raises(SourceError, match="/dev/ttyUSB0 is gone"):
        source.read(timeout_s=1.0)
    source.close()


def test_a_port_opens_once_and_its_holder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with VirtualPort() as port:
        first = SerialSource(port.device)
        first.open()
        with pytest.raises(SourceBusyError, match="is in use: close"):
            SerialSource(port.device).open()
        monkeypatch.setattr(os, "getpid", lambda: -1)  # so that this process counts as another one
        with pytest.raises(SourceBusyError, match=r"close .* \(process \d+\)"):
            SerialSource(port.device).open()
        first.close()


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (errno.EACCES, SourcePermissionError, r"sudo usermod -aG \w+ \$USER"),
        (errno.ENOENT, SourceNotFoundError, "plug it in"),
        (errno.ENOTTY, SourceError, "cannot be opened"),
    ],
)
def test_remedies(number: int, kind: type[SourceError], remedy: str) -> None:
    error = ports.open_error("/dev/ttyACM7", OSError(number, os.strerror(number)))
    assert type(error) is kind
    with pytest.raises(kind, match=remedy):
        raise error


def test_modem_manager_has_its_own_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "holder", lambda device: "ModemManager (process 12)")
    error = ports.open_error("/dev/ttyACM0", OSError(errno.EBUSY, "busy"))
    assert "systemctl stop ModemManager" in str(error)


def test_settling_drops_what_a_boot_loader_says() -> None:
    with VirtualPort() as port:
        source = SerialSource(port.device, settle_s=60.0)
        source.open()
        port.write(b"boot\n")
        chunk = source.read(timeout_s=5.0)
        assert chunk is not None
        assert chunk.data == b""
        source.close()


def test_addresses() -> None:
    source, format_name = make_source("serial:///dev/ttyACM0?baud=9600&dtr=false&format=cobs")
    assert (source.name, format_name) == ("/dev/ttyACM0", "cobs")
    assert make_source("COM3")[0].name == "COM3"
    assert make_source("hwgrep://2341:0043")[0].name == "hwgrep://2341:0043"
    loop, _ = make_source("loop://?baud=57600&logging=debug")
    assert loop.name == "loop://?logging=debug"


def test_a_file_is_replayed_and_pyserials_own_addresses_open(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n")
    source, _ = make_source(str(path))
    source.open()
    assert source.read(0.0).data == b"1,2\n"
    assert source.read(0.0) is None
    source.close()
    loop, _ = make_source("loop://")
    loop.open()
    loop.close()


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("ftp://x", "there is no kind of source 'ftp'; known are .*serial"),
        ("serial:///dev/x?bauds=1", "there is no option 'bauds'; known are baud, dtr, rts, settle_s"),
        ("serial:///dev/x?baud=fast", "option baud is 'fast'"),
        ("serial:///dev/x?baud=1", "baud is 1: it must be"),
        ("serial:///dev/x?settle_s=-1", "settle_s is -1"),
        ("serial:///dev/x?baud=1&baud=2", "an option is given twice"),
        ("stdin:?clock=1", "there is no option 'clock'; known are none"),
    ],
)
def test_wrong_addresses_are_refused(address: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_source(address)


def test_stable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    monkeypatch.setattr(ports, "STABLE_FOLDERS", (by_id, tmp_path / "by-path"))
    with VirtualPort() as port:
        assert ports.stable_name(port.device) is None
        (by_id / "usb-Arduino").symlink_to(port.device)
        assert ports.stable_name(port.device) == str(by_id / "usb-Arduino")


def test_the_only_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ports.PortInfo("/dev/ttyACM0", "Uno"), ports.PortInfo("/dev/ttyUSB0", "CH340")]
    monkeypatch.setattr(ports, "list_serial_ports", lambda: found[:1])
    assert ports.only_serial_port() == "/dev/ttyACM0"
    monkeypatch.setattr(ports, "list_serial_ports", lambda: found)
    with pytest.raises(ConfigError, match="give one of /dev/ttyACM0, /dev/ttyUSB0"):
        ports.only_serial_port()
    monkeypatch.setattr(ports, "list_serial_ports", list)
    with pytest.raises(ConfigError, match="plug the board in"):
        ports.only_serial_port()
