"""What all formats have in common: bytes go in, in any split; samples come out; everything else is counted by kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import FormatError
from edgernn.stream.formats.names import ClockColumns

MAX_CHANNELS = 256
MAX_FRAME_BYTES = 8192  # of one line or packet; longer ones are garbage
SLICE_BYTES = 16384  # bytes that one compiled call takes at most
MAX_TEXTS = 64  # lines of text kept for the next sample; the last ones count

# what is counted; the compiled parsers use the places in this tuple
KINDS = (
    "samples",  # complete samples, also those with a number that is not finite
    "partial",  # the rest of a frame whose beginning was not seen
    "text",  # lines of text: headings, messages, separators
    "malformed",  # half lines, bit errors, wrong checksums
    "wrong_width",  # frames in order, but with another count of numbers
    "too_long",  # more than MAX_FRAME_BYTES without an end
    "non_finite",  # samples with NaN or infinity
    "out_of_range",  # samples with a number too large for float32
)
SAMPLES, PARTIAL, TEXT, MALFORMED, WRONG_WIDTH, TOO_LONG, NON_FINITE, OUT_OF_RANGE = range(len(KINDS))

# why bytes are passed over up to the next end of a frame
READING, SKIP_UNSEEN_START, SKIP_REST = range(3)


class Samples(NamedTuple):
    """Samples in the order they came. The arrays belong to the format and are overwritten by the next ones.

    Numbers that are not finite, or too large for float32, stand in `values` as NaN. `texts` are the lines of text
    between the sample before and the first of these, such as a heading or what a board prints when it boots; text
    stands nowhere else among them.
    """

    values: NDArray[np.float64]  # (n, width)
    sequence: NDArray[np.int64] | None = None  # (n,) the sender's number
    device_time_us: NDArray[np.int64] | None = None  # (n,) the sender's clock
    texts: tuple[bytes, ...] = ()

    def part(self, begin: int, end: int) -> Samples:
        """The samples from `begin` to before `end`, without texts."""
        rows = slice(begin, end)
        sequence = None if self.sequence is None else self.sequence[rows]
        time_us = None if self.device_time_us is None else self.device_time_us[rows]
        return Samples(self.values[rows], sequence, time_us)


class Format(ABC):
    """An incremental parser without input or output of its own.

    Parameters
    ----------
    width : int
        Numbers in one sample, from 1 to 256. Frames with another count are counted, not used.
    whole_start : bool
        The first byte begins a frame, as in a file. Otherwise the bytes before the first end of a frame are dropped:
        they may be the rest of a line whose first digits were never seen.

    Attributes
    ----------
    is_compiled : bool
        Its bytes are parsed by a kernel.
    sequence_modulus, time_modulus_us : int or None
        Where the sender's number and clock wrap; None if the format does not say.
    clock : ClockColumns or None
        Numbers that are the sender's clock and sequence. A sample in which they cannot be that is malformed.

    Raises
    ------
    FormatError
        `width` is out of range.
    """

    name: ClassVar[str]
    is_compiled: ClassVar[bool] = True
    sequence_modulus: ClassVar[int | None] = None
    time_modulus_us: ClassVar[int | None] = None

    def __init__(self, width: int, *, whole_start: bool = False) -> None:
        if not 1 <= width <= MAX_CHANNELS:
            raise FormatError(f"{width} numbers in a sample: the format {self.name} takes from 1 to {MAX_CHANNELS}")
        self.width = width
        self.clock: ClockColumns | None = None
        self.counts = np.zeros(len(KINDS), np.int64)  # (KINDS,)
        self._buffer = np.zeros(MAX_FRAME_BYTES + SLICE_BYTES + 1, np.uint8)  # one byte more for an end mark
        self._texts: deque[bytes] = deque(maxlen=MAX_TEXTS)  # since the last sample
        self._pending = 0  # bytes of an unfinished frame at the front of the buffer
        self._buffer_address = self._buffer.ctypes.data
        # (2,) why bytes up to the next end of a frame are passed over; bytes that the last parse used up
        self._state = np.array([READING if whole_start else SKIP_UNSEEN_START, 0], np.int64)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Samples]:
        """Parse more bytes, `SLICE_BYTES` at a time, and give the samples that are complete.

        The iterator must be used up before the next call. Which samples come, and in which order, does not depend on
        how the bytes are split over calls.
        """
        incoming = np.frombuffer(data, np.uint8)  # (bytes,)
        for start in range(0, incoming.size, SLICE_BYTES):
            part = incoming[start : start + SLICE_BYTES]
            length = self._pending + part.size
            self._buffer[self._pending : length] = part
            texts_before = int(self.counts[TEXT])
            samples = self._parse(length)
            consumed = int(self._state[1])
            has_text = int(self.counts[TEXT]) != texts_before
            read = self._buffer[:consumed].tobytes() if has_text else b""
            self._pending = length - consumed
            if self._pending:
                self._buffer[: self._pending] = self._buffer[consumed:length].copy()
            if self._pending > MAX_FRAME_BYTES:
                self._pass_over_rest()
            for block in self._cut_at_texts(samples, read) if has_text else (samples,):
                sound = block if self.clock is None else self._with_clock(block.values, self.clock)
                if len(sound.values):
                    yield sound._replace(texts=tuple(self._texts)) if self._texts else sound
                    self._texts.clear()

    def resynchronise(self) -> None:
        """Forget the unfinished frame: what comes next begins somewhere inside a frame."""
        self._pending = 0
        self._state[0] = SKIP_UNSEEN_START

    def count(self, kind: str) -> int:
        """How often `kind` (one of `KINDS`) was seen."""
        return int(self.counts[KINDS.index(kind)])

    def _pass_over_rest(self) -> None:
        """An unfinished frame has become too long: drop it and all bytes up to its end."""
        if self._state[0] == READING:
            self.counts[TOO_LONG] += 1
        elif self._state[0] == SKIP_UNSEEN_START:
            self.counts[PARTIAL] += 1
        self._pending = 0
        self._state[0] = SKIP_REST

    def _with_clock(self, values: NDArray[np.float64], clock: ClockColumns) -> Samples:
        sound = clock.sound(values)  # (n,)
        if not sound.all():
            unsound = int(np.count_nonzero(~sound))
            self.counts[SAMPLES] -= unsound
            self.counts[MALFORMED] += unsound
            values = values[sound]
        return Samples(values, clock.sequence_of(values), clock.time_us_of(values))

    def _cut_at_texts(self, samples: Samples, read: bytes) -> Iterator[Samples]:
        """Samples in blocks without text between them; puts the lines of text aside before the block they precede.

        `read` are the bytes that the samples were made of. If their lines do not say which of them became the samples,
        as where the first one was not whole, all text is taken to stand before the first sample.
        """
        lines = [line for line in read.replace(b"\r", b"\n").split(b"\n") if line.strip(b" \t")]
        are_samples = [self.is_sample(line) for line in lines]
        rows = len(samples.values)
        row = begin = 0
        for line, is_sample in zip(lines, are_samples, strict=True):
            if is_sample:
                row += 1
            elif line.replace(b"\t", b" ").decode("latin-1").isprintable():
                if row > begin and sum(are_samples) == rows:
                    yield samples.part(begin, row)
                    begin = row
                self._texts.append(line[:MAX_FRAME_BYTES])
        yield samples.part(begin, rows)

    def is_sample(self, line: bytes) -> bool:
        """Whether a whole line, without its end, is a sample of this format and width; no line of packets is."""
        return False

    @abstractmethod
    def _parse(self, length: int) -> Samples:
        """Parse the first `length` bytes of the buffer; write to `_state` how many are used up."""


def addresses(*arrays: NDArray[np.float64] | NDArray[np.int64]) -> list[int]:
    """Where the data of arrays are, for native functions; the caller keeps the arrays."""
    return [array.ctypes.data for array in arrays]
