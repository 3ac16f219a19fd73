"""One line at the bottom of a terminal that shows how a stream is doing."""

from __future__ import annotations

import shutil
import sys
import time

from edgernn.cli.text import escape
from edgernn.stream.stream import Stream, StreamStatus

PERIOD_S = 0.1
BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " .:-=+*#%"  # for a terminal without block characters


class StatusLine:
    """Draws on stderr if that is a terminal, ten times a second at most; otherwise does nothing."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._bars = BARS if (sys.stderr.encoding or "").lower().startswith("utf") else PLAIN_BARS
        self._due_s = 0.0

    def show(self, stream: Stream) -> None:
        """Draw the line, unless it was drawn just now."""
        now_s = time.monotonic()
        if self._is_terminal and now_s >= self._due_s:
            self._due_s = now_s + PERIOD_S
            columns = shutil.get_terminal_size().columns
            sys.stderr.write("\r" + format_status(stream.status(), self._bars)[: columns - 1] + "\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Make room for something else on this line."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._due_s = 0.0


def format_status(status: StreamStatus, bars: str = BARS) -> str:
    """Rate, scores as bars, latency from byte to decision, and what was lost.

    Examples
    --------
    >>> format_status(StreamStatus(rate_hz=50.0, scores={"rest": 1.0, "wave": 0.1}, counts={"lost": 2, "malformed": 0}))
    '50.0 Hz  rest █ wave ▁  lost 2 malformed 0'
    """
    top = len(bars) - 1
    scores = [
        f"{escape(label)} {bars[round(min(max(score, 0.0), 1.0) * top)]}" for label, score in status.scores.items()
    ]
    parts = ["-- Hz" if status.rate_hz is None else f"{status.rate_hz:.1f} Hz", " ".join(scores)]
    if status.latency_p50_ns is not None and status.latency_p99_ns is not None:
        parts.append(f"latency {status.latency_p50_ns / 1000:.0f}/{status.latency_p99_ns / 1000:.0f} µs")
    parts.append(" ".join(f"{kind} {status.counts.get(kind, 0)}" for kind in ("lost", "malformed")))
    return "  ".join(filter(None, parts))
