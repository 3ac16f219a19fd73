"""Replay: the same bytes with their arrival times, at once or at their pace."""

from pathlib import Path

import pytest
from stream_models import ManualClock

from edgernn.errors import SourceError, SourceNotFoundError
from edgernn.stream.recording import RecordedChunk, RecordingInfo, encode_chunk, encode_heading
from edgernn.stream.sources.replay import ReplaySource

CHUNKS = [RecordedChunk(7_000_000_000 + 250_000_000 * place, place, b"%d,2\n" % place) for place in range(5)]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.edgerec"
    path.write_bytes(encode_heading(RecordingInfo()) + b"".join(map(encode_chunk, CHUNKS)))
    return path


def test_at_once_with_the_recorded_times(recording: Path) -> None:
    clock = ManualClock()
    source = ReplaySource(str(recording), clock=clock)
    source.open()
    chunks = [source.read(0.1) for _ in CHUNKS]
    assert [(chunk.monotonic_ns, chunk.wall_ns, chunk.data, chunk.after_gap) for chunk in chunks] == CHUNKS
    assert {chunk.received_ns for chunk in chunks} == {clock.now_ns}
    assert source.read(0.1) is None
    source.close()


def test_at_the_recorded_pace(recording: Path) -> None:
    clock = ManualClock()
    begin_ns = clock.now_ns
    source = ReplaySource(str(recording), pace="recorded", clock=clock)
    source.open()
    received = []
    while (chunk := source.read(0.1)) is not None:
        if chunk.data:
            received.append((chunk.received_ns - begin_ns, chunk.data))
    assert received == [(250_000_000 * place, b"%d,2\n" % place) for place in range(5)]
    source.close()


def test_what_is_wrong_is_said(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="there is no file"):
        ReplaySource(str(tmp_path / "missing")).open()
    with pytest.raises(SourceError, match="cannot be read"):
        ReplaySource(str(tmp_path)).open()
    damaged = bytearray(recording.read_bytes())
    damaged[-5] ^= 1
    recording.write_bytes(damaged)
    source = ReplaySource(str(recording))
    source.open()
    for _ in range(4):
        source.read(0.1)
    with pytest.raises(SourceError, match="damaged at byte"):
        source.read(0.1)
    source.close()
