"""Sinks: lines, files that rotate, and full disks."""

import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import msgspec
import pytest
from stream_models import ManualClock

from edgernn.errors import ConfigError
from edgernn.stream.events import Event
from edgernn.stream.sinks import SINKS, make_sink
from edgernn.stream.sinks.base import Sink
from edgernn.stream.sinks.lines import CSV_HEADING, format_event
from edgernn.stream.sinks.rotating import RotatingFile

EVENT = Event(1_700_000_000_250_000_000, 5, 120, "wave", 0.91796875, 80_000)
NASTY = msgspec.structs.replace(EVENT, label='a,"b"\n\x1b[2J')


def test_json_has_the_fixed_keys() -> None:
    assert json.loads(format_event(EVENT, "json")) == {
        "time_ns": 1_700_000_000_250_000_000,
        "monotonic_ns": 5,
        "step": 120,
        "label": "wave",
        "score": 0.91796875,
        "latency_ns": 80_000,
    }


@pytest.mark.parametrize("style", ["text", "json", "csv"])
def test_no_label_controls_a_terminal_or_begins_a_line(style: str) -> None:
    assert format_event(NASTY, style).isprintable()


def test_csv_is_read_back_by_the_csv_module() -> None:
    text = f"{CSV_HEADING}\n{format_event(NASTY, 'csv')}\n"
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["label"] == 'a,"b"\\n\\x1b[2J'
    assert row["step"] == "120"


@pytest.mark.parametrize(
    ("name", "first"), [("a.csv", CSV_HEADING), ("a.jsonl", '{"time_ns":'), ("a.txt", "2023-11-14")]
)
def test_a_file_has_the_style_of_its_suffix_and_is_appended_to(tmp_path: Path, name: str, first: str) -> None:
    for _ in range(2):
        sink = make_sink(str(tmp_path / name))
        sink.write(EVENT)
        sink.close()
        sink.close()
    lines = (tmp_path / name).read_text().splitlines()
    assert lines[0].startswith(first)
    assert lines[-1] == lines[-2]
    assert len(lines) == (3 if name == "a.csv" else 2)


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    sink = make_sink("stdout:?format=csv")
    sink.write(EVENT)
    sink.tick()
    sink.close()
    assert capsys.readouterr().out.splitlines() == [CSV_HEADING, format_event(EVENT, "csv")]


def test_a_thousand_old_files_may_be_kept(tmp_path: Path) -> None:
    make_sink(f"file://{tmp_path}/a.csv?rotate=1000&max_bytes=1000").close()


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("mqtt://x", "there is no kind of output 'mqtt'"),
        ("a.csv?color=1", "there is no option 'color'; known are format, max_bytes, rotate"),
        ("a.csv?format=xml", "option format is 'xml'"),
        ("a.csv?max_bytes=999", "max_bytes must be at least 1000"),
        ("a.csv?rotate=1001", "rotate from 0 to 1000"),
        ("a.csv?rotate=-1", "rotate from 0 to 1000"),
        ("/no/such/folder/a.csv", "cannot be written: No such file"),
    ],
)
def test_wrong_addresses_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=complaint):
        make_sink(address)


def test_files_rotate_and_no_record_is_split(tmp_path: Path) -> None:
    path, told = tmp_path / "log", list[str]()
    file = RotatingFile(path, max_bytes=1000, rotate=2, heading=lambda: b"heading\n", on_notice=told.append)
    records = [b"%06d\n" % number for number in range(1000)]
    for record in records:
        file.write(record)
    file.close()
    kept = [tmp_path / name for name in ("log.2", "log.1", "log")]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all(part.stat().st_size <= 1000 for part in kept)
    assert all(part.read_bytes().startswith(b"heading\n") for part in kept)
    text = b"".join(part.read_bytes().removeprefix(b"heading\n") for part in kept)
    assert b"".join(records).endswith(text)
    assert len(text) > 2000
    assert set(told) == {f"{path}.2 is deleted: 2 old files are kept; --rotate changes that"}
    assert len(told) == 1 + (len(records) * 7) // 991 - 3


def test_without_rotation_the_file_begins_anew(tmp_path: Path) -> None:
    told: list[str] = []
    file = RotatingFile(tmp_path / "log", max_bytes=1000, rotate=0, on_notice=told.append)
    for number in range(500):
        file.write(b"%06d\n" % number)
    file.close()
    assert (tmp_path / "log").read_bytes().endswith(b"000499\n")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert told[0] == f"{tmp_path / 'log'} is deleted: 0 old files are kept; --rotate changes that"


def test_writing_happens_once_a_second(tmp_path: Path) -> None:
    clock = ManualClock()
    file = RotatingFile(tmp_path / "log", on_notice=pytest.fail, clock=clock)
    file.write(b"a")
    clock.sleep(0.9)
    file.tick()
    assert (tmp_path / "log").read_bytes() == b""
    clock.sleep(0.1)
    file.tick()
    assert (tmp_path / "log").read_bytes() == b"a"
    file.close()


def test_a_full_disk_is_reported_once_and_no_line_is_broken_when_it_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    notices: list[str] = []
    file = RotatingFile(tmp_path / "log", on_notice=notices.append)
    write, room = os.write, [3]

    def limited(descriptor: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        count = write(descriptor, bytes(data[: room[0]]))
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", limited)
    file.write(b"first\n")
    file.flush()
    file.write(b"second\n")
    file.flush()
    assert (tmp_path / "log").read_bytes() == b"fir"
    room[0] = 1000
    file.close()
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"
    assert len(notices) == 2
    assert "No space left on device; going on without it" in notices[0]
    assert "is written again; 0 records are missing" in notices[1]


def test_what_waits_for_a_full_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    file = RotatingFile(tmp_path / "log", on_notice=lambda text: None)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        for _ in range(10):
            file.write(bytes(1 << 20))
        assert file.lost_records == 6
    file.close()
    assert (tmp_path / "log").stat().st_size == 4 << 20


class ListSink(Sink):
    """Keeps the labels of events; as an author writes it who reads only the base class."""

    made: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, location: str, *, limit: int = 1) -> None:
        self.made.append((location, limit))

    def write(self, event: Event) -> None:
        """Keeps nothing."""

    def tick(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


def test_a_sink_needs_only_its_location_and_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sinks_of_others", SimpleNamespace(ListSink=ListSink))
    monkeypatch.setitem(SINKS, "list", "sinks_of_others:ListSink")
    make_sink("list:events?limit=3", on_notice=print).close()
    assert ListSink.made == [("events", 3)]
