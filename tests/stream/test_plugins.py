"""Sources, formats and sinks of another package: found by its entry points, in a process that finds the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ENTRY_POINTS = """
[edgernn.sources]
ramp = others:Ramp
broken = others_that_are_missing:Source
[edgernn.formats]
bars = others:Bars
[edgernn.sinks]
tally = others:Tally
"""
PACKAGE = '''
from collections.abc import Iterator

import numpy as np

from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.events import Event
from edgernn.stream.formats.base import SAMPLES, Format, Samples
from edgernn.stream.sinks.base import Sink
from edgernn.stream.sources.base import Chunk, Source


class Ramp(Source):
    """Packets with a rising first number."""

    live = False
    whole_start = True

    def __init__(self, location: str, *, width: int = 2, clock: Clock | None = None) -> None:
        super().__init__(f"ramp:{location}", clock or SystemClock())
        self._packets = iter(range(int(location)))
        self._width = width

    def open(self) -> None:
        """Nothing is opened."""

    def read(self, timeout_s: float) -> Chunk | None:
        number = next(self._packets, None)
        rest = b";0" * (self._width - 1)
        return None if number is None else self.chunk(b"%d" % (number + 1) + rest + b"|")

    def close(self) -> None:
        """Nothing is open."""


class Bars(Format):
    """Numbers between semicolons; a bar ends a packet."""

    name = "bars"
    is_compiled = False
    frame_end = b"|"

    @staticmethod
    def frame_width(frame: bytes) -> int | None:
        return frame.count(b";") + 1 if frame else None

    def _parse(self, length: int) -> Iterator[Samples]:
        data = self._buffer[:length].tobytes()
        packets = data.split(b"|")[:-1]
        self._state[1] = sum(len(packet) + 1 for packet in packets)
        self.counts[SAMPLES] += len(packets)
        yield Samples(np.array([packet.split(b";") for packet in packets], np.float64).reshape(-1, self.width))


class Tally(Sink):
    """Prints how many events there were."""

    def __init__(self, location: str, *, word: str = "events") -> None:
        self.count, self.word = 0, word

    def write(self, event: Event) -> None:
        self.count += 1

    def tick(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        print(self.word, self.count)
'''
STREAM = """
import sys
sys.path[:0] = sys.argv[1:3]
from stream_models import larger_channel

from edgernn.errors import MissingPackageError
from edgernn.stream.config import StreamSettings
from edgernn.stream.sinks import make_sink
from edgernn.stream.sources import make_source
from edgernn.stream.stream import Stream

source, name = make_source("ramp:50?width=3&format=bars")
sink = make_sink("tally:?word=seen")
with Stream(larger_channel(), source, StreamSettings(raw_scores=True), format_name=name) as stream:
    for event in stream:
        sink.write(event)
print(stream.status().steps, stream.status().format)
sink.close()
try:
    make_source("broken:1")
except MissingPackageError as error:
    print(error)
"""


def test_a_package_adds_a_source_a_format_and_a_sink(run_python: Callable[..., str], tmp_path: Path) -> None:
    information = tmp_path / "others-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "others.py").write_text(PACKAGE)
    helpers = Path(__file__).parents[1] / "helpers"
    steps, events, complaint = run_python(STREAM, str(tmp_path), str(helpers)).splitlines()
    assert steps == "50 bars"
    assert events == "seen 1"  # the first of the channels is the larger one
    assert complaint.startswith(
        "'broken' of edgernn.sources belongs to the package others (others_that_are_missing:Source)"
    )
