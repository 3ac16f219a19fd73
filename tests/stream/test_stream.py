"""Streams: unplugged ports, stopping, status, rates, and the same events from every way in."""

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from stream_models import ManualClock, larger_channel, random_gru, turns

from edgernn.errors import ConfigError, FormatError, SourceError, SourceNotFoundError
from edgernn.program.file import save
from edgernn.stream.config import StreamSettings
from edgernn.stream.sources.memory import MemorySource
from edgernn.stream.sources.virtual_port import VirtualBoard, VirtualPort, cobs_frames, csv_frames
from edgernn.stream.stream import Stream, open_stream

PATIENT = pytest.mark.timeout(60)


def labels_of(stream: Stream, count: int) -> list[str]:
    return [event.label for event in itertools.islice(stream, count)]


@PATIENT
def test_events_of_a_board_on_a_port() -> None:
    with VirtualPort() as port, open_stream(larger_channel(), port.device) as stream:
        board = VirtualBoard(port.write, csv_frames(turns(6)), rate_hz=1000)
        board.start()
        events = list(itertools.islice(stream, 6))
        board.stop()
    assert [event.label for event in events] == ["first", "second"] * 3
    # the first line is dropped, since its beginning may have been missed
    assert [event.step for event in events] == [0, 9, 19, 29, 39, 49]
    assert all(0 < event.latency_ns < 60e9 for event in events)
    assert all(event.time_ns > 1.7e18 for event in events)
    assert np.all(np.diff([event.monotonic_ns for event in events]) >= 0)  # events of one read share its time


@PATIENT
@pytest.mark.parametrize("keep_state", [False, True])
def test_an_unplugged_port_is_reported_reopened_under_its_stable_name_and_counted(
    tmp_path: Path, keep_state: bool
) -> None:
    stable, notices = tmp_path / "usb-board", []
    first, second = VirtualPort(), VirtualPort()
    stable.symlink_to(first.device)
    lines = list(csv_frames(turns(4)))
    with open_stream(larger_channel(), str(stable), on_notice=notices.append, keep_state=keep_state) as stream:
        first.write(b"".join(lines) + b"1,0")
        assert labels_of(stream, 4) == ["first", "second", "first", "second"]
        stable.unlink()
        first.unplug()
        stable.symlink_to(second.device)
        reads = stream.reads()
        while stream.status().reconnects == 0:
            next(reads)
        # the end of an old line is not a sample; what comes after it is
        second.write(b",0\n" + b"".join(lines))
        found: list[str] = []
        while len(found) < 4:
            found += [event.label for event in next(reads)]
        status = stream.status()
    assert found == ["first", "second", "first", "second"]
    assert (status.reconnects, status.counts["partial"], status.counts["malformed"]) == (1, 2, 0)
    assert f"{stable} is gone" in notices[0]
    assert notices[1] == f"{stable} is back"
    second.close()


@PATIENT
def test_without_reconnect_an_unplugged_port_is_an_error() -> None:
    port = VirtualPort()
    with open_stream(larger_channel(), port.device, reconnect=False) as stream:
        port.unplug()
        with pytest.raises(SourceError, match="is gone"):
            list(stream)


@PATIENT
def test_stop_from_another_thread_ends_the_iteration() -> None:
    with VirtualPort() as port, open_stream(larger_channel(), port.device) as stream:
        threading.Timer(0.05, stream.stop).start()
        assert list(stream) == []


def played(data: list[bytes], **settings: object) -> Stream:
    source = MemorySource(ManualClock(), live=False)
    for part in data:
        source.write(part)
    source.end()
    return open_stream(random_gru(), source, **settings)


def test_the_same_bytes_give_the_same_events() -> None:
    samples = np.random.default_rng(2).normal(size=(500, 3)) * 2
    runs = []
    for frames in (list(csv_frames(samples, 9)), [b"".join(csv_frames(samples, 9))], list(cobs_frames(samples, 50))):
        with played(frames) as stream:
            runs.append([(event.step, event.label, event.score) for event in stream])
    assert runs[0] == runs[1]
    assert len(runs[0]) > 10
    assert [event[:2] for event in runs[2]] == [event[:2] for event in runs[0]]


