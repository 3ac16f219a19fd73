"""A hundred thousand faults over a pseudo-terminal: each is counted as what it is, and no good frame beside it is lost.

Batches of good frames and faults go through a real port, each fault with a good frame behind it. `--soak` sends twenty
times as many.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from stream_models import ManualClock, larger_channel

from edgernn.config import StreamSettings
from edgernn.formats.base import MAX_FRAME_BYTES
from edgernn.formats.cobs import encode_packet
from edgernn.pipeline import Pipeline
from edgernn.sources.serial_port import SerialSource
from edgernn.sources.virtual_port import VirtualPort

FAULTS = 52_000  # of each format
BATCH = 40  # faults written together; they fit the buffer of a pseudo-terminal
LARGEST_BATCH_BYTES = 3500
RESTART_EVERY = 50  # batches from one unplugging to the next
MOST_GROWTH_BYTES = 16 << 20

Fault = Callable[[], bytes]


class Sent(NamedTuple):
    """What a storm did."""

    faults: int
    replugs: int


class CsvBoard:
    """Sends lines and line faults; `expected` is what a reader should count."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.expected: Counter[str] = Counter()
        self.faults: list[Fault] = [
            lambda: self.line(b"accelerometer ready", "text"),
            lambda: self.line(b"-,-,-", "text"),
            lambda: self.line(b"ax,ay,az [m/s2]", "text"),
            lambda: self.line(b"0.5,1.5", "wrong_width"),
            lambda: self.line(b"0.5,1.5,20.5,1.5,2", "wrong_width"),
            lambda: self.line(b"0.5,1.\xb55,2", "malformed"),
            lambda: self.line(b"0.5,1.5,2x", "malformed"),
            lambda: self.line(b"\x1b[2J\x1b[0m", "malformed"),
            lambda: self.line(bytes(self.random.integers(128, 256, 30).tolist()), "malformed"),
            lambda: self.line(b"0.5,nan,2", "samples", "non_finite"),
            lambda: self.line(b"-inf,1,ovf", "samples", "non_finite"),
            lambda: self.line(b"1e39,1,2", "samples", "out_of_range"),
            lambda: self.line(b"\r\n"),
        ]

    def good(self) -> bytes:
        self.expected["samples"] += 1
        x, y, z = self.random.normal(size=3)
        return f"{x:.4f},{y:.4f},{z:.4f}\r\n".encode()

    def line(self, text: bytes, *kinds: str) -> bytes:
        self.expected.update(kinds)
        return text + b"\r\n"

    def huge(self) -> bytes:
        return self.line(b"1" * (MAX_FRAME_BYTES + 100), "too_long")

    def torn(self) -> tuple[bytes, bytes]:
        """A frame that the cable cuts in two: what comes before and after."""
        self.expected["partial"] += 1
        return b"0.1,0.2", b",0.3\r\n"


