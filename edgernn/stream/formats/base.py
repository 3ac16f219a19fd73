"""What all formats have in common: bytes go in, in any split; samples come out; everything else is counted by kind."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator
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
    stands nowhere else among them. `labels` say what was done at each of them, where the lines have a column for it.
    """

    values: NDArray[np.float64]  # (n, width)
    sequence: NDArray[np.int64] | None = None  # (n,) the sender's number
    device_time_us: NDArray[np.int64] | None = None  # (n,) the sender's clock
    texts: tuple[bytes, ...] = ()
    labels: tuple[str | None, ...] | None = None


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
    frame_end : bytes
        The byte that ends a packet.
    sequence_modulus, time_modulus_us : int or None
        Where the sender's number and clock wrap; None if the format does not say.
    clock : ClockColumns or None
        Numbers that are the sender's clock and sequence. A sample in which they cannot be that is malformed.
    counts : ndarray int64 (KINDS,)
    missing : Counter
        Missing numbers by the word that stood for them.
    on_texts : callable or None
        Called with lines of text before the samples after them are given; it may change `clock`.

    Raises
    ------
    FormatError
        `width` is out of range.
    """

    name: ClassVar[str]
    is_compiled: ClassVar[bool] = True
    frame_end: ClassVar[bytes] = b"\0"
    sequence_modulus: ClassVar[int | None] = None
    time_modulus_us: ClassVar[int | None] = None

    def __init__(self, width: int, *, whole_start: bool = False) -> None:
        if not 1 <= width <= MAX_CHANNELS:
            raise FormatError(f"{width} numbers in a sample: the format {self.name} takes from 1 to {MAX_CHANNELS}")
        self.width = width
        self.clock: ClockColumns | None = None
        self.counts = np.zeros(len(KINDS), np.int64)  # (KINDS,)
        self.missing: Counter[str] = Counter()
        self.on_texts: Callable[[tuple[bytes, ...]], None] | None = None
        self._buffer = np.zeros(MAX_FRAME_BYTES + SLICE_BYTES + 1, np.uint8)  # one byte more for an end mark
        self._texts: deque[bytes] = deque(maxlen=MAX_TEXTS)  # since the last sample
        self._pending = 0  # bytes of an unfinished frame at the front of the buffer
        self._buffer_address = self._buffer.ctypes.data
        # (3,) why bytes up to the next end of a frame are passed over; bytes that the last parse used up; the end of
        # the line there that a kernel leaves to Python, or 0
        self._state = np.array([READING if whole_start else SKIP_UNSEEN_START, 0, 0], np.int64)
        self._state_view = self._state.data  # a memoryview: faster than the array

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
            for parsed in self._parse(length):
                block = self._completed(parsed) if self._texts or self.clock is not None else parsed
                if len(block.values):
                    yield block
            consumed = self._state_view[1]
            self._pending = length - consumed
            if self._pending:
                self._buffer[: self._pending] = self._buffer[consumed:length].copy()
            if self._pending > MAX_FRAME_BYTES:
                self._pass_over_rest()

    def _completed(self, block: Samples) -> Samples:
        """Samples with the lines of text before them, and with the sender's clock and sequence."""
        if not len(block.values):
            return block
        texts = tuple(self._texts)
        if texts and self.on_texts is not None:
            self.on_texts(texts)
        sound = block if self.clock is None else self._with_clock(block, self.clock)
        if len(sound.values):
            self._texts.clear()
        return sound._replace(texts=texts) if texts else sound

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

    def _with_clock(self, block: Samples, clock: ClockColumns) -> Samples:
        values, labels = block.values, block.labels
        sound = clock.sound(values)  # (n,)
        if not sound.all():
            unsound = int(np.count_nonzero(~sound))
            self.counts[SAMPLES] -= unsound
            self.counts[MALFORMED] += unsound
            values = values[sound]
            labels = None if labels is None else tuple(itertools.compress(labels, sound))
        return Samples(values, clock.sequence_of(values), clock.time_us_of(values), labels=labels)

    @staticmethod
    def frame_width(frame: bytes) -> int | None:
        """How many numbers an intact packet, without the byte `frame_end`, holds; None if it is not intact.

        By this the format is recognised and its width found. Formats of lines of text have no packets.
        """
        return None

    @abstractmethod
    def _parse(self, length: int) -> Iterator[Samples]:
        """Parse the first `length` bytes of the buffer; write to `_state` how many are used up.

        Lines of text go to `_texts` before the samples after them are given.
        """


def addresses(*arrays: NDArray[np.float64] | NDArray[np.int64]) -> list[int]:
    """Where the data of arrays are, for native functions; the caller keeps the arrays."""
    return [array.ctypes.data for array in arrays]
