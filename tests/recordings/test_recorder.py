"""The recorder: what arrived, when, what is missing, what was done; and replay gives the same events again."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from stream_models import ManualClock, random_gru

from edgernn.errors import ConfigError, SourceError
from edgernn.recordings.recorder import Recorder
from edgernn.recordings.tables import read_table
from edgernn.stream.events import Event
from edgernn.stream.recording import LabelMark, RecordedChunk, RecordingReader
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.virtual_port import cobs_frames
from edgernn.stream.stream import open_stream

SAMPLES = np.random.default_rng(2).normal(size=(400, 3)).cumsum(axis=0) % 4 - 2
STEP_S = 0.25


class ScriptedSource(Source):
    """Gives one item of its script with each read, a quarter of a second after the last; a text is an error."""

    def __init__(self, script: list[bytes | str], *, live: bool = False) -> None:
        super().__init__("script", ManualClock())
        self.live = live
        self._script = iter(script)

    def open(self) -> None:
        """Nothing is needed."""

    def read(self, timeout_s: float) -> Chunk | None:
        self.clock.sleep(STEP_S)
        data = next(self._script, None)
        if isinstance(data, str):
            raise SourceError(data)
        return None if data is None else self.chunk(data)

    def close(self) -> None:
        """Nothing is held."""


def entries(path: Path) -> list[RecordedChunk | LabelMark]:
    reader = RecordingReader(path)
    try:
        return list(reader.entries())
    finally:
        reader.close()


def test_takes_are_marked_where_they_begin_and_end(tmp_path: Path) -> None:
    path = tmp_path / "a.edgerec"
    with Recorder(ScriptedSource([b"%d\n" % k for k in range(10)]), path, on_notice=pytest.fail) as recorder:
        assert list(recorder.reads(0.5)) == [0.25, 0.5]
        recorder.mark("wave")
        assert list(recorder.reads(0.75)) == [0.25, 0.5, 0.75]
        recorder.mark(None)
        assert len(list(recorder.reads())) == 6  # up to the end
        assert recorder.ended
    found = [entry.label if isinstance(entry, LabelMark) else entry.data for entry in entries(path)]
    assert found == [b"0\n", b"1\n", "wave", b"2\n", b"3\n", b"4\n", None, *(b"%d\n" % k for k in range(5, 10))]
    assert recorder.bytes == 20
    times = [entry.monotonic_ns for entry in entries(path)]
    assert times == sorted(times)
    assert times[1] - times[0] == 250_000_000


def test_every_file_of_a_rotated_recording_begins_with_the_label_that_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.edgerec"
    source = ScriptedSource([bytes([k]) * 300 for k in range(9)])
    with Recorder(source, path, max_bytes=1500, rotate=3, on_notice=pytest.fail) as recorder:
        recorder.mark("wave")
        assert len(list(recorder.reads())) == 10
    files = [tmp_path / "a.edgerec.2", tmp_path / "a.edgerec.1", path]
    found = [entry for file in files for entry in entries(file)]
    assert [entry.label for entry in found if isinstance(entry, LabelMark)] == ["wave"] * 3
    gaps = [entry.data for entry in found if isinstance(entry, RecordedChunk) and entry.after_gap]
    assert gaps == [bytes(300), b"", b""]
    data = b"".join(entry.data for entry in found if isinstance(entry, RecordedChunk))
    assert data == b"".join(bytes([k]) * 300 for k in range(9))


def test_every_file_of_a_rotated_recording_has_the_names_and_no_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "a.edgerec"
    lines = b"boot\nu [g],v\n" + b"".join(f"{10_000 + k},{k}\n".encode() for k in range(1000))
    source = ScriptedSource([lines[start : start + 97] for start in range(3, len(lines), 97)])
    with Recorder(source, path, max_bytes=3000, rotate=9, on_notice=pytest.fail) as recorder:
        for _ in recorder.reads():
            pass
    files = [*sorted(tmp_path.glob("a.edgerec.*"), reverse=True), path]
    assert len(files) > 4
    tables = [read_table(file)[0] for file in files]
    assert {(table.channels, table.units) for table in tables} == {(("u", "v"), ("g", ""))}
    values = np.concatenate([table.values for table in tables])
    np.testing.assert_array_equal(values[:, 0], values[:, 1] + 10_000)  # no number lost its first digits
    assert 1000 - 2 * len(files) < len(values) < 1000
    assert recorder.gaps == 0


def test_what_is_recorded_of_a_live_port_gives_what_the_port_gave(tmp_path: Path) -> None:
    lines = b"".join(f"{x:.9g},{y:.9g},{z:.9g}\n".encode() for x, y, z in SAMPLES)
    torn = [lines[start : start + 50] for start in range(1, len(lines), 50)]  # the first digit was never seen
    with open_stream(random_gru(), ScriptedSource(list(torn)), allow_rate=True) as stream:
        live = [(event.step, event.label, event.score) for event in stream]
    path = tmp_path / "a.edgerec"
    with Recorder(ScriptedSource(list(torn)), path, on_notice=pytest.fail) as recorder:
        for _ in recorder.reads():
            pass
    with open_stream(random_gru(), str(path), allow_rate=True) as stream:
        again = [(event.step, event.label, event.score) for event in stream]
        assert stream.status().counts["partial"] == 1
    assert live == again
    assert len(live) > 5


@pytest.mark.parametrize("name", ["a.edgerec", "a.edgerec.1"])
def test_an_existing_file_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(ConfigError, match="is there already"):
        Recorder(ScriptedSource([]), tmp_path / "a.edgerec", on_notice=pytest.fail)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_bytes_behind_an_outage_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.edgerec"
    notices: list[str] = []
    source = ScriptedSource([b"1,2,3\n4,5", "the cable came out", b",6\n7,8,9\n"], live=True)
    with Recorder(source, path, on_notice=notices.append) as recorder:
        for _ in recorder.reads():
            pass
    found = [(entry.data, entry.after_gap) for entry in entries(path) if isinstance(entry, RecordedChunk)]
    assert found == [(b"1,2,3\n4,5", True), (b",6\n7,8,9\n", True)]  # a live source begins anywhere in a line
    assert notices == ["the cable came out", "script is back"]
    assert recorder.gaps == 1


def test_a_recording_gives_the_same_events_bit_for_bit_also_over_outages(tmp_path: Path) -> None:
    packets = list(cobs_frames(SAMPLES, 50))
    source = ScriptedSource([b"".join(packets[k : k + 7]) for k in range(0, 400, 7)])
    path = tmp_path / "a.edgerec"
    with Recorder(source, path, on_notice=pytest.fail) as recorder:
        for number, _ in enumerate(recorder.reads()):
            if number == 20:
                recorder._after_gap = True  # as a lost port leaves it
    live = open_stream(random_gru(), ScriptedSource([]))
    expected = []
    for entry in entries(path):
        assert isinstance(entry, RecordedChunk)
        expected += live.pipeline.feed(Chunk(entry.data, entry.monotonic_ns, entry.wall_ns, 0, entry.after_gap))
    assert live.pipeline.decoder.gaps.resets == 1
    with open_stream(random_gru(), f"replay://{path}") as stream:
        found = list(stream)
    assert [event_without_latency(event) for event in found] == [event_without_latency(event) for event in expected]
    assert len(found) > 3


def event_without_latency(event: Event) -> tuple[object, ...]:
    return msgspec.structs.astuple(event)[:-1]
