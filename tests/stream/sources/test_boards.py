"""How the ports of board families are opened: by their USB id, unless the address says otherwise."""

from types import SimpleNamespace

import pytest
from serial.tools import list_ports
from stream_models import ManualClock

from edgernn.stream.sources import ports, serial_port
from edgernn.stream.sources.boards import ESP, NATIVE, UNO, BoardFamily, board_family
from edgernn.stream.sources.serial_port import SerialSource


@pytest.mark.parametrize(
    ("usb_id", "family"),
    [
        ("2341:0043", UNO),
        ("2341:8036", NATIVE),
        ("10c4:ea60", ESP),
        ("303a:1001", NATIVE),
        ("dead:beef", None),
        (None, None),
    ],
)
def test_families_by_usb_id(usb_id: str | None, family: BoardFamily | None) -> None:
    assert board_family(usb_id) == family


def opened(
    monkeypatch: pytest.MonkeyPatch, usb_id: str | None, clock: ManualClock, **given: bool | float
) -> SerialSource:
    monkeypatch.setattr(serial_port, "usb_id_of", lambda location: usb_id)
    source = SerialSource("loop://", clock=clock, **given)  # type: ignore[arg-type]
    source.open()
    return source


@pytest.mark.parametrize(
    ("usb_id", "given", "lines"),
    [
        ("10c4:ea60", {}, (False, False)),
        ("10c4:ea60", {"dtr": True}, (True, False)),
        ("2341:0043", {"rts": False}, (True, False)),
        (None, {"dtr": False}, (False, True)),
    ],
)
def test_lines_are_those_of_the_family_unless_given(
    monkeypatch: pytest.MonkeyPatch, usb_id: str | None, given: dict[str, bool], lines: tuple[bool, bool]
) -> None:
    source = opened(monkeypatch, usb_id, ManualClock(), **given)
    assert (source._port.dtr, source._port.rts) == lines
    source.close()


@pytest.mark.parametrize(("given", "settle_s"), [({}, 2.0), ({"settle_s": 0.5}, 0.5), ({"settle_s": 0.0}, 0.0)])
def test_what_comes_while_an_uno_restarts_is_dropped(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, float], settle_s: float
) -> None:
    clock = ManualClock()
    source = opened(monkeypatch, "2341:0043", clock, **given)
    read = []
    for _ in range(12):
        source._port.write(b"x")
        chunk = source.read(timeout_s=5.0)
        assert chunk is not None
        read.append(chunk.data)
        clock.sleep(0.25)
    dropped = round(settle_s / 0.25)
    assert read == [b""] * dropped + [b"x"] * (12 - dropped)
    source.close()


def test_the_listing_names_the_family(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    known = {"device": f"{tmp_path}/ttyACM0", "hwid": "USB", "description": "Uno", "vid": 0x2341, "pid": 0x0043}
    plain = {"device": f"{tmp_path}/ttyS0", "hwid": "PNP0501", "description": "n/a", "vid": None, "pid": None}
    monkeypatch.setattr(list_ports, "comports", lambda: [SimpleNamespace(**known), SimpleNamespace(**plain)])
    board, other = ports.list_serial_ports()
    assert (board.usb_id, board.family) == ("2341:0043", "Arduino with a USB chip")
    assert (other.usb_id, other.family, other.description) == (None, None, "PNP0501")
    assert ports.usb_id_of(f"{tmp_path}/ttyACM0") == "2341:0043"
    assert ports.usb_id_of(f"{tmp_path}/ttyS0") is None
    assert ports.usb_id_of(f"{tmp_path}/ttyUSB9") is None


def test_a_heading_that_comes_while_the_board_settles_is_kept() -> None:
    source = SerialSource("loop://", settle_s=1.0, clock=ManualClock())
    source.open()
    source._port.write(b"boot 1.2 at 115200\r\n\xfe\x01\r\n# x y z\r\n1,2,3\r\n4,")
    first = source.read(timeout_s=0.0)
    source.clock.sleep(1.0)
    source._port.write(b"5,6\r\n7,8,9\r\n")
    second = source.read(timeout_s=0.0)
    source.close()
    assert first is not None
    assert second is not None
    assert (first.data, second.data) == (b"", b"\n# x y z\n4,5,6\r\n7,8,9\r\n")
