"""Models with several inputs: from one source, and from several at different rates that are joined by hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from stream_models import ManualClock

from edgernn.errors import ConfigError, EdgeRNNError, FormatError, InputError
from edgernn.evaluation.evaluate import evaluate_sessions
from edgernn.evaluation.sessions import joined_session, read_sessions
from edgernn.evaluation.trace import trace_session
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.file import save
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.operations import Binary, Dense, Softmax
from edgernn.program.program import Program
from edgernn.stream.config import InputSettings, StreamSettings
from edgernn.stream.formats.cobs import encode_packet
from edgernn.stream.pipeline import Pipeline
from edgernn.stream.recording import (
    LabelMark,
    RecordedChunk,
    RecordingInfo,
    encode_chunk,
    encode_heading,
    encode_mark,
)
from edgernn.stream.sources.base import Chunk
from edgernn.stream.sources.virtual_port import VirtualPort
from edgernn.stream.stream import Stream, open_stream

MS = 1_000_000
FAST_HZ, SLOW_HZ = 100.0, 10.0
RATES = {"motion": FAST_HZ, "heat": SLOW_HZ}
PATIENT = pytest.mark.timeout(60)


def fusion(**fields: object) -> Program:
    """Says "hot" where the second number of `motion` plus that of `heat` is above 0, else "cold"; it has no state."""
    description = ProgramDescription(
        inputs=(InputDescription("motion", (2,)), InputDescription("heat", (1,))),
        outputs=(OutputDescription("scores", "scores", per_frame=True),),
        operations=(
            Dense(name="m", inputs=("motion",), outputs=("a",), W="M"),
            Dense(name="h", inputs=("heat",), outputs=("b",), W="H"),
            Binary(name="sum", inputs=("a", "b"), outputs=("logits",), function="Add"),
            Softmax(name="softmax", inputs=("logits",), outputs=("scores",)),
        ),
        metadata=Metadata(labels=("cold", "hot"), decision=DecisionSettings(threshold=0.8), **fields),  # type: ignore[arg-type]
    )
    weights = {"M": np.array([[0, -9], [0, 9]], np.float32), "H": np.array([[-9], [9]], np.float32)}
    return Program(description, weights)


def joined(fast: str, slow: str, **others: object) -> dict[str, object]:
    """Settings of a stream with `heat` from a slower source."""
    inputs = {"motion": {"source": fast, "rate_hz": FAST_HZ}, "heat": {"source": slow, "rate_hz": SLOW_HZ}}
    return {"inputs": inputs, "join": "hold", **others}


def record(path: Path, lines: list[tuple[int, str]]) -> str:
    """A recording of lines and the milliseconds at which they came."""
    chunks = [encode_chunk(RecordedChunk(time_ms * MS, time_ms * MS, f"{line}\n".encode())) for time_ms, line in lines]
    path.write_bytes(encode_heading(RecordingInfo()) + b"".join(chunks))
    return f"replay://{path}"


def recordings(folder: Path) -> tuple[str, str]:
    """Motion every 10 ms, its second number near 0; heat every 100 ms, from 205 ms on, alternately 1 and -1."""
    fast = record(folder / "fast.edgerec", [(10 * k, f"{k},0.1") for k in range(100)])
    slow = record(folder / "slow.edgerec", [(205 + 100 * k, str((-1) ** k)) for k in range(8)])
    return fast, slow


def events_of(stream: Stream) -> list[tuple[int, str]]:
    return [(event.step, event.label) for event in stream]


def test_numbers_of_one_source_are_those_of_all_inputs_in_their_order() -> None:
    lines = b"".join(f"{k},{y},{z}\n".encode() for k, (y, z) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1), (2, -1)]))
    pipeline = Pipeline(fusion(), StreamSettings(), whole_start=True)
    events = pipeline.feed(Chunk(lines, 0, 0, 0))
    assert [(event.step, event.label) for event in events] == [(0, "hot"), (2, "cold"), (4, "hot")]


@pytest.mark.parametrize(
    "inputs",
    [
        {"motion": InputSettings(columns=(3, 1)), "heat": InputSettings(columns=(0,), scale=2.0)},
        {"motion": InputSettings(channels=("u", "v")), "heat": InputSettings(channels=("h",), mean=(0,), std=(0.5,))},
    ],
)
def test_inputs_take_the_columns_or_channels_that_settings_name(inputs: dict[str, InputSettings]) -> None:
    program = fusion(channels=("vx", "vy", "temp"), mean=(0, 0.5, 9), std=(1, 0.25, 9))
    if inputs["heat"].columns:
        inputs["heat"] = InputSettings(columns=(0,), scale=2.0, mean=(0,), std=(1,))
    sent = "h v t_ms u\n" + "".join(f"{h} {v} {k} 7\n" for k, (h, v) in enumerate([(1, 0.6), (-1, 0.6), (-1, 1.1)]))
    pipeline = Pipeline(program, StreamSettings(inputs=inputs), whole_start=True)
    events = pipeline.feed(Chunk(sent.replace(" ", ",").encode(), 0, 0, 0))
    # v - 0.5, four times; and twice h: 0.4 + 2, 0.4 - 2, 2.4 - 2
    assert [(event.step, event.label) for event in events] == [(0, "hot"), (1, "cold"), (2, "hot")]


def test_the_slower_source_is_held_at_the_samples_of_the_faster(tmp_path: Path) -> None:
    with open_stream(fusion(), **joined(*recordings(tmp_path))) as stream:  # type: ignore[arg-type]
        found = events_of(stream)
        status = stream.status()
    # two samples of heat, up to 305 ms, say what its source sends; then heat changes at 405, 505 and so on
    assert found == [(10 * k, ("cold", "hot")[k % 2]) for k in range(7)]
    assert status.steps == 100 - 31
    assert status.counts["waiting"] == 31
    assert status.counts["samples"] == 108


def test_a_file_says_it_all_and_the_same_bytes_give_the_same_events(tmp_path: Path) -> None:
    fast, slow = recordings(tmp_path)
    save(fusion(), tmp_path / "fusion.safetensors")
    config = tmp_path / "fusion.toml"
    config.write_text(
        f'model = "fusion.safetensors"\njoin = "hold"\n[inputs.heat]\nsource = "{slow}"\nrate_hz = 10\n'
        f'[inputs.motion]\nsource = "{fast}"\nrate_hz = 100\ncolumns = [1, 0]\n'
    )
    runs = []
    for _ in range(2):
        with open_stream(config) as stream:
            runs.append([(event.step, event.label, event.score, event.monotonic_ns) for event in stream])
    assert runs[0] == runs[1]
    assert runs[0][0][:2] == (0, "hot")
    assert len(runs[0]) == 1  # the first number of motion grows


def test_recordings_of_all_sources_are_evaluated_together(tmp_path: Path) -> None:
    fast, slow = (address.removeprefix("replay://") for address in recordings(tmp_path))
    marks = [LabelMark(0, 0, "cold"), LabelMark(405 * MS, 0, "hot"), LabelMark(505 * MS, 0, "cold")]
    marks += [LabelMark(605 * MS, 0, "hot"), LabelMark(705 * MS, 0, "cold"), LabelMark(805 * MS, 0, "hot")]
    chunks = [RecordedChunk((205 + 100 * k) * MS, 0, f"{(-1) ** k}\n".encode()) for k in range(8)]
    entries = sorted([*marks, *chunks], key=lambda entry: entry.monotonic_ns)
    parts = [encode_mark(entry) if isinstance(entry, LabelMark) else encode_chunk(entry) for entry in entries]
    Path(slow).write_bytes(encode_heading(RecordingInfo()) + b"".join(parts))
    session = joined_session({"heat": Path(slow), "motion": Path(fast)})
    settings = StreamSettings(
        **{**joined("a", "b"), "inputs": {name: InputSettings(source=name, rate_hz=hz) for name, hz in RATES.items()}}  # type: ignore[arg-type]
    )
    trace = trace_session(fusion(), settings, session)
    assert len(trace.truth) == len(trace.scores) == 69
    changes = np.flatnonzero(np.diff(trace.truth)) + 1
    assert changes.tolist() == [10, 20, 30, 40, 50]
    assert (trace.scores.argmax(axis=1)[:59] == trace.truth[:59]).all()
    report = evaluate_sessions("fusion", fusion(), [session], settings).report
    assert report.events.detected == report.events.intervals == 6
    for wrong, complaint in (
        ({"heat": Path(slow)}, r"give one recording of each together, as motion=FILE,heat=FILE"),
        ({"heat": Path(slow), "motion": Path(fast), "light": Path(fast)}, "the model has no input light"),
    ):
        with pytest.raises(InputError, match=complaint):
            trace_session(fusion(), settings, joined_session(wrong))
    with pytest.raises(InputError, match="come from 2 sources"):
        trace_session(fusion(), settings, read_sessions(Path(fast))[0])


def test_the_command_takes_recordings_by_their_input(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from edgernn.cli.evaluate import evaluate

    fast, slow = (address.removeprefix("replay://") for address in recordings(tmp_path))
    content = Path(slow).read_bytes()
    heading = encode_heading(RecordingInfo())
    marks = encode_mark(LabelMark(0, 0, "cold"))
    Path(slow).write_bytes(heading + marks + content.removeprefix(heading) + encode_mark(LabelMark(910 * MS, 0, "hot")))
    save(fusion(), tmp_path / "fusion.safetensors")
    config = tmp_path / "fusion.toml"
    config.write_text(
        'model = "fusion.safetensors"\njoin = "hold"\n[inputs.heat]\nsource = "a"\nrate_hz = 10\n'
        '[inputs.motion]\nsource = "b"\nrate_hz = 100\n'
    )
    done = CliRunner().invoke(evaluate, [str(config), f"motion={fast},heat={slow}", "--json"])
    assert done.exit_code == 0, done.output
    (report,) = json.loads(done.stdout)
    assert report["outputs"]["outputs"] == 69
    assert report["events"]["hours"] == pytest.approx(0.69 / 3600)
    for wrong in (f"motion={fast},motion={slow}", f"motion={fast},=x"):
        assert CliRunner().invoke(evaluate, [str(config), wrong]).exit_code == 2
    assert CliRunner().invoke(evaluate, [str(config), f"motion={fast},heat={tmp_path}/none"]).exit_code == 2


@PATIENT
def test_two_ports_one_of_which_is_unplugged(tmp_path: Path) -> None:
    names, notices = [tmp_path / "fast", tmp_path / "slow"], []
    ports = [VirtualPort(), VirtualPort()]
    for name, port in zip(names, ports, strict=True):
        name.symlink_to(port.device)
    settings = joined(*map(str, names), allow_rate=True)
    with open_stream(fusion(), on_notice=notices.append, **settings) as stream:  # type: ignore[arg-type]
        reads = stream.reads()

        def send(place: int, line: str, until: str, count: int) -> list[str]:
            """What is recognized while the count of `until` grows so far."""
            ports[place].write(line.encode())
            found: list[str] = []
            while stream.status().counts[until] < count:
                found += [event.label for event in next(reads)]
            return found

        assert send(0, "\n0,1\n0,1\n0,1\n", "waiting", 3) == []
        assert send(1, "\n1\n1\n", "samples", 5) == []
        assert send(0, "0,1\n0,-3\n", "samples", 7) == ["hot", "cold"]
        names[1].unlink()
        ports[1].unplug()
        while len(notices) < 1:
            next(reads)
        assert send(0, "0,1\n0,1\n", "waiting", 5) == []  # the model waits for its other input
        ports[1] = VirtualPort()
        names[1].symlink_to(ports[1].device)
        while stream.status().reconnects == 0:
            next(reads)
        assert send(1, "\n-5\n-5\n", "samples", 11) == []
        assert send(0, "0,1\n", "samples", 12) == ["cold"]
    assert f"{names[1]} is gone" in notices[0]
    assert notices[1] == f"{names[1]} is back"
    for port in ports:
        port.close()


def test_a_source_that_falls_silent_is_held_and_said(tmp_path: Path) -> None:
    fast = record(tmp_path / "fast.edgerec", [(10 * k, "0,0") for k in range(2000)])
    times = [*range(0, 3000, 100), *range(9000, 20000, 100)]
    slow = record(tmp_path / "slow.edgerec", [(time_ms, "1") for time_ms in times])
    notices: list[str] = []
    with open_stream(fusion(), on_notice=notices.append, **joined(fast, slow)) as stream:  # type: ignore[arg-type]
        assert events_of(stream) == [(0, "hot")]
        assert stream.status().steps == 2000 - 11  # two samples of heat, at 0 and 100 ms, say what comes
    assert notices == [f"no sample has come from {tmp_path}/slow.edgerec for 3 s; its last one is held"]


@pytest.mark.parametrize(("back_ms", "notices"), [(38_000, 0), (42_000, 1)])
def test_a_slow_source_has_ten_of_its_periods_before_it_counts_as_silent(
    back_ms: int, notices: int, tmp_path: Path
) -> None:
    """One sample in 2 s: the last one before the pause comes at 20 s."""
    fast = record(tmp_path / "fast.edgerec", [(100 * k, "0,0") for k in range(480)])
    times = [*range(0, 22_000, 2000), *range(back_ms, 48_000, 2000)]
    slow = record(tmp_path / "slow.edgerec", [(time_ms, "1") for time_ms in times])
    inputs = {"motion": {"source": fast, "rate_hz": 10.0}, "heat": {"source": slow, "rate_hz": 0.5}}
    said: list[str] = []
    with open_stream(fusion(), on_notice=said.append, inputs=inputs, join="hold") as stream:
        assert len(list(stream)) == 1
    assert said == [f"no sample has come from {tmp_path}/slow.edgerec for 20 s; its last one is held"] * notices


def test_losses_in_one_source_are_counted_beside_those_of_the_other(tmp_path: Path) -> None:
    parts = [[encode_packet(k, 10_000 * k, [0.0, 1.0]) for k in range(50) if k not in {7, 8}]]
    parts += [[encode_packet(k, 100_000 * k, [1.0]) for k in range(5) if k != 2]]
    addresses = []
    for place, packets in enumerate(parts):
        path = tmp_path / f"{place}.edgerec"
        chunks = [encode_chunk(RecordedChunk(k * MS * 10 ** (place + 1), 0, data)) for k, data in enumerate(packets)]
        path.write_bytes(encode_heading(RecordingInfo()) + b"".join(chunks))
        addresses.append(f"replay://{path}")
    with open_stream(fusion(), **joined(*addresses)) as stream:  # type: ignore[arg-type]
        assert events_of(stream) == [(0, "hot")]
        assert stream.status().counts["lost"] == 3


@pytest.mark.parametrize(
    ("settings", "error", "complaint"),
    [
        (
            {"join": None},
            ConfigError,
            r"come from several sources \(motion from .*fast.*; heat from .*slow.*\), .* join =",
        ),
        ({"inputs": {"motion": {}}}, ConfigError, "heat is missing; the model's inputs are motion, heat"),
        ({"inputs": {"motion": {}, "heat": {}, "cold": {}}}, ConfigError, "cold is unknown"),
        ({"inputs": {"motion": {"columns": [1]}, "heat": {}}}, ConfigError, "columns has 1 entries, it takes 2"),
        ({"inputs": {"motion": {"columns": [1, 2]}, "heat": {}}}, ConfigError, "give columns for all of them or none"),
        ({"inputs": {"motion": {"rate_hz": 2}, "heat": {"rate_hz": 3}}}, ConfigError, "rate_hz is one for all of them"),
        ({"inputs": {"motion": {}, "heat": {"source": "COM3"}}}, ConfigError, "inputs.motion: rate_hz is missing"),
        ({"inputs": {"motion": {"rate_hz": -1}, "heat": {}}}, ConfigError, "inputs.motion: rate_hz is -1.0"),
        ({"inputs": {"motion": {"colour": 1}, "heat": {}}}, ConfigError, "colour"),
        ({"columns": [0, 1]}, ConfigError, "each input has its own columns"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    settings: dict[str, object], error: type[EdgeRNNError], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=complaint):
        open_stream(fusion(), **{**joined(*recordings(tmp_path)), **settings})  # type: ignore[arg-type]


def test_sources_whose_times_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    fast, slow = recordings(tmp_path)
    (tmp_path / "plain.csv").write_text("1\n2\n")
    with (
        pytest.raises(ConfigError, match=r"plain\.csv has no arrival times"),
        open_stream(
            fusion(),
            **joined(fast, f"{tmp_path}/plain.csv"),  # type: ignore[arg-type]
        ),
    ):
        pass
    with VirtualPort() as port, pytest.raises(ConfigError, match=r"is live; .*slow.* is a file"):
        open_stream(fusion(), **joined(port.device, slow))  # type: ignore[arg-type]


def test_a_source_at_another_rate_than_it_should_have_is_named(tmp_path: Path) -> None:
    from edgernn.stream.sources.memory import MemorySource

    clock = ManualClock()
    sources = MemorySource(clock), MemorySource(clock)
    settings = StreamSettings(
        inputs={
            "motion": InputSettings(source="a", rate_hz=50.0),
            "heat": InputSettings(source="b", rate_hz=20.0),
        },
        join="hold",
    )
    sources[1].name = "thermometer"
    for k in range(400):
        sources[0].write(b"0,1\n")
        if k % 2 == 0:
            sources[1].write(b"1\n")
        clock.sleep(0.02)
    sources[0].end()
    with (
        Stream(fusion(), sources[0], settings, latched=[(sources[1], None)]) as stream,
        pytest.raises(FormatError, match=r"thermometer: 25 samples per second arrive, inputs.heat says 20: set"),
    ):
        list(stream)