def test_status_tells_what_happened() -> None:
    lines = [*csv_frames(turns(2)), b"1,2\n", b"hello\n", b"nan,0,0\n", b"1,,1\n"]
    with played(lines) as stream:
        events = list(stream)
        status = stream.status()
    expected = {
        "samples": 21,
        "wrong_width": 1,
        "text": 1,
        "non_finite": 1,
        "malformed": 1,
        "filled": 1,
        "missing_nan": 1,
    }
    assert {kind: count for kind, count in status.counts.items() if count} == {**expected, "missing_nan": 1}
    assert (status.steps, status.events, status.format) == (21, len(events), "csv")
    assert (status.reads, status.bytes) == (24, sum(map(len, lines)))
    assert status.latency_p50_ns == 0
    assert sum(status.scores.values()) == pytest.approx(1, abs=1e-3)


def paced(rate_hz: float, seconds: float, **settings: object) -> Stream:
    clock = ManualClock()
    source = MemorySource(clock)
    for frame in csv_frames(turns(round(rate_hz * seconds / 10))):
        source.write(frame)
        clock.sleep(1 / rate_hz)
    source.end()
    return open_stream(larger_channel(rate_hz=50.0), source, **settings)


def test_another_rate_than_the_models_is_an_error_unless_it_is_allowed() -> None:
    with paced(51.0, 5) as stream:
        assert list(stream)
        assert stream.status().rate_hz == pytest.approx(51.0, rel=0.001)
    with paced(60.0, 5) as stream, pytest.raises(FormatError, match=r"60 samples per second arrive, .* trained at 50"):
        list(stream)
    with paced(60.0, 5, allow_rate=True) as stream:
        assert list(stream)


def test_bytes_without_samples_are_shown_with_a_remedy() -> None:
    clock = ManualClock()
    source, notices = MemorySource(clock), []
    for _ in range(50):
        source.write(b"\xfe\x80\x07\x0b")
        clock.sleep(0.1)
    source.end()
    with (
        open_stream(larger_channel(), source, on_notice=notices.append) as stream,
        pytest.raises(FormatError, match="no samples were found in it; the last bytes are b'"),
    ):
        list(stream)
    assert len(notices) == 1
    assert "the baud rate is wrong: try 9600" in notices[0]
    assert "\\xfe\\x80" in notices[0]


def test_a_board_that_pauses_is_not_suspected() -> None:
    clock = ManualClock()
    source, notices = MemorySource(clock), []
    first, second, *others = csv_frames(turns(2))
    source.write(first + second)
    for frame in others:
        clock.sleep(5.0)
        source.write(frame[:4])  # the line comes in two reads
        source.write(frame[4:])
    source.end()
    with open_stream(larger_channel(), source, on_notice=notices.append) as stream:
        list(stream)
        assert stream.status().steps == 20
    assert notices == []


def test_another_format_is_found_when_the_first_gives_no_samples() -> None:
    clock = ManualClock()
    source, notices = MemorySource(clock), []
    source.write(b"1,1,2\n1,1,2\n")  # what a boot loader counts
    for frame in cobs_frames(turns(40), 50):
        source.write(frame)
        clock.sleep(0.02)
    source.end()
    with open_stream(larger_channel(), source, on_notice=notices.append, allow_rate=True) as stream:
        events = list(stream)
        status = stream.status()
    assert status.format == "cobs"
    assert len(events) > 20
    assert len(notices) == 1
    assert "but no samples; the last bytes are" in notices[0]


@PATIENT
def test_a_consumer_that_is_too_slow_is_told_and_only_whole_lines_are_used() -> None:
    notices: list[str] = []
    source = MemorySource(ManualClock())
    lines = list(csv_frames(turns(40)))
    with Stream(larger_channel(), source, StreamSettings(), on_notice=notices.append) as stream:
        stream._reader.readers[0]._queue_bytes = 500
        for line in lines:
            source.write(line[:3])
            source.write(line[3:])
        source.end()
        while stream.status().dropped_bytes < len(lines[0]) * len(lines) - 600:
            threading.Event().wait(0.001)
        assert list(stream)
        status = stream.status()
    used = len(lines) - status.dropped_bytes / len(lines[0])
    assert used - 3 <= status.counts["samples"] <= used
    assert status.counts["malformed"] == status.counts["wrong_width"] == 0
    assert notices == [f"too slow: {status.dropped_bytes} bytes of memory dropped so far"]


def test_dropped_bytes_are_told_once_a_second() -> None:
    notices: list[str] = []
    clock = ManualClock()
    source = MemorySource(clock)
    lines = list(csv_frames(turns(10)))
    with Stream(larger_channel(), source, StreamSettings(), on_notice=notices.append) as stream:
        reader = stream._reader.readers[0]
        reader._queue_bytes = 3 * len(lines[0])
        reads = stream.reads()
        for number, pause_s in enumerate([0.0, 0.4, 0.5, 0.2], 1):
            clock.sleep(pause_s)
            for line in lines:
                source.write(line)
            while reader.dropped_bytes < number * (len(lines) - 3) * len(lines[0]):
                threading.Event().wait(0.001)
            for _ in range(3):
                next(reads)
    assert len(notices) == 2  # at the beginning, and 1.1 s later


