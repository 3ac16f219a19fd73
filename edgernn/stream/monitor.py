"""Watches one source of a stream, and says what a person should know about it."""

from __future__ import annotations

from collections.abc import Callable

from edgernn.errors import FormatError
from edgernn.stream.sample_decoder import SampleDecoder
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.reader import Notice

SILENCE_NS = 3_000_000_000  # bytes without a sample for so long are worth a word
DROPPED_PAUSE_NS = 1_000_000_000  # between two words about dropped bytes
STALE_PERIODS = 10  # without a sample of a source whose last one is held, but SILENCE_NS at the least


class SourceMonitor:
    """What has been said about a source, and since when it is silent.

    Parameters
    ----------
    source : Source
    decoder : SampleDecoder
        Of its bytes.
    say : callable
        Gets each sentence.
    is_latched : bool
        The model takes its last sample when one of another source comes.
    is_only : bool
        There is no other source.
    allow_rate : bool
        As in `edgernn.stream.config.StreamSettings`.
    """

    def __init__(
        self,
        source: Source,
        decoder: SampleDecoder,
        say: Callable[[str], None],
        *,
        is_latched: bool,
        is_only: bool,
        allow_rate: bool,
    ) -> None:
        self.source = source
        self.decoder = decoder
        self._say = say
        self._is_held, self._is_only, self._allow_rate = is_latched, is_only, allow_rate
        self._vain_since_ns: int | None = None  # bytes come, but no sample
        self._complained_spans = 0
        self._said_dropped_ns: int | None = None
        self._seen_restarts = 0
        self._is_stale = False

    def took(self, chunk: Chunk, *, had_samples: bool) -> None:
        """Bytes of the source were read.

        Raises
        ------
        FormatError
            Its samples come at another rate than the model takes.
        """
        self._tell_notices()
        self._look_for_silence(chunk, had_samples)
        if self.decoder.sequence.restarts != self._seen_restarts:
            self._seen_restarts = self.decoder.sequence.restarts
            self._say(f"the board at {self.source.name} was restarted")
        self._look_at_rate()

    def look_for_stale(self, now_ns: int) -> None:
        """Say that a source whose last sample is held gives no more."""
        since_ns = self.decoder.last_arrival_ns
        if not self._is_held or since_ns is None:
            return
        longest_ns = max(SILENCE_NS, round(STALE_PERIODS * 1e9 / (self.decoder.input_mapping.rate_hz or 1.0)))
        is_stale = now_ns - since_ns > longest_ns
        if is_stale and not self._is_stale:
            silence = f"no sample has come from {self.source.name} for {longest_ns / 1e9:.0f} s"
            self._say(f"{silence}; its last one is held")
        self._is_stale = is_stale

    def interrupted(self, notice: Notice, now_ns: int) -> None:
        """The reader had something to say; of dropped bytes once a second at the most."""
        if notice.kind == "dropped":
            if self._said_dropped_ns is not None and now_ns - self._said_dropped_ns < DROPPED_PAUSE_NS:
                return
            self._said_dropped_ns = now_ns
        self._say(notice.text)

    def ended(self) -> None:
        """The source has ended.

        Raises
        ------
        FormatError
            No samples were in it.
        """
        self._tell_notices()
        if self.decoder.frames.format is None:
            raise FormatError(f"{self.source.name} has ended, and no samples were found in it{self._sight()}")

    def _tell_notices(self) -> None:
        """What the source's names and headings gave to say."""
        notices = self.decoder.frames.channels.notices
        while notices:
            self._say(notices.pop(0))

    def _look_for_silence(self, chunk: Chunk, had_samples: bool) -> None:
        """Say what comes if bytes come for three seconds and no sample is among them."""
        since_ns = self._vain_since_ns
        if had_samples:
            self._vain_since_ns = None
        elif since_ns is None:
            self._vain_since_ns = chunk.received_ns
        elif chunk.received_ns - since_ns > SILENCE_NS:
            self._vain_since_ns = chunk.received_ns
            self._say(
                f"bytes come from {self.source.name}, but no samples{self._sight()}. If that looks like noise, the "
                f"baud rate is wrong: try 9600, 57600, 115200, 230400 or 1000000"
            )
            self.decoder.frames.detect_again()

    def _look_at_rate(self) -> None:
        if not self.source.live or self.decoder.rate.spans == self._complained_spans:
            return
        self._complained_spans = self.decoder.rate.spans
        complaint = self.decoder.rate_complaint()
        if complaint is not None and not self._allow_rate:
            raise FormatError(complaint if self._is_only else f"{self.source.name}: {complaint}")

    def _sight(self) -> str:
        seen = self.decoder.frames.unread()
        return f"; the last bytes are {seen!r}" if seen else ""
