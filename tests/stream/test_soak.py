"""A board at 1 kHz whose cable comes out every 20 s: every fault is counted as what it is, every good sample is used.

The stated bound: the frame that the cable cuts, and after a reconnect the rest of it. With ``--soak`` the same happens
over a pseudo-terminal for 25 minutes, all formats in turn; else on a clock that only the script moves.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from scripted_line import Line
from soak_board import SOAK_FORMATS, SoakBoard
from stream_models import largest_channel

from edgernn.program.file import save
from edgernn.stream.sources.virtual_port import VirtualPort

RATE_HZ = 1000
PIECE_S = 0.02  # of what arrives together
UNPLUG_EVERY_S = 20
OUTAGES_S = (0.1, 0.5, 2.0, 60.0)  # on the scripted clock
PORT_OUTAGES_S = (0.1, 0.5, 2.0)
MAX_GROWTH_BYTES = 8 << 20
SOAK_S = float(os.environ.get("EDGERNN_SOAK_S", "1500"))
OWN = {"filled", "measuring", "waiting", "diverged"}  # of the model, not of the line


def found_counts(counts: dict[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in counts.items() if count and kind not in OWN}


@pytest.mark.parametrize("name", SOAK_FORMATS)
def test_every_fault_equals_its_count_and_every_good_sample_is_used(name: str) -> None:
    board, line = SoakBoard(name, RATE_HZ), Line(largest_channel(), rate_hz=float(RATE_HZ))
    at_s, pieces = 0.0, round(UNPLUG_EVERY_S / PIECE_S)
    line.send(at_s, board.end + board.boot())
    for unplugged in range(5):
        for _ in range(pieces):
            at_s += PIECE_S
            line.send(at_s, b"".join(board.next() for _ in range(round(PIECE_S * RATE_HZ))))
        if unplugged == 4:
            break
        before, after = board.torn()
        line.send(at_s, before)
        line.notice(at_s, "lost")
        outage_s = OUTAGES_S[unplugged]
        rebooted = unplugged % 2 == 1
        at_s += outage_s
        board.skip(outage_s)
        line.notice(at_s, "reopened")
        board.reconnected(rebooted=rebooted)
        line.send(at_s, after + (board.boot() if rebooted else b""))
    with line.stream as stream:
        events = list(stream)
    status = stream.status()
    assert found_counts(status.counts) == +board.expected
    assert status.steps == board.expected["samples"] - board.expected["duplicated"] + status.counts["filled"]
    assert status.rate_hz == pytest.approx(RATE_HZ, rel=0.02)
    assert status.silent_s == {"unplugged": pytest.approx(sum(OUTAGES_S), abs=0.1)}
    assert Counter(event.label for event in events).keys() == {"rest", "wave", "circle"}
    told = [notice for notice in line.notices if not notice.startswith(("a line", "the port is", "samples come as"))]
    assert len(told) == board.expected["restarts"], told


@pytest.mark.soak
@pytest.mark.timeout(2 * SOAK_S + 300)
def test_the_same_over_a_port_for_25_minutes(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save(largest_channel(), model)
    for name in SOAK_FORMATS:
        run_over_a_port(name, model, tmp_path / "board", SOAK_S / len(SOAK_FORMATS))


def run_over_a_port(name: str, model: Path, link: Path, seconds: float) -> None:
    """`edgernn run` in a process of its own, on a link that comes and goes."""
    board, port = SoakBoard(name, RATE_HZ), VirtualPort()
    link.unlink(missing_ok=True)
    link.symlink_to(port.device)
    arguments = [sys.executable, "-m", "edgernn", "run", str(model), str(link), "--json", "--rate", str(RATE_HZ)]
    with (
        open(link.with_name("events"), "wb") as events,
        open(link.with_name("errors"), "w+b") as errors,
        subprocess.Popen(arguments, stdout=events, stderr=errors) as process,
    ):
        try:
            begin_s, reconnects, rss = time.monotonic(), 0, 0
            port.wait_for_reader(lambda: process.poll() is not None)
            write(port, board.end + board.boot())
            while True:
                send(board, port, UNPLUG_EVERY_S)
                rss = rss or psutil.Process(process.pid).memory_info().rss
                if time.monotonic() - begin_s > seconds:
                    break
                before, after = board.torn()
                write(port, before)
                time.sleep(0.3)  # what the port holds is read
                link.unlink()
                port.unplug()
                time.sleep(PORT_OUTAGES_S[reconnects % len(PORT_OUTAGES_S)])
                port = VirtualPort()
                link.symlink_to(port.device)
                port.wait_for_reader(lambda: process.poll() is not None)
                rebooted = reconnects % 2 == 1
                reconnects += 1
                board.reconnected(rebooted=rebooted)
                write(port, after + (board.boot() if rebooted else b""))
            time.sleep(0.5)
            growth = psutil.Process(process.pid).memory_info().rss - rss
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            port.close()
        errors.seek(0)
        said = errors.read().decode()
    expected = Counter({kind.replace("_", " "): count for kind, count in board.expected.items()})
    samples = expected.pop("samples") - expected["duplicated"]
    expected["reconnects"] += reconnects
    found = Counter({kind: int(count) for kind, count in re.findall(r"([a-z][a-z ]*) (\d+)(?:,|\n|$)", warnings(said))})
    filled = found.pop("filled", 0)
    steps = int(re.search(r"events in (\d+) samples", said)[1])  # type: ignore[index]
    figures = f"{name}: {steps} steps, {reconnects} unplugs, {dict(found)}, memory grew by {growth} bytes"
    sys.stdout.write(figures + "\n")
    assert found == +expected, said
    assert steps == samples + filled, said
    assert growth < MAX_GROWTH_BYTES


def warnings(said: str) -> str:
    """The line of the summary that counts, without its first word."""
    return next((line.split(": ", 1)[1] for line in said.splitlines() if line.startswith("warnings: ")), "")


def write(port: VirtualPort, data: bytes) -> None:
    """All of it: a port whose buffer is full takes the rest later."""
    while data:
        data = data[port.write(data) :]


def send(board: SoakBoard, port: VirtualPort, seconds: float) -> None:
    begin_s = time.monotonic()
    for piece in range(1, round(seconds / PIECE_S) + 1):
        write(port, b"".join(board.next() for _ in range(round(PIECE_S * RATE_HZ))))
        time.sleep(max(0.0, begin_s + piece * PIECE_S - time.monotonic()))
