"""A board at 1 kHz whose faults are known: what a stream should count after any time, in any format."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from edgernn.stream.formats.cobs import encode_packet

SOAK_FORMATS = ("csv", "numbered csv", "plotter", "jsonl", "cobs")
FAULT_EVERY = 97  # frames
BANNER = b"soak board 1.2\r\n"
NAMES = ("x", "y", "z")


class SoakBoard:
    """Sends frames one after the other, every so often a fault.

    Attributes
    ----------
    expected : Counter
        What a stream should count.
    """

    def __init__(self, name: str, rate_hz: int, seed: int = 3) -> None:
        self.name = name
        self.is_numbered = name != "csv"
        self.expected: Counter[str] = Counter()
        self._random = np.random.default_rng(seed)
        self._period_us = 1_000_000 // rate_hz
        self._number = self._frames = 0
        self._faults = [self._lose, self._damage]
        if self.is_numbered:
            self._faults.append(self._double)
        if name != "cobs":
            self._faults.append(self._log)

    @property
    def end(self) -> bytes:
        """What ends a frame."""
        return b"\0" if self.name == "cobs" else b"\r\n"

    def boot(self) -> bytes:
        """What it says when it begins; its first samples may have been missed."""
        self._number = int(self._random.integers(0, 30)) if self._frames else 0
        if self.name == "cobs":
            return b""
        self.expected["text"] += 1
        if self.name != "numbered csv":
            return BANNER
        return b"seq,t_us,x,y,z\r\n"

    def next(self) -> bytes:
        """The next frame, or a fault."""
        self._frames += 1
        if self._frames % FAULT_EVERY:
            return self.good()
        return self._faults[self._frames // FAULT_EVERY % len(self._faults)]()

    def good(self) -> bytes:
        self.expected["samples"] += 1
        return self._frame()

    def torn(self) -> tuple[bytes, bytes]:
        """A frame that the cable cuts in two."""
        self.expected["partial"] += 1
        data = self._frame()
        cut = int(self._random.integers(1, len(data) - 2))
        return data[:cut], data[cut:]

    def reconnected(self, *, rebooted: bool) -> None:
        """The cable is in again."""
        if rebooted:
            self.expected["restarts"] += 1
        elif self.is_numbered:
            self.expected["unknown_losses"] += 1

    def skip(self, seconds: float) -> None:
        """It goes on while nobody hears it."""
        self._number += round(seconds * 1e6 / self._period_us)

    def _frame(self) -> bytes:
        number, self._number = self._number, self._number + 1
        turn = number // 500 % 3
        values = [round(float(value), 3) for value in np.eye(3)[turn] + self._random.normal(size=3) / 20]
        time_us = number * self._period_us
        if self.name == "cobs":
            return encode_packet(number, time_us, values)
        if self.name == "csv":
            return ",".join(map(str, values)).encode() + b"\r\n"
        if self.name == "numbered csv":
            return ",".join(map(str, (number, time_us, *values))).encode() + b"\r\n"
        fields = {"seq": number, "t_us": time_us, **dict(zip(NAMES, values, strict=True))}
        if self.name == "jsonl":
            return json.dumps(fields).encode() + b"\r\n"
        return " ".join(f"{name}:{value}" for name, value in fields.items()).encode() + b"\r\n"

    def _lose(self) -> bytes:
        self._frame()
        self.expected["lost"] += self.is_numbered
        return b""

    def _damage(self) -> bytes:
        data = self._frame()
        self.expected["lost"] += self.is_numbered
        self.expected["malformed"] += 1
        body = len(data) - len(self.end)
        return b"\xfe" * body + data[body:]

    def _double(self) -> bytes:
        self.expected["samples"] += 1
        self.expected["duplicated"] += 1
        return 2 * self.good()

    def _log(self) -> bytes:
        self.expected["text"] += 1
        return b"battery good\r\n" + self.good()
