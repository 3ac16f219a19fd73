"""A hundred thousand faults over a pseudo-terminal: each is counted as what it is, and no good frame beside it is lost.

Batches of good frames and faults go through a real port, each fault with a good frame behind it. Among them the cable
comes out, between two frames' bytes or while the board is sending, and the board comes back under the same name or
another; it bursts faster than its consumer takes it, falls silent for an hour, and clocks step. `--soak` sends twenty
times as many.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from stream_models import ManualClock, larger_channel

from edgernn.errors import SourceError
from edgernn.stream.config import StreamSettings
from edgernn.stream.formats.base import MAX_FRAME_BYTES
from edgernn.stream.formats.cobs import encode_packet
from edgernn.stream.pipeline import Pipeline
from edgernn.stream.sources.base import Chunk
from edgernn.stream.sources.reader import Notice, Reader
from edgernn.stream.sources.serial_port import SerialSource
from edgernn.stream.sources.virtual_port import VirtualPort

FAULTS = 52_000  # of each format
BATCH = 40  # faults written together; they fit the buffer of a pseudo-terminal
MAX_BATCH_BYTES = 3500
RESTART_EVERY = 50  # batches from one unplugging to the next
MAX_GROWTH_BYTES = 16 << 20
QUEUE_BYTES = 4000  # for a slow consumer
BURST = 400  # frames, many times what the queue holds
PATIENCE_S = 60.0

Fault = Callable[[], bytes]


class Sent(NamedTuple):
    """What a storm did."""

    faults: int
    replugs: int


class CsvBoard:
    """Sends lines and line faults; `expected` is what a reader should count."""

    ends = b"\r\n"
    wraps_in_silence = False
    is_numbered = False

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
            lambda: self.line(b"\x1b[2J\x1b[0m", "text"),
            lambda: self.line(bytes(self.random.integers(128, 256, 30).tolist()), "malformed"),
            lambda: self.line(b"0.5,nan,2", "samples", "non_finite", "missing_nan"),
            lambda: self.line(b"-inf,1,ovf", "samples", "non_finite", "missing_inf", "missing_ovf"),
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

    def never_came(self, frames: int) -> None:
        """So many good frames did not reach the reader."""
        self.expected["samples"] -= frames


class CobsBoard:
    """Sends checked packets and faults; `expected` is what a reader should count."""

    ends = b"\0"
    wraps_in_silence = True  # of an hour, more than half the range of the clock
    is_numbered = True

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.expected: Counter[str] = Counter()
        self.number = 0
        self.stepped_us = 0  # of the board's clock
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
            self.step_clock,
        ]

    def packet(self, values: list[float], *kinds: str) -> bytes:
        self.expected.update(kinds)
        self.number += 1
        return encode_packet(self.number - 1, (self.number - 1) * 1000 + self.stepped_us, values)

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
        self.number = self.stepped_us = 0
        return data

    def step_clock(self) -> bytes:
        """The board sets its clock, forwards or back; without a new sequence that is no restart."""
        self.stepped_us += int(self.random.integers(0, 3_000_000))
        self.stepped_us -= int(self.random.integers(0, 1_000)) * (self.number > 10)
        return self.good()

    def huge(self) -> bytes:
        self.expected["too_long"] += 1
        return b"\x01" * (MAX_FRAME_BYTES + 100) + b"\0"

    def torn(self) -> tuple[bytes, bytes]:
        self.expected["partial"] += 1
        data = self.packet([0.1, 0.2, 0.3])
        return data[:6], data[6:]

    def never_came(self, frames: int) -> None:
        self.expected["samples"] -= frames


class JsonBoard(CobsBoard):
    """Sends the same as lines of JSON, whose damage no checksum shows."""

    ends = b"\n"
    wraps_in_silence = False

    def __init__(self, random: np.random.Generator) -> None:
        super().__init__(random)
        self.faults = [
            self.drop,
            self.duplicate,
            self.swap,
            lambda: self.packet([0.5, float("nan"), 2.0], "samples", "non_finite", "missing_null"),
            lambda: self.packet([0.5, 1e39, 2.0], "samples", "out_of_range"),
            lambda: self.packet([0.5, 1.0], "wrong_width", "lost"),
            lambda: self.line(b"ready", "text"),
            lambda: self.line(b'{"seq":1,', "text"),
            lambda: self.line(b'{"seq":1.5,"t_us":0,"x":1,"y":2,"z":3}', "malformed"),
            lambda: self.line(b'{"seq":1,"t_us":null,"x":1,"y":2,"z":3}', "malformed", "non_finite", "missing_null"),
            lambda: self.line(b"[" * 50 + b"]" * 50, "text"),
            lambda: self.line(bytes(self.random.integers(128, 256, 30).tolist()), "malformed"),
            self.restart,
            self.step_clock,
        ]

    def packet(self, values: list[float], *kinds: str) -> bytes:
        self.expected.update(kinds)
        self.number += 1
        clock = {"seq": self.number - 1, "t_us": (self.number - 1) * 1000 + self.stepped_us}
        return json.dumps({**clock, **dict(zip("xyz", values, strict=False))}).replace("NaN", "null").encode() + b"\n"

    def line(self, text: bytes, *kinds: str) -> bytes:
        self.expected.update(kinds)
        return text + b"\n"

    def huge(self) -> bytes:
        return self.line(b"1" * (MAX_FRAME_BYTES + 100), "too_long")


VirtualBoard = CsvBoard | CobsBoard | JsonBoard


def _all_came(reader: Reader, sent: int) -> bool:
    return reader.dropped_bytes + reader._waiting_bytes == sent


class SteppingClock(ManualClock):
    """Its wall time jumps when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.stepped_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.stepped_ns


