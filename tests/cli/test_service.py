"""`edgernn service print`: a unit that systemd accepts, a rule for the board; `edgernn run` talks to systemd."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from stream_models import larger_channel, turns

from edgernn.errors import ConfigError
from edgernn.program.file import save
from edgernn.stream.sources.virtual_port import csv_frames
from edgernn.stream.systemd_unit import service_unit

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / 'my "models" 100% $HOME'
    folder.mkdir()
    path = folder / "larger.safetensors"
    save(larger_channel(), path)
    return path


def test_systemd_accepts_the_unit(
    edgernn_command: Command, model: Path, tmp_path: Path, needs_tool: Callable[[str], str]
) -> None:
    status, out, _ = edgernn_command("service", "print", model, "/dev/ttyACM0", "--output", tmp_path / "events.csv")
    assert status == 0
    unit = tmp_path / "edgernn.service"
    unit.write_text(out)
    command = [needs_tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "edgernn.service" not in done.stderr  # not even a warning


def test_the_unit_says_what_was_asked_for(edgernn_command: Command, model: Path) -> None:
    _, out, _ = edgernn_command("service", "print", model, "/dev/ttyACM0")
    for line in ("Type=notify", "WatchdogSec=60", "Restart=on-failure", "SupplementaryGroups=dialout"):
        assert line in out.splitlines()
    assert 'my \\"models\\" 100%% $$HOME/larger.safetensors" /dev/ttyACM0\n' in out


def test_the_rule_names_the_board(edgernn_command: Command, model: Path) -> None:
    status, out, _ = edgernn_command(
        "service", "print", model, "--part", "udev", "--usb-id", "1A86:7523", "--name", "arm"
    )
    assert status == 0
    for part in ('ATTRS{idVendor}=="1a86"', 'ATTRS{idProduct}=="7523"', 'SYMLINK+="arm"', '+="arm.service"'):
        assert part in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--part", "udev", "--usb-id", '2341:0043", RUN+="/bin/sh'], "must be two numbers"),
        (["--part", "udev", "--usb-id", "2341:0043", "--name", 'a", RUN+="b'], "letters, digits"),
        (["--name", "a/b"], "letters, digits"),
        (["--part", "udev"], "no serial port was found"),
    ],
)
def test_nothing_else_gets_into_the_files(
    edgernn_command: Command, model: Path, flags: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgernn.stream.sources.ports.list_serial_ports", list)
    status, out, err = edgernn_command("service", "print", model, *flags)
    assert (status, out, message in err) == (2, "", True)


def test_a_new_line_cannot_stand_in_a_unit() -> None:
    with pytest.raises(ConfigError, match="control character"):
        service_unit(["/usr/bin/python3", "a\nExecStart=/bin/sh"], "model")


def test_run_says_ready_feeds_the_watchdog_after_steps_and_says_that_it_ends(
    edgernn_command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tmp_path / "samples.csv"
    samples.write_bytes(b"".join(csv_frames(turns(2))))
    heading_only = tmp_path / "heading.csv"
    heading_only.write_text("x,y,z\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(os.fspath(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000000")
        assert edgernn_command("run", model, samples)[0] == 0
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
        assert edgernn_command("run", model, heading_only)[0] == 1  # no step: the watchdog goes hungry
        assert systemd.recv(100) == b"READY=1"
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
