"""`edgernn record` and `edgernn replay`, with a pseudo-terminal and with files."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgernn.stream.recording import (
    LabelMark,
    RecordedChunk,
    RecordingInfo,
    RecordingReader,
    encode_chunk,
    encode_heading,
)
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


def test_takes_of_several_labels_take_turns(edgernn_command: Command, tmp_path: Path) -> None:
    output = tmp_path / "b.edgerec"
    with VirtualPort() as port:
        status, _, err = edgernn_command(
            *("record", port.device, "-o", output, "--label", "wave", "--label", "circle"),
            *("--seconds", "0.01", "--pause", "0", "--repeat", "2"),
        )
    assert status == 0
    assert labels_and_data(output) == ["wave", None, "circle", None, "wave", None, "circle", None]
    assert "take 4 of 4: NOW circle" in err


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