class Line:
    """A board, a port that comes and goes, and a pipeline that gets what comes through."""

    def __init__(self, board: VirtualBoard, name: str, link: str) -> None:
        self.board = board
        self.pipeline = Pipeline(larger_channel(), StreamSettings(), format_name=name, whole_start=True)
        self.clock = SteppingClock()
        self.events: Counter[str] = Counter()
        self._last_step = -1
        self._link = link
        self._port = self._plug()
        self._source = SerialSource(link, clock=self.clock)
        self._source.open()

    def send(self, data: bytes) -> None:
        """Through the port, in pieces that its buffer takes; each is read before the next is written."""
        for start in range(0, len(data), MAX_BATCH_BYTES):
            piece = data[start : start + MAX_BATCH_BYTES]
            assert self._port.write(piece) == len(piece)
            received = 0
            while received < len(piece):
                received += len(self._take(self._source.read(timeout_s=PATIENCE_S)))
        self.clock.sleep(0.05)

    def silence(self) -> None:
        """Nothing comes for so long that the numbers of packets may have wrapped."""
        for _ in range(10):
            chunk = self._source.read(timeout_s=0.0)
            assert chunk is not None
            assert chunk.data == b""
            assert self.pipeline.feed(chunk) == []
        self.clock.sleep(3600.0)
        self.board.expected["unknown_losses"] += self.board.wraps_in_silence
        self.send(self.board.good())

    def step_wall_clock(self) -> None:
        """Somebody sets the time of day, by up to a day; no event may be the worse for it."""
        self.clock.stepped_ns = int(self.board.random.integers(-86_400, 86_400)) * 1_000_000_000

    def replug(self, under_another_name: bool) -> None:
        """The cable comes out within a frame, and in again; the link keeps its name, the device may get another."""
        before, after = self.board.torn()
        self.send(before)
        self._unplug(under_another_name)
        with pytest.raises(OSError, match="is gone"):
            self._source.read(timeout_s=PATIENCE_S)
        self._open_again()
        self.send(after + self.board.good())

    def unplug_while_sending(self, under_another_name: bool) -> None:
        """The cable comes out while the board is sending; some of its frames get through."""
        frames = [self.board.good() for _ in range(20)]
        ends = np.cumsum([len(frame) for frame in frames])
        assert self._port.write(b"".join(frames)) == ends[-1]
        received = 0
        if self.board.random.random() < 0.5:
            received += len(self._take(self._source.read(timeout_s=PATIENCE_S)))
        self._unplug(under_another_name)
        received += self._rest()
        self.board.never_came(np.count_nonzero(ends > received))
        _, after = self.board.torn()
        self._open_again()
        self.send(after + self.board.good())

    def burst(self) -> None:
        """The board sends more than a slow consumer's queue holds: the oldest bytes are dropped and counted."""
        frames = [self.board.good() for _ in range(BURST)]
        data = b"".join(frames)
        reader = Reader(self._source, queue_bytes=QUEUE_BYTES)
        reader.start()
        for start in range(0, len(data), MAX_BATCH_BYTES):
            piece = data[start : start + MAX_BATCH_BYTES]
            assert self._port.write(piece) == len(piece)
            sent = start + len(piece)
            with reader._changed:
                arrived = reader._changed.wait_for(partial(_all_came, reader, sent), PATIENCE_S)
            assert arrived
        dropped = reader.dropped_bytes
        assert len(data) - QUEUE_BYTES <= dropped < len(data)
        notice = reader.next(PATIENCE_S)
        assert isinstance(notice, Notice)
        assert f"{dropped} bytes" in notice.text
        self.pipeline.interrupted(reconnected=False)
        received = 0
        while received < len(data) - dropped:
            received += len(self._take(reader.next(PATIENCE_S)))
        reader.stop()
        rest = data[dropped:]
        begin = next(place for place, byte in enumerate(rest) if byte in self.board.ends)
        self.board.expected["partial"] += begin > 0
        whole = rest[begin + 1 :].count(self.board.ends[-1:]) - (rest[begin] == ord("\r"))  # its \n ends nothing
        self.board.never_came(BURST - whole)
        self.board.expected["lost"] += (BURST - whole) * self.board.is_numbered
        self._source.open()
        self.send(self.board.good())

    def close(self) -> None:
        self._source.close()
        self._port.unplug()

    def _rest(self) -> int:
        """Have the pipeline read what an unplugged port still gives; how many bytes that was."""
        received: list[int] = []
        with pytest.raises(SourceError, match="is gone"):
            self._read_on(received)
        return sum(received)

    def _read_on(self, received: list[int]) -> None:
        while True:
            received.append(len(self._take(self._source.read(timeout_s=PATIENCE_S))))

    def _take(self, chunk: Chunk | Notice | None) -> bytes:
        """Have the pipeline read a chunk; what was in it."""
        assert isinstance(chunk, Chunk)
        assert chunk.data, "nothing came in time"
        for event in self.pipeline.feed(chunk):
            assert event.step > self._last_step
            assert event.monotonic_ns == chunk.monotonic_ns
            self._last_step = event.step
            self.events[event.label] += 1
        return chunk.data

    def _plug(self) -> VirtualPort:
        port = VirtualPort()
        if os.path.lexists(self._link):
            os.unlink(self._link)
        os.symlink(port.device, self._link)
        return port

    def _unplug(self, under_another_name: bool) -> None:
        old = self._port
        if under_another_name:  # the new device is there before the old one is gone
            self._port = self._plug()
            assert self._port.device != old.device
        old.unplug()
        if not under_another_name:
            self._port = self._plug()

    def _open_again(self) -> None:
        self._source.close()
        self._source.open()
        self.pipeline.interrupted(reconnected=True)
        self.board.expected["unknown_losses"] += self.board.is_numbered


