"""Tells of a source that gives nothing to use: no bytes, no samples, no numbers, or always the same."""

from __future__ import annotations

from collections.abc import Callable

from edgernn.stream.sample_decoder import SampleDecoder

SILENCE_NS = 3_000_000_000  # so long a silence is told
REPEAT_NS = 60_000_000_000  # from one word about it to the next

NO_BYTES, NO_SAMPLES, NO_NUMBERS, NO_CHANGE, UNPLUGGED = CAUSES = (
    "no bytes",
    "no samples",
    "a channel without numbers",
    "the same values",
    "unplugged",
)


class SilenceWatch:
    """Since when a source is silent, why, and for how long it was so far.

    Parameters
    ----------
    name : str
        Of the source.
    decoder : SampleDecoder
        Of its bytes.
    say : callable
        Gets each sentence.
    begin_ns : int
        When the source was opened.
    """

    def __init__(self, name: str, decoder: SampleDecoder, say: Callable[[str], None], begin_ns: int) -> None:
        self._name, self._decoder, self._say = name, decoder, say
        self._bytes_ns = self._samples_ns = begin_ns  # when they came last
        self._unplugged_ns: int | None = None
        self._looks_again_ns = begin_ns  # when another format was looked for
        self._since_ns: dict[str, int] = {}  # of what is going on
        self._said_ns: dict[str, int] = {}
        self._past_ns = dict.fromkeys(CAUSES, 0)

    def took(self, now_ns: int, *, had_samples: bool) -> None:
        """Bytes came."""
        if now_ns < self._bytes_ns:  # they waited while the source was opened
            self._bytes_ns = self._samples_ns = self._looks_again_ns = now_ns
        if now_ns - self._bytes_ns > SILENCE_NS and NO_BYTES not in self._since_ns:
            self._past_ns[NO_BYTES] += now_ns - self._bytes_ns  # nobody looked meanwhile
            self._decoder.rate.restart()
        if self._samples_ns <= self._bytes_ns and now_ns - self._bytes_ns > SILENCE_NS:
            self._samples_ns = now_ns  # bytes without a sample are counted from the first of them
        self._bytes_ns = now_ns
        if had_samples:
            self._samples_ns = now_ns

    def unplugged(self, now_ns: int) -> None:
        """The source is lost, or was opened without success."""
        if self._unplugged_ns is None:
            self._unplugged_ns = now_ns

    def reopened(self, now_ns: int) -> None:
        """The source is there again: what was known of silence before is over."""
        for cause in tuple(self._since_ns):
            self._end(cause, self._unplugged_ns or now_ns)
        if self._unplugged_ns is not None:
            self._past_ns[UNPLUGGED] += now_ns - self._unplugged_ns
        self._unplugged_ns = None
        self._bytes_ns = self._samples_ns = now_ns
        self._decoder.channels.forget()

    def look(self, now_ns: int) -> None:
        """Say what has been going on for long enough, and what is over."""
        if self._unplugged_ns is not None:
            return
        silences = self._silences(now_ns)
        for cause, (since_ns, words) in silences.items():
            self._since_ns.setdefault(cause, since_ns)
            if cause not in self._said_ns or now_ns - self._said_ns[cause] >= REPEAT_NS:
                self._said_ns[cause] = now_ns
                self._say(words.format(seconds=f"{(now_ns - since_ns) / 1e9:.0f} s"))
        for cause in tuple(self._since_ns):
            if cause not in silences:
                lasted_ns = self._end(cause, now_ns)
                if cause != NO_SAMPLES:  # the samples speak for themselves
                    self._say(f"{self._name}: {cause} is over, after {lasted_ns / 1e9:.1f} s")
        if NO_SAMPLES in silences and now_ns - self._looks_again_ns > SILENCE_NS:
            self._looks_again_ns = now_ns
            self._decoder.frames.detect_again()

    def lasted_s(self, now_ns: int) -> dict[str, float]:
        """For how long the source was silent, by cause."""
        lasted_ns = dict(self._past_ns)
        for cause, since_ns in self._since_ns.items():
            lasted_ns[cause] += now_ns - since_ns
        if self._unplugged_ns is not None:
            lasted_ns[UNPLUGGED] += now_ns - self._unplugged_ns
        return {cause: ns / 1e9 for cause, ns in lasted_ns.items() if ns}

    def _end(self, cause: str, now_ns: int) -> int:
        lasted_ns = max(0, now_ns - self._since_ns.pop(cause))
        self._said_ns.pop(cause, None)
        self._past_ns[cause] += lasted_ns
        return lasted_ns

    def _silences(self, now_ns: int) -> dict[str, tuple[int, str]]:
        """What has been going on for long enough: since when, and what to say."""
        if now_ns - self._bytes_ns > SILENCE_NS:
            words = "does its program run? Press its reset button; if it stays silent, check cable, port and baud"
            return {NO_BYTES: (self._bytes_ns, f"nothing has come from {self._name} for {{seconds}}: {words}")}
        if now_ns - self._samples_ns > SILENCE_NS:
            seen = repr(self._decoder.frames.unread()).replace("{", "{{").replace("}", "}}")
            words = "If that looks like noise, the baud rate is wrong: try 9600, 57600, 115200, 230400 or 1000000"
            return {
                NO_SAMPLES: (
                    self._samples_ns,
                    f"bytes come from {self._name}, but no samples; the last bytes are {seen}. {words}",
                )
            }
        return self._dead_channels(now_ns)

    def _dead_channels(self, now_ns: int) -> dict[str, tuple[int, str]]:
        silences: dict[str, tuple[int, str]] = {}
        missing, same_since_ns = self._decoder.channels.missing_since_ns(), self._decoder.channels.same_since_ns()
        if missing is not None and now_ns - missing[1] > SILENCE_NS:
            names = self._decoder.input_mapping.channels
            channel = f"channel {names[missing[0]]}" if names else f"channel {missing[0]}, counted from 0,"
            words = "check this sensor and its wiring, or choose other numbers with --columns"
            silences[NO_NUMBERS] = missing[1], f"{channel} of {self._name} has held no number for {{seconds}}: {words}"
        if same_since_ns is not None and now_ns - same_since_ns > SILENCE_NS:
            words = "is the sensor connected, and does the board read it before each line?"
            silences[NO_CHANGE] = (
                same_since_ns,
                f"the samples of {self._name} have not changed for {{seconds}}: {words}",
            )
        return silences