def test_latencies_are_those_of_the_last_4096_reads() -> None:
    clock = ManualClock()
    source = MemorySource(clock, live=False)
    line = next(csv_frames(turns(1)))
    with Stream(larger_channel(), source, StreamSettings()) as stream:
        reads = stream.reads()
        for count, latency_s in ((4096, 1e-3), (4000, 3e-3), (96, 1e-3)):
            for _ in range(count):
                source.write(line)
                clock.sleep(latency_s)
                next(reads)
        status = stream.status()
    assert status.latency_p50_ns == status.latency_p99_ns == 3_000_000


def test_a_restarted_board_is_reported_and_the_model_begins_anew() -> None:
    notices: list[str] = []
    frames = list(cobs_frames(turns(4), 50))
    with played(frames + frames, on_notice=notices.append) as stream:
        list(stream)
        counts = stream.status().counts
    assert (counts["restarts"], counts["lost"], counts["unknown_losses"]) == (1, 0, 0)
    assert notices == ["the board at memory was restarted"]


def test_a_short_file_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_bytes(b"0,1,0\n")
    with open_stream(larger_channel(), str(path)) as stream:
        assert [event.label for event in stream] == ["second"]


def test_a_configuration_file_names_model_and_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(larger_channel(), tmp_path / "larger.safetensors")
    (tmp_path / "samples.csv").write_bytes(b"".join(csv_frames(turns(6))))
    config = tmp_path / "larger.toml"
    config.write_text(
        f'model = "larger.safetensors"\nsource = "{tmp_path}/samples.csv"\n[decision]\nhold_off_steps = 25\n'
    )
    with open_stream(config) as stream:
        assert [event.step for event in stream] == [0, 26, 52]
    monkeypatch.setenv("EDGERNN_DECISION_HOLD_OFF_STEPS", "0")
    with open_stream(str(config)) as stream:
        assert len(list(stream)) == 6
    with open_stream(config, decision={"hold_off_steps": 45}) as stream:
        assert [event.step for event in stream] == [0, 46]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    config = tmp_path / "empty.toml"
    config.write_text("hop = 1\n")
    with pytest.raises(ConfigError, match=r"empty\.toml: model is missing"):
        open_stream(config, "stdin:")
    with pytest.raises(SourceNotFoundError, match="there is no port /dev/missing"):
        open_stream(larger_channel(), "/dev/missing").open()


def test_memory_stays_flat_over_a_long_stream() -> None:
    import tracemalloc

    source = MemorySource(ManualClock(), live=False)
    data = b"".join(csv_frames(np.random.default_rng(2).normal(size=(64, 3))))
    with Stream(random_gru(), source, StreamSettings()) as stream:
        reads = stream.reads()

        def read(times: int) -> int:
            for _ in range(times):
                source.write(data)
                next(reads)
            return tracemalloc.get_traced_memory()[0]

        read(50)
        tracemalloc.start()
        before = read(2000)  # until the interpreter has all the small objects that it keeps
        grown = read(1000) - before
        tracemalloc.stop()
    assert grown < 20_000
    assert stream.status().steps == 3050 * 64


def test_iterating_opens_and_closes(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_bytes(b"".join(csv_frames(turns(6))))
    stream = open_stream(larger_channel(), path, threshold=0.7, hold_off=25)
    assert [event.step for event in stream] == [0, 26, 52]
    assert not stream.is_open
    broken_off = open_stream(larger_channel(), path)
    for _ in broken_off:
        assert broken_off.is_open
        break
    assert not broken_off.is_open


def test_asynchronous_iteration(tmp_path: Path) -> None:
    import asyncio

    path = tmp_path / "samples.csv"
    path.write_bytes(b"".join(csv_frames(turns(6))))

    async def labels(stream: Stream) -> list[str]:
        return [event.label async for event in stream]

    assert asyncio.run(labels(open_stream(larger_channel(), path))) == ["first", "second"] * 3

    async def cancelled(stream: Stream) -> None:
        task = asyncio.create_task(labels(stream))
        while not stream.is_open:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    silent = open_stream(larger_channel(), MemorySource())
    asyncio.run(cancelled(silent))
    assert not silent.is_open