class CobsBoard:
    """Sends checked packets and faults; `expected` is what a reader should count."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.expected: Counter[str] = Counter()
        self.number = 0
        self.faults: list[Fault] = [
            self.drop,
            self.flip_bit,
            self.duplicate,
            self.swap,
            lambda: self.packet([0.5, float("nan"), 2.0], "samples", "non_finite"),
            lambda: self.packet([0.5, float("-inf"), 2.0], "samples", "non_finite"),
            lambda: self.packet([0.5, 1.0], "wrong_width", "lost"),
            self.noise,
            self.restart,
        ]

    def packet(self, values: list[float], *kinds: str) -> bytes:
        self.expected.update(kinds)
        self.number += 1
        return encode_packet(self.number - 1, (self.number - 1) * 1000, values)

    def good(self) -> bytes:
        return self.packet(self.random.normal(size=3).tolist(), "samples")

    def drop(self) -> bytes:
        self.packet([0.0, 0.0, 0.0], "lost")
        return b""

    def flip_bit(self) -> bytes:
        data = bytearray(self.packet([0.1, 0.2, 0.3], "malformed", "lost"))
        place, bit = int(self.random.integers(len(data) - 1)), 1 << int(self.random.integers(8))
        data[place] ^= bit if data[place] != bit else 255  # never to a zero byte, which would make two frames
        return bytes(data)

    def duplicate(self) -> bytes:
        self.expected.update(("samples", "duplicated"))
        return 2 * self.good()

    def swap(self) -> bytes:
        first, second = self.good(), self.good()
        self.expected["late"] += 1
        return second + first

    def noise(self) -> bytes:
        self.expected["malformed"] += 1
        return bytes(self.random.integers(1, 256, int(self.random.integers(1, 60))).tolist()) + b"\0"

    def restart(self) -> bytes:
        data = self.good() + self.good()  # so that 0 is not the next number
        self.expected["restarts"] += 1
        self.number = 0
        return data

    def huge(self) -> bytes:
        self.expected["too_long"] += 1
        return b"\x01" * (MAX_FRAME_BYTES + 100) + b"\0"

    def torn(self) -> tuple[bytes, bytes]:
        self.expected["partial"] += 1
        data = self.packet([0.1, 0.2, 0.3], "lost")
        return data[:6], data[6:]


Board = CsvBoard | CobsBoard


class Line:
    """A board, a port that comes and goes, and a pipeline that gets what comes through."""

    def __init__(self, board: Board, name: str, link: str) -> None:
        self.board = board
        self.pipeline = Pipeline(larger_channel(), StreamSettings(), format_name=name, whole_start=True)
        self.clock = ManualClock()
        self._link = link
        self._plug()

    def send(self, data: bytes) -> None:
        """Through the port, in pieces that its buffer takes; each is read before the next is written."""
        for start in range(0, len(data), LARGEST_BATCH_BYTES):
            piece = data[start : start + LARGEST_BATCH_BYTES]
            assert self._port.write(piece) == len(piece)
            received = 0
            while received < len(piece):
                chunk = self._source.read(timeout_s=30.0)
                assert chunk is not None
                assert chunk.data, "nothing came in 30 s"
                received += len(chunk.data)
                self.pipeline.feed(chunk)
        self.clock.sleep(0.05)

    def silence(self) -> None:
        """Nothing comes for so long that the numbers of packets may have wrapped."""
        self.clock.sleep(3600.0)
        self.board.expected["unknown_losses"] += isinstance(self.board, CobsBoard)
        self.send(self.board.good())

    def replug(self) -> None:
        """The cable comes out within a frame, and in again; the device has another number, its link the same name."""
        before, after = self.board.torn()
        self.send(before)
        self._port.unplug()
        with pytest.raises(OSError, match="is gone"):
            self._source.read(timeout_s=30.0)
        self._source.close()
        self._plug()
        self.pipeline.interrupted()
        self.send(after + self.board.good())

    def close(self) -> None:
        self._source.close()
        self._port.unplug()

    def _plug(self) -> None:
        self._port = VirtualPort()
        if os.path.lexists(self._link):
            os.unlink(self._link)
        os.symlink(self._port.device, self._link)
        self._source = SerialSource(self._link, clock=self.clock)
        self._source.open()


def storm(line: Line, faults: int) -> Sent:
    """Send so many faults, all kinds in turn in a random order, then huge frames and unplugged cables among them."""
    board = line.board
    line.send(board.good() + board.good())  # the format is known
    process, rss = psutil.Process(), 0
    sent = replugs = batches = 0
    while sent < faults:
        order = board.random.permutation(len(board.faults)).tolist()
        data = b""
        for place in range(BATCH):
            data += board.faults[order[place % len(order)]]() + board.good()
        line.send(data)
        batches += 1
        sent += BATCH
        if batches % RESTART_EVERY == 0:
            line.replug()
            line.send(board.huge() + board.good())
            line.silence()
            replugs += 1
            sent += 3
        if rss == 0 and sent > faults // 4:
            rss = process.memory_info().rss
    assert process.memory_info().rss - rss < MOST_GROWTH_BYTES
    return Sent(sent, replugs)


def check(line: Line, least_faults: int) -> None:
    sent = storm(line, least_faults)
    assert sent.faults >= least_faults
    assert sent.replugs >= 20
    own = {"filled", "diverged", "measuring"}  # of the pipeline, not of the line
    found = {kind: count for kind, count in line.pipeline.counts().items() if count and kind not in own}
    assert found == {kind: count for kind, count in line.board.expected.items() if count}
    assert line.pipeline.diverged == 0


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    return FAULTS * (20 if request.config.getoption("--soak") else 1)


@pytest.mark.parametrize(("name", "make_board"), [("csv", CsvBoard), ("cobs", CobsBoard)])
def test_every_fault_is_counted_as_what_it_is(
    name: str, make_board: type[CsvBoard] | type[CobsBoard], faults: int, tmp_path: os.PathLike[str]
) -> None:
    board = make_board(np.random.default_rng(12))
    line = Line(board, name, os.path.join(tmp_path, "board"))
    try:
        check(line, faults)
    finally:
        line.close()