def storm(line: Line, faults: int) -> Sent:
    """Send so many faults, all kinds in turn in a random order, with unplugged cables and the like among them."""
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
            line.replug(under_another_name=replugs % 2 == 0)
            line.unplug_while_sending(under_another_name=replugs % 4 < 2)
            line.send(board.huge() + board.good())
            line.burst()
            line.step_wall_clock()
            line.silence()
            replugs += 1
            sent += 6
        if rss == 0 and sent > faults // 4:
            rss = process.memory_info().rss
    assert process.memory_info().rss - rss < MAX_GROWTH_BYTES
    return Sent(sent, replugs)


def check(line: Line, least_faults: int) -> None:
    sent = storm(line, least_faults)
    assert sent.faults >= least_faults
    assert sent.replugs >= 20
    own = {"filled", "diverged", "measuring"}  # of the pipeline, not of the line
    found = {kind: count for kind, count in line.pipeline.counts().items() if count and kind not in own}
    assert found == {kind: count for kind, count in line.board.expected.items() if count}
    assert line.pipeline.diverged == 0
    assert min(line.events["first"], line.events["second"]) > least_faults / 100


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    return FAULTS * (20 if request.config.getoption("--soak") else 1)


@pytest.mark.parametrize(("name", "make_board"), [("csv", CsvBoard), ("cobs", CobsBoard), ("jsonl", JsonBoard)])
def test_every_fault_is_counted_as_what_it_is(
    name: str,
    make_board: type[VirtualBoard],
    faults: int,
    tmp_path: os.PathLike[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgernn.stream.sources.reader.READ_TIMEOUT_S", 0.01)  # a reader stops sooner
    board = make_board(np.random.default_rng(12))
    line = Line(board, name, os.path.join(tmp_path, "board"))
    try:
        check(line, faults)
    finally:
        line.close()
