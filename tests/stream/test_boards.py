"""Recordings of boards that restart or count in one byte, see tests/recordings/boards: every good sample is used."""

from pathlib import Path

import pytest
from stream_models import ManualClock, largest_channel

from edgernn.stream.sources.memory import MemorySource
from edgernn.stream.stream import open_stream

BOARDS = Path(__file__).parents[1] / "recordings" / "boards"


@pytest.mark.parametrize("piece", [37, 4096, 1 << 20])
@pytest.mark.parametrize(
    ("name", "labels", "counts"),
    [
        ("restart_ok", ["wave", "circle"], {"restarts": 1}),
        ("restart_seq0_missed", ["wave", "circle"], {"restarts": 1, "text": 1}),
        ("seq_8bit", ["circle", "wave"] * 10, {"text": 1}),
    ],
)
def test_every_sample_is_used(name: str, labels: list[str], counts: dict[str, int], piece: int) -> None:
    data = (BOARDS / f"{name}.bin").read_bytes()
    source = MemorySource(ManualClock(), live=False)
    source.end()
    chunks = [source.chunk(data[begin : begin + piece]) for begin in range(0, len(data), piece)]
    source.read = lambda timeout_s: chunks.pop(0) if chunks else None  # type: ignore[method-assign]
    with open_stream(largest_channel(), source) as stream:
        events = [event.label for event in stream]
        status = stream.status()
    assert events == labels
    assert status.steps == 1000
    assert {kind: count for kind, count in status.counts.items() if count} == {"samples": 1000, **counts}
