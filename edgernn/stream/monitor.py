"""Watches one source of a stream, and says what a person should know about it."""

from __future__ import annotations

from collections.abc import Callable

from edgernn.errors import FormatError
from edgernn.stream.rate_watch import RateWatch
from edgernn.stream.sample_decoder import SampleDecoder
from edgernn.stream.silence import SILENCE_NS, SilenceWatch
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.reader import Notice

DROPPED_PAUSE_NS = 1_000_000_000  # between two words about dropped bytes
STALE_PERIODS = 10  # without a sample of a source whose last one is held, but SILENCE_NS at the least


class SourceMonitor:
    """What has been said about a source, and how it is doing.

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
        self._is_latched = is_latched
        self._rate = (
            None if allow_rate or not source.live else RateWatch(decoder, "" if is_only else f"{source.name}: ")
        )
        self._silence: SilenceWatch | None = None  # of a live source, once it is open
        self._said_dropped_ns: int | None = None
        self._seen_restarts = 0
        self._is_stale = False

    def opened(self, now_ns: int) -> None:
        """The source is open."""
        if self.source.live:
            self._silence = SilenceWatch(self.source.name, self.decoder, self._say, now_ns)

    def took(self, chunk: Chunk, *, had_samples: bool) -> None:
        """Bytes of the source were read.

        Raises
        ------
        FormatError
            Its samples come at another rate than the model takes.
        """
        self._tell_notices()
        if self._silence is not None:
            self._silence.took(chunk.monotonic_ns, had_samples=had_samples)
        if self.decoder.sequence.restarts != self._seen_restarts:
            self._seen_restarts = self.decoder.sequence.restarts
            self._say(f"the board at {self.source.name} was restarted")
        if self._rate is not None:
            self._rate.look(self._say)

    def look(self, now_ns: int) -> None:
        """Time has passed: say what has been silent for long enough."""
        if self._silence is not None:
            self._silence.look(now_ns)
        since_ns = self.decoder.last_arrival_ns
        if not self._is_latched or since_ns is None:
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
        elif self._silence is not None:
            (self._silence.unplugged if notice.kind == "lost" else self._silence.reopened)(now_ns)
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
            seen = self.decoder.frames.unread()
            sight = f"; the last bytes are {seen!r}" if seen else ""
            raise FormatError(f"{self.source.name} has ended, and no samples were found in it{sight}")

    def _tell_notices(self) -> None:
        """What the source's names and headings gave to say."""
        notices = self.decoder.frames.channels.notices
        while notices:
            self._say(notices.pop(0))

    def silent_s(self, now_ns: int) -> dict[str, float]:
        """For how long the source was silent, by cause."""
        return {} if self._silence is None else self._silence.lasted_s(now_ns)
