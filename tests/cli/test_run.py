"""`edgernn run` and `edgernn ports`, from the command line to events and back to the shell."""

import contextlib
import csv
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import IO, NamedTuple

import pytest
from stream_models import larger_channel, turns

from edgernn.cli.run import summary
from edgernn.program.file import save
from edgernn.stream.sources import ports as serial_ports
from edgernn.stream.sources.virtual_port import VirtualBoard, VirtualPort, csv_frames
from edgernn.stream.stream import StreamStatus

LINES = list(csv_frames(turns(6)))
PATIENCE_S = 60


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "larger.safetensors"
    save(larger_channel(), path)
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.csv"
    path.write_bytes(b"".join(LINES))
    return path


def test_a_file_to_events(edgernn_command: Callable[..., tuple[int, str, str]], model: Path, samples: Path) -> None:
    status, out, err = edgernn_command("run", model, samples)
    assert status == 0
    assert [line.split()[1] for line in out.splitlines()] == ["first", "second"] * 3
    assert "6 events in 60 samples" in err
    assert "nothing was lost or malformed" in err


def test_real_time_by_flag_and_by_file(
    edgernn_command: Callable[..., tuple[int, str, str]], model: Path, samples: Path, tmp_path: Path
) -> None:
    cores = os.sched_getaffinity(0)
    status, out, err = edgernn_command("run", model, samples, "--realtime", "--without", "fifo", "--without", "memory")
    assert (status, len(out.splitlines())) == (0, 6)
    assert "realtime gc: " in err
    assert "realtime core: on core" in err
    assert os.sched_getaffinity(0) == cores
    config = tmp_path / "run.toml"
    config.write_text(f'model = "{model}"\nrealtime = true\nrealtime_without = ["core", "fifo", "memory"]\n')
    status, _, err = edgernn_command("run", config, samples)
    assert status == 0
    assert [line.split(":")[1] for line in err.splitlines() if "realtime" in line] == [" realtime gc"]


def test_json_flags_variables_and_a_file_beside(
    edgernn_command: Callable[..., tuple[int, str, str]],
    model: Path,
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGERNN_LABELS", "x,y")
    monkeypatch.setenv("EDGERNN_DECISION_HOLD_OFF_STEPS", "45")
    events = tmp_path / "events.csv"
    status, out, _ = edgernn_command(
        "run", model, samples, "--json", "--hold-off", 25, "--minimum", 3, "--columns", "0,1,2", "--output", events
    )
    assert status == 0
    printed = [json.loads(line) for line in out.splitlines()]
    assert [(event["step"], event["label"]) for event in printed] == [(2, "x"), (28, "x"), (54, "y")]
    with events.open(newline="") as file:
        assert [(int(row["step"]), row["label"]) for row in csv.DictReader(file)] == [(2, "x"), (28, "x"), (54, "y")]


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["/dev/missing"], 1, "there is no port /dev/missing"),
        (["ftp://x"], 2, "there is no kind of source 'ftp'"),
        (["SAMPLES", "--columns", "0,a"], 2, "is not a list of numbers"),
        (["SAMPLES", "--threshold", "2"], 2, "threshold is 2.0"),
        (["SAMPLES", "--format", "xml"], 2, "format is 'xml'"),
        (["SAMPLES", "--columns", "0,1"], 1, "2 columns are given in each sample"),
        (["SAMPLES", "--output", "/no/such/folder/a"], 2, "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(
    edgernn_command: Callable[..., tuple[int, str, str]],
    model: Path,
    samples: Path,
    arguments: list[str],
    status: int,
    complaint: str,
) -> None:
    done = edgernn_command("run", model, *[samples if word == "SAMPLES" else word for word in arguments])
    assert (done[0], done[1]) == (status, "")
    assert complaint in done[2]


class Running(NamedTuple):
    """A command in a process of its own, and its pipes."""

    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]

    def finish(self) -> str:
        """Wait for the end; the rest of stderr."""
        return self.process.communicate(timeout=PATIENCE_S)[1]


