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
from edgernn.stream.service_account import Account, choose_account
from edgernn.stream.sources.virtual_port import csv_frames
from edgernn.stream.systemd_unit import service_unit

Command = Callable[..., tuple[int, str, str]]
OWN = Account(None, "a user of its own", False, ())


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
        service_unit(["/usr/bin/python3", "a\nExecStart=/bin/sh"], "model", "edgernn", OWN)


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


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that all may read, with all folders above it as systemd would see them."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o005)
    return tmp_path


def test_files_that_all_may_read_run_under_a_user_of_the_service(open_folder: Path) -> None:
    model = open_folder / "model.safetensors"
    model.write_bytes(b"")
    model.chmod(0o644)
    account = choose_account([model], [Path("/var/lib/edgernn/events.csv")], Path("/var/lib/edgernn"))
    assert (account.user, account.written) == (None, ())
    assert "DynamicUser=yes" in service_unit(["/usr/bin/python3"], "model", "edgernn", account).splitlines()


def test_a_closed_home_and_an_output_elsewhere_run_as_their_owner_and_say_why(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    model = home / "model.safetensors"
    model.write_bytes(b"")
    account = choose_account([model], [], Path("/var/lib/edgernn"))
    assert account.user == home.owner()
    assert f"{home} is closed to other users" in account.reason
    account = choose_account([], [open_folder / "events.csv"], Path("/var/lib/edgernn"))
    assert (account.user, account.written) == (open_folder.owner(), (open_folder,))
    unit = service_unit(["/usr/bin/python3"], "model", "edgernn", account).splitlines()
    assert f"User={open_folder.owner()}" in unit
    assert f"ReadWritePaths={open_folder}" in unit
    with pytest.raises(ConfigError, match="cannot be read"):
        choose_account([home / "missing"], [], Path("/var/lib/edgernn"))


def test_addresses_of_sinks_are_left_as_they_are(edgernn_command: Command, model: Path) -> None:
    given = ("stdout:?format=csv", "file:///var/lib/edgernn/events.csv?rotate=2", "events.csv")
    words = [word for address in given for word in ("--output", address)]
    _, out, _ = edgernn_command("service", "print", model, "/dev/ttyACM0", *words)
    (command,) = [line for line in out.splitlines() if line.startswith("ExecStart=")]
    assert '"stdout:?format=csv"' in command
    assert '"file:///var/lib/edgernn/events.csv?rotate=2"' in command
    assert str(Path("events.csv").absolute()) in command


@pytest.mark.parametrize("account", [OWN, Account("nobody", "the user nobody", True, (Path("/srv"),))])
def test_systemd_finds_the_unit_hardened(account: Account, tmp_path: Path, needs_tool: Callable[[str], str]) -> None:
    """Its own measure of exposure, from 0 to 10: at most 2 is asked for, and real-time rights only where wanted."""
    unit = tmp_path / "edgernn.service"
    text = service_unit(["/usr/bin/python3", "-m", "edgernn", "run", "m.onnx"], "model", "edgernn", account)
    unit.write_text(text)
    command = [needs_tool("systemd-analyze"), "security", "--offline=yes", "--no-pager", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "LimitRTPRIO" not in text
    assert "LimitRTPRIO=20" in service_unit(["/usr/bin/python3"], "model", "edgernn", account, realtime=True)
