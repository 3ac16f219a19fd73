"""`edgernn record` and `edgernn replay`, with a pseudo-terminal and with files."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stream_models import ManualClock

from edgernn.cli.record import TakeOptions, collect
from edgernn.errors import RecordingError
from edgernn.recordings.recorder import Recorder
from edgernn.recordings.tables import read_table
from edgernn.stream.recording import (
    LabelMark,
    RecordedChunk,
    RecordingInfo,
    RecordingReader,
    encode_chunk,
    encode_heading,
)
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.virtual_port import VirtualPort

Command = Callable[..., tuple[int, str, str]]


def labels_and_data(path: Path) -> list[str | bytes | None]:
    reader = RecordingReader(path)
    try:
        return [one.label if isinstance(one, LabelMark) else one.data for one in reader.entries()]
    finally:
        reader.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.edgerec"
    chunks = [RecordedChunk(k, k, b"%d,2,3\n" % k) for k in range(1000)]
    path.write_bytes(encode_heading(RecordingInfo()) + b"".join(map(encode_chunk, chunks)))
    return path


def test_a_file_is_recorded_to_its_end(edgernn_command: Command, tmp_path: Path, recording: Path) -> None:
    output = tmp_path / "b.edgerec"
    status, out, err = edgernn_command("record", recording, "-o", output)
    assert (status, out) == (0, "")
    assert f"{output}: 7890 bytes" in err
    assert labels_and_data(output) == labels_and_data(recording)


class PacedBoard(Source):
    """Sends 50 samples a second by its own clock, apart from the spans in which it is stuck."""

    def __init__(self, stuck: tuple[tuple[float, float], ...] = (), end_s: float = 1000.0) -> None:
        super().__init__("board", ManualClock())
        self.live, self._stuck, self._end_s = False, stuck, end_s
        self._begin_ns = self.clock.monotonic_ns()

    def open(self) -> None:
        """Nothing is needed."""

    def read(self, timeout_s: float) -> Chunk | None:
        self.clock.sleep(0.02)
        now_s = (self.clock.monotonic_ns() - self._begin_ns) / 1e9
        if now_s > self._end_s:
            return None
        is_stuck = any(begin <= now_s < end for begin, end in self._stuck)
        return self.chunk(b"" if is_stuck else b"1,2,3\n")

    def close(self) -> None:
        """Nothing is held."""


def collected(board: Source, path: Path, **options: Any) -> list[str | None]:
    """Record takes of two labels; the marks in the file."""
    takes = {"labels": ("wave", "circle"), "seconds": 2.0, "repeat": 2, "pause_s": 1.0, "rate_hz": None} | options
    with Recorder(board, path, on_notice=pytest.fail) as recorder:
        collect(recorder, TakeOptions(**takes), takes["seconds"])
    return [one for one in labels_and_data(path) if not isinstance(one, bytes)]


ALL_TAKES = ["wave", None, "circle", None, "wave", None, "circle", None]


def test_takes_of_several_labels_alternate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collected(PacedBoard(), tmp_path / "a.edgerec") == ALL_TAKES
    err = capsys.readouterr().err
    assert "take 4 of 4: NOW circle" in err
    assert "not kept" not in err


@pytest.mark.parametrize(
    ("stuck", "told"),
    [
        ((1.0, 3.1), "take 1 of 4 has no samples: it is not kept as 'wave', do it again"),
        ((4.5, 5.5), "take 2 of 4 has 50 of 100 samples: it is not kept as 'circle', do it again"),
    ],
)
def test_a_bad_take_is_told_and_asked_for_again(
    stuck: tuple[float, float], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collected(PacedBoard((stuck,)), tmp_path / "a.edgerec") == ALL_TAKES
    assert told in capsys.readouterr().err
    tables, _ = read_table(tmp_path / "a.edgerec")
    assert [tables.labels.count(label) for label in ("wave", "circle")] == pytest.approx([200, 200], abs=4)


def test_a_rate_that_is_given_is_expected_and_a_dead_board_ends_it(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="take 1 of 4 failed 5 times"):
        collected(PacedBoard(), tmp_path / "a.edgerec", rate_hz=100.0)
    with pytest.raises(RecordingError, match="take 1 of 4 failed 5 times"):
        collected(PacedBoard(((0.0, 1e9),)), tmp_path / "b.edgerec")
    assert None not in labels_and_data(tmp_path / "b.edgerec")


def test_a_source_that_ends_within_a_take_keeps_the_bytes_without_the_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collected(PacedBoard(end_s=5.0), tmp_path / "a.edgerec") == ["wave", None]
    assert "the source has ended after 1 of 4 takes" in capsys.readouterr().err


def test_a_silent_port_is_status_1_and_leaves_no_label(edgernn_command: Command, tmp_path: Path) -> None:
    output = tmp_path / "b.edgerec"
    with VirtualPort() as port:
        status, _, err = edgernn_command(
            *("record", port.device, "-o", output, "--label", "wave", "--seconds", "0.01", "--pause", "0")
        )
    assert (status, "has no samples" in err, "failed 5 times" in err) == (1, True, True)
    assert labels_and_data(output) == []


def test_a_port_that_cannot_be_opened_leaves_no_file(edgernn_command: Command, tmp_path: Path) -> None:
    status, _, err = edgernn_command("record", tmp_path / "no-port", "-o", tmp_path / "b.edgerec")
    assert (status, "no-port" in err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_it_with_the_count_of_what_was_kept(
    edgernn_command: Command, tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, write, room = tmp_path / "b.edgerec", os.write, 20_000

    def full(descriptor: int, data: bytes) -> int:
        size = output.stat().st_size if output.exists() else 0
        if size >= room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, bytes(data[: room - size]))

    monkeypatch.setattr("edgernn.stream.sinks.rotating.os.write", full)
    status, _, err = edgernn_command("record", recording, "-o", output)
    kept = sum(len(data) for data in labels_and_data(output) if isinstance(data, bytes))
    assert 0 < kept < 7890
    assert (status, f"holds {kept} of 7890 bytes" in err, "No space left" in err) == (1, True, True), err


def test_recording_with_labels_deletes_nothing(tmp_path: Path, edgernn_command: Command, recording: Path) -> None:
    many = tmp_path / "c.edgerec"
    status, _, err = edgernn_command("record", recording, "-o", many, "--max-bytes", "5000", "--rotate", "2")
    assert (status, f"{many}.2 is deleted: 2 old files are kept" in err) == (0, True)
    labelled = tmp_path / "d.edgerec"
    arguments = ("--max-bytes", "5000", "--rotate", "2", "--label", "a", "--seconds", "100", "--pause", "0")
    status, _, err = edgernn_command("record", recording, "-o", labelled, *arguments)
    assert "is deleted" not in err
    assert len(list(tmp_path.glob("d.edgerec*"))) > 5


def test_what_is_wrong_is_said(edgernn_command: Command, tmp_path: Path, recording: Path) -> None:
    status, _, err = edgernn_command("record", recording, "-o", tmp_path / "b", "--label", "wave")
    assert (status, "--label needs --seconds" in err) == (2, True)
    status, _, err = edgernn_command("record", recording, "-o", recording)
    assert (status, "is there already" in err) == (2, True)


@contextlib.contextmanager
def replaying(recording: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "edgernn", "replay", str(recording), "--fast", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_replay_writes_the_same_bytes(recording: Path) -> None:
    with replaying(recording, "--stdout") as process:
        out, _ = process.communicate(timeout=60)
    assert out == b"".join(entry for entry in labels_and_data(recording) if isinstance(entry, bytes))


def test_a_port_waits_until_it_is_opened() -> None:
    asked = threading.Event()

    def is_cancelled() -> bool:
        asked.set()
        return False

    with VirtualPort() as port:
        waiting = threading.Thread(target=port.wait_for_reader, args=(is_cancelled,))
        waiting.start()
        assert asked.wait(timeout=60)  # nobody has opened it, so it asks whether to go on waiting
        reader = os.open(port.device, os.O_RDWR | os.O_NOCTTY)
        waiting.join(timeout=60)
        assert not waiting.is_alive()
        port.write(b"1,2\n")
        assert os.read(reader, 100) == b"1,2\n"
        os.close(reader)


def test_replay_plays_into_a_port_until_it_is_stopped(recording: Path) -> None:
    everything = b"".join(entry for entry in labels_and_data(recording) if isinstance(entry, bytes))
    with replaying(recording) as process:
        assert process.stdout is not None
        device = process.stdout.readline().decode().strip()
        port = os.open(device, os.O_RDWR | os.O_NOCTTY)
        data = b""
        while len(data) < len(everything):
            data += os.read(port, 4096)
        assert data == everything
        os.close(port)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