@pytest.fixture
def start_run(model: Path) -> Iterator[Callable[..., Running]]:
    """``start_run("stdin:", "--json")``; ended after the test if it did not end by itself."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Running:
            command = [sys.executable, "-m", "edgernn", "run", str(model), *arguments]
            process = stack.enter_context(subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            return Running(process, process.stdin, process.stdout, process.stderr)

        yield start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_with_the_summary(start_run: Callable[..., Running], number: int) -> None:
    running = start_run("stdin:", "--json")
    running.stdin.write(b"".join(LINES[:20]).decode())
    running.stdin.flush()
    assert json.loads(running.stdout.readline())["label"] == "first"
    running.process.send_signal(number)
    err = running.finish()
    assert running.process.returncode == 0, err
    assert "events in 20 samples" in err


def test_a_port_that_is_unplugged_while_it_is_read(start_run: Callable[..., Running], tmp_path: Path) -> None:
    stable, first, second = tmp_path / "board", VirtualPort(), VirtualPort()
    stable.symlink_to(first.device)
    running = start_run(str(stable), "--json")
    with playing(first):
        assert {json.loads(running.stdout.readline())["label"] for _ in range(2)} == {"first", "second"}
        stable.unlink()
        first.unplug()
        wait_for_line(running.stderr, "is gone")
    stable.symlink_to(second.device)
    wait_for_line(running.stderr, "is back")
    with playing(second):
        first_step = json.loads(running.stdout.readline())["step"]
        while json.loads(running.stdout.readline())["step"] < first_step + 100:
            pass
        running.process.send_signal(signal.SIGTERM)
        err = running.finish()
    second.close()
    assert running.process.returncode == 0, err
    assert "reconnects 1" in err


@contextlib.contextmanager
def playing(port: VirtualPort) -> Iterator[None]:
    """A board that sends all the time, since opening a port drops what waits in it."""
    board = VirtualBoard(port.write, itertools.cycle(LINES[:20]), rate_hz=500)
    board.start()
    try:
        yield
    finally:
        board.stop()


def wait_for_line(stream: IO[str], text: str) -> None:
    """Read lines up to one that holds `text`."""
    for line in stream:
        if text in line:
            return
    pytest.fail(f"the command ended without a word like {text!r}")


def test_whoever_reads_the_events_may_end_first(start_run: Callable[..., Running]) -> None:
    running = start_run("stdin:", "--json")
    running.stdin.write(b"".join(LINES[:20]).decode())
    running.stdin.flush()
    running.stdout.readline()
    running.stdout.close()
    running.stdin.write(b"".join(LINES[20:]).decode())
    running.stdin.close()
    err = running.stderr.read()
    assert running.process.wait(PATIENCE_S) == 0, err
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert err.count("the standard output is closed: whoever read the events has ended") == 1
    assert "events in" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_or_closed_standard_output_is_one_sentence_and_the_summary(model: Path, samples: Path) -> None:
    command = [sys.executable, "-m", "edgernn", "run", str(model), str(samples)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=PIPE, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "events in 60 samples" in done.stderr
    assert (
        done.stderr.splitlines()[-1] == "edgernn: error: the standard output cannot be written: No space left on device"
    )
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], check=False, stderr=PIPE, text=True, timeout=PATIENCE_S
    )
    assert closed.returncode == 0
    assert closed.stderr.count("the standard output is closed") == 1
    assert "events in" in closed.stderr
    assert "Traceback" not in closed.stderr


def test_an_error_is_said_with_the_summary(start_run: Callable[..., Running]) -> None:
    with VirtualPort() as port:
        running = start_run(port.device, "--no-reconnect")
        with playing(port):
            running.stdout.readline()
            port.unplug()
            err = running.finish()
    assert running.process.returncode == 1
    assert "events in" in err
    assert "edgernn: error: " in err.splitlines()[-1]
    assert "is gone" in err.splitlines()[-1]


def test_ports_are_listed(
    edgernn_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_ports, "list_serial_ports", list)
    assert edgernn_command("ports")[:2] == (0, "")
    port = serial_ports.PortInfo(
        "/dev/ttyACM0", "Uno\x1b[2J", "/dev/serial/by-id/usb-Uno", "2341:0043", "cat (process 7)"
    )
    monkeypatch.setattr(serial_ports, "list_serial_ports", lambda: [port])
    status, out, _ = edgernn_command("ports")
    assert status == 0
    assert "/dev/ttyACM0" in out
    assert "cat (process 7)" in out
    assert "\x1b" not in out
    assert json.loads(edgernn_command("ports", "--json")[1])[0]["stable_name"] == "/dev/serial/by-id/usb-Uno"


@pytest.mark.parametrize(
    ("drift_ppm", "words"), [(-31.2, "runs -31 ppm against this one"), (1.4e9, "call it t_s, t_ms or t_us"), (None, "")]
)
def test_a_clock_that_does_not_go_with_ours_is_no_drift(drift_ppm: float | None, words: str) -> None:
    lines = summary(StreamStatus(drift_ppm=drift_ppm))
    assert words in lines
    assert ("clock" in lines) == bool(words)
