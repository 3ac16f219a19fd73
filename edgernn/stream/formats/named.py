"""What the formats whose lines name their numbers have in common: they are read line by line, in Python."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from edgernn.stream.formats.base import (
    MALFORMED,
    MAX_FRAME_BYTES,
    NON_FINITE,
    OUT_OF_RANGE,
    PARTIAL,
    READING,
    SAMPLES,
    SKIP_REST,
    SKIP_UNSEEN_START,
    TEXT,
    TOO_LONG,
    WRONG_WIDTH,
    Format,
    Samples,
)

MAX_FLOAT32 = 3.4028235677973362e38  # everything above rounds to infinity

Fields = dict[str, float]  # of one line, in its order; not finite where the line says so


class NamedLines(Format):
    """Parser of lines that name their numbers. A sample has all of the names that the format was made with.

    Parameters
    ----------
    channels : tuple of str
        The names, as many as `width`, in the order in which samples have the numbers.
    """

    is_compiled: ClassVar[bool] = False

    def __init__(self, width: int, *, channels: tuple[str, ...], whole_start: bool = False) -> None:
        super().__init__(width, whole_start=whole_start)
        self.channels = channels

    @staticmethod
    @abstractmethod
    def fields(line: bytes) -> Fields | None:
        """The numbers of a line by name; None if it is no sample."""

    def is_sample(self, line: bytes) -> bool:
        fields = self.fields(line)
        return len(line) <= MAX_FRAME_BYTES and fields is not None and fields.keys() == set(self.channels)

    def _parse(self, length: int) -> Samples:
        data = self._buffer[:length].tobytes()
        rows = [row for line in self._lines(data) if (row := self._row(line)) is not None]
        return Samples(np.array(rows, np.float64).reshape(len(rows), self.width))

    def _lines(self, data: bytes) -> Iterator[bytes]:
        """The complete lines of which the beginning was seen; says in `_state` how many bytes are used up."""
        self._state[1] = 0
        pieces = data.replace(b"\r", b"\n").split(b"\n")
        for piece in pieces[:-1]:
            self._state[1] += len(piece) + 1
            if self._state[0] == READING:
                yield piece
                continue
            self.counts[PARTIAL] += self._state[0] == SKIP_UNSEEN_START and bool(piece)
            self._state[0] = READING
        if self._state[0] != READING and pieces[-1]:
            self.counts[PARTIAL] += self._state[0] == SKIP_UNSEEN_START
            self._state[:] = SKIP_REST, len(data)

    def _row(self, line: bytes) -> list[float] | None:
        """The numbers of a line in the order of the channels; what is no sample is counted."""
        fields = self.fields(line)
        if not line.strip(b" \t"):
            return None
        if len(line) > MAX_FRAME_BYTES:
            kind = TOO_LONG
        elif fields is None:
            kind = TEXT if line.isascii() and line.replace(b"\t", b" ").decode().isprintable() else MALFORMED
        else:
            kind = SAMPLES if fields.keys() == set(self.channels) else WRONG_WIDTH
        self.counts[kind] += 1
        if kind != SAMPLES or fields is None:
            return None
        values = [fields[name] for name in self.channels]
        too_large = [MAX_FLOAT32 < abs(value) < math.inf for value in values]
        self.counts[OUT_OF_RANGE] += any(too_large)
        self.counts[NON_FINITE] += not all(map(math.isfinite, values))
        return [
            math.nan if large or math.isinf(value) else value for value, large in zip(values, too_large, strict=True)
        ]
