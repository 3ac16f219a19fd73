"""A board that does anything in any order: the events are those of a model of what it meant."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from scripted_line import Line
from soak_board import BANNER
from stream_models import largest_channel

from edgernn.stream.formats.cobs import encode_packet

PERIOD_US = 20_000
LABELS = ("rest", "wave", "circle")
GAP_STEPS = 10
RECENT = 70  # samples after which a number that comes again is no doubled one
HEADING = b"seq,t_us,x,y,z\n"


class BoardMachine(RuleBasedStateMachine):
    """Writes the script of a line, and beside it what the board means; the stream plays it at the end."""

    @initialize(
        name=st.sampled_from(("csv", "plotter", "jsonl", "cobs")),
        width=st.sampled_from((None, 1 << 8, 1 << 16)),
        first=st.integers(0, 400),
    )
    def connect(self, name: str, width: int | None, first: int) -> None:
        self.name, self.width = name, 1 << 16 if name == "cobs" else width
        self.line = Line(largest_channel(), allow_rate=True)
        self.at_s = 0.0
        self.number = self.first = first  # of the next sample
        self.lost: set[int] = set()  # since the board began
        self.expected: Counter[str] = Counter()
        self.events: list[str] = []
        self.label: str | None = None  # that the model says
        self.came = 0  # samples since the board began
        self.missing = 0  # samples since the last one that came
        self.begins_anew = self.heard = False
        self.send(b"\0" if name == "cobs" else b"\n")
        self.text(HEADING if name == "csv" else BANNER)
        self.sample(channel=0, count=4)

    @rule(channel=st.integers(0, 2), count=st.integers(1, 120))
    def sample(self, channel: int, count: int) -> None:
        self.send(b"".join(self.frame(channel) for _ in range(count)))
        if self.begins_anew or self.missing > GAP_STEPS:
            self.label = None
        self.begins_anew, self.missing = False, 0
        if LABELS[channel] != self.label:
            self.label = LABELS[channel]
            self.events.append(self.label)
        self.expected["samples"] += count
        self.came += count

    @rule(count=st.integers(1, 12))
    def damage(self, count: int) -> None:
        for _ in range(count):
            self.lose()
            data = self.frame(1)
            body = len(data) - 1
            self.send(b"\xfe" * body + data[body:])
        self.expected["malformed"] += count

    @precondition(lambda self: self.name == "csv")
    @rule()
    def heading(self) -> None:
        self.text(HEADING)
        self.restart(self.number)

    @rule(outage_s=st.sampled_from((0.1, 2.0, 60.0)), reboots=st.booleans())
    def unplug(self, outage_s: float, reboots: bool) -> None:
        data = self.frame(2)
        cut = len(data) // 2
        self.send(data[:cut])
        self.line.notice(self.at_s, "lost")
        self.at_s += outage_s
        self.line.notice(self.at_s, "reopened")
        self.send(data[cut:])
        self.expected["partial"] += 1
        self.number += round(outage_s * 1e6) // PERIOD_US
        self.forget_lost()
        if reboots:
            self.text(HEADING if self.name == "csv" else BANNER)
            self.restart(self.first)
        else:
            self.expected["unknown_losses"] += not self.begins_anew  # else it has said that it restarts
        self.begins_anew = True
        self.sample(channel=0, count=1)

    @rule(missed=st.integers(0, 300), speaks=st.booleans())
    def reboot(self, missed: int, speaks: bool) -> None:
        """Without a word its time goes back; so it does only if it ran for longer than it missed."""
        speaks &= self.name != "cobs"
        if not speaks and self.came < 2:
            return  # the same sample twice is a doubled one
        first = self.first + missed
        if speaks:
            self.text(HEADING if self.name == "csv" else BANNER)
        elif first >= self.number - RECENT or first in self.lost:
            first = self.first
        self.restart(first)
        self.sample(channel=1, count=1)

    @rule(samples=st.integers(1, 2000))
    def silence(self, samples: int) -> None:
        """The board goes on, but nothing of it comes; a counter that comes round exactly would seem to have paused."""
        while (samples + self.missing) % 256 in {0, 255}:
            samples += 1
        self.at_s += samples * PERIOD_US / 1e6
        for _ in range(samples):
            self.lose()
            self.number += 1
        self.sample(channel=2, count=1)

    @rule(seconds=st.integers(-86_400, 86_400))
    def step_wall_clock(self, seconds: int) -> None:
        self.line.step_wall_clock(seconds)

    # ---- what the rules are made of

    def send(self, data: bytes) -> None:
        self.line.send(self.at_s, data)

    def text(self, line: bytes) -> None:
        if self.name != "cobs":
            self.send(line)
            self.expected["text"] += 1

    def lose(self) -> None:
        self.missing += 1
        self.lost.add(self.number)
        self.expected["lost"] += not self.begins_anew

    def restart(self, first: int) -> None:
        self.forget_lost()
        self.expected["restarts"] += not self.begins_anew
        self.number = self.first = first
        self.lost.clear()
        self.came, self.begins_anew = 0, True

    def forget_lost(self) -> None:
        """What was lost since the last sample is not known, as none follows."""
        if not self.begins_anew:
            self.expected["lost"] -= self.missing
        self.missing = 0

    def frame(self, channel: int) -> bytes:
        number, self.number = self.number, self.number + 1
        self.at_s += PERIOD_US / 1e6
        time_us = (number - self.first) * PERIOD_US
        values = np.eye(3)[channel].tolist()
        sent = number if self.width is None else number % self.width
        if self.name == "cobs":
            return encode_packet(sent, time_us, values)
        if self.name == "csv":
            return ",".join(map(str, (sent, time_us, *values))).encode() + b"\n"
        fields = {"seq": sent, "t_us": time_us, **dict(zip("xyz", values, strict=True))}
        if self.name == "jsonl":
            return str(fields).replace("'", '"').encode() + b"\n"
        return " ".join(f"{name}:{value}" for name, value in fields.items()).encode() + b"\n"

    def teardown(self) -> None:
        if not hasattr(self, "line"):
            return
        self.sample(channel=0, count=1)
        with self.line.stream as stream:
            events = [event.label for event in stream]
        found = stream.status().counts
        own = {"filled", "measuring", "waiting", "diverged"}
        assert events == self.events
        assert {kind: count for kind, count in found.items() if count and kind not in own} == dict(+self.expected)


TestBoards = BoardMachine.TestCase
TestBoards.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
