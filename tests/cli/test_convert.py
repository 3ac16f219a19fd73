"""``edgernn convert`` keeps the computation and changes what the model says about itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stream_models import two_frames

import edgernn
from edgernn.demo import MODEL
from edgernn.evaluation.sessions import read_sessions
from edgernn.program.description import Window
from edgernn.program.file import save
from edgernn.stream.recording import LabelMark, RecordedChunk, RecordingInfo, encode_chunk, encode_heading, encode_mark

Command = Callable[..., tuple[int, str, str]]


def test_a_converted_model_is_the_same_program(tmp_path: Path, edgernn_command: Command) -> None:
    output = tmp_path / "demo.safetensors"
    status, out, _ = edgernn_command("convert", MODEL, "-o", output, "--json")
    original, converted = edgernn.load(MODEL), edgernn.load(output)
    assert status == 0
    assert json.loads(out) == {"file": str(output), "bytes": output.stat().st_size, "hash": original.hash}
    assert converted.description == original.description
    assert converted.hash == original.hash


def test_what_is_given_replaces_what_the_model_says(tmp_path: Path, edgernn_command: Command) -> None:
    output = tmp_path / "renamed.safetensors"
    given = ["--labels", "a,b,c,d,e,f,g", "--channels", "1,2,3,4,5,6", "--rate", "100"]
    given += ["--mean", "0,0,9.81,0,0,0", "--std", "1,1,2,1,1,1", "--units", "g,g,g,r,r,r"]
    given += ["--decision", "threshold=0.9", "--decision", "nothing=g"]
    assert edgernn_command("convert", MODEL, "-o", output, *given)[0] == 0
    original, changed = edgernn.load(MODEL), edgernn.load(output)
    assert changed.hash == original.hash
    assert changed.metadata.labels == tuple("abcdefg")
    assert changed.metadata.channels == tuple("123456")
    assert changed.metadata.units == ("g", "g", "g", "r", "r", "r")
    assert changed.metadata.rate_hz == 100
    assert changed.metadata.mean == (0, 0, 9.81, 0, 0, 0)
    assert changed.metadata.std == (1, 1, 2, 1, 1, 1)
    assert changed.metadata.window_steps == original.metadata.window_steps
    assert changed.metadata.decision.threshold == 0.9
    assert changed.metadata.decision.nothing == "g"
    assert changed.metadata.decision.smoothing_steps == original.metadata.decision.smoothing_steps


def test_a_program_file_can_be_converted_again(tmp_path: Path, edgernn_command: Command) -> None:
    output = tmp_path / "demo.safetensors"
    assert edgernn_command("convert", MODEL, "-o", output)[0] == 0
    assert edgernn_command("convert", output, "-o", output, "--rate", "25")[0] == 0
    assert edgernn.load(output).metadata.rate_hz == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "a,b"], "labels has 2 entries"),
        (["--channels", "x,y,z", "--units", ""], "channels has 3 entries"),
        (["--labels", "a,a,c,d,e,f,g"], "a duplicate entry"),
        (["--mean", "0,0,0,0,0,0"], "std has 0"),
        (["--mean", "0,x"], "must be numbers"),
        (["--rate", "-1"], "rate_hz is -1"),
        (["--decision", "threshold"], "KEY=VALUE"),
        (["--decision", "threshold=2"], "threshold is 2"),
        (["--decision", "volume=2"], "volume"),
    ],
)
def test_wrong_metadata_is_status_2_and_writes_nothing(
    arguments: list[str], message: str, tmp_path: Path, edgernn_command: Command
) -> None:
    output = tmp_path / "demo.safetensors"
    status, out, err = edgernn_command("convert", MODEL, "-o", output, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert not output.exists()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Six samples; 1 to 3 are labelled."""
    path = tmp_path / "a.edgerec"
    entries = [encode_heading(RecordingInfo())]
    for place in range(6):
        if place in {1, 4}:
            entries.append(encode_mark(LabelMark(place, place, "wave" if place == 1 else None)))
        entries.append(encode_chunk(RecordedChunk(place * 20_000_000, 0, b"%d,-%d.5\n" % (place, place))))
    path.write_bytes(b"".join(entries))
    return path


def test_a_recording_becomes_a_table_of_numbers_with_its_labels(
    recording: Path, tmp_path: Path, edgernn_command: Command
) -> None:
    output = tmp_path / "a.csv"
    status, out, err = edgernn_command("convert", recording, "-o", output, "--channels", "x,y")
    assert (status, out.split(": ", 1)[1]) == (0, "6 samples of 2 channels; labels: wave\n"), err
    lines = output.read_text().splitlines()
    assert lines[0] == "time_s,x,y,label"
    assert lines[3] == "0.040000,2.0,-2.5,wave"
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["", "wave", "wave", "wave", "", ""]
    assert f"{recording}: 6 samples; nothing was passed over" in err


def test_a_recording_becomes_arrays_that_evaluate_reads(
    recording: Path, tmp_path: Path, edgernn_command: Command
) -> None:
    output = tmp_path / "a.npz"
    assert edgernn_command("convert", recording, "-o", output)[0] == 0
    with np.load(output) as arrays:
        assert arrays["samples"].tolist() == [[k, -k - 0.5] for k in range(6)]
        assert arrays["channel_names"].tolist() == ["x0", "x1"]
        assert (arrays["interval_start"].tolist(), arrays["interval_stop"].tolist()) == ([1], [4])
    (session,) = read_sessions(output)
    assert [piece.label for piece in session.pieces()] == [None, "wave", None]


@pytest.mark.parametrize(
    ("sent", "names", "units"),
    [
        (b"t_ms,ax [g],ay\r\n0,1,2\r\n20,3,4\r\n", ["t_ms", "ax", "ay"], ["", "g", ""]),
        (b"t_ms:0,ax:1,ay:2\nt_ms:20,ax:3,ay:4\n", ["t_ms", "ax", "ay"], None),
        (b'{"t_ms":0,"ax":1,"ay":2}\n{"t_ms":20,"ax":3,"ay":4}\n', ["t_ms", "ax", "ay"], None),
    ],
)
def test_names_and_units_that_the_board_sent_are_kept(
    sent: bytes, names: list[str], units: list[str] | None, tmp_path: Path, edgernn_command: Command
) -> None:
    path = tmp_path / "a.edgerec"
    path.write_bytes(encode_heading(RecordingInfo(label="wave")) + encode_chunk(RecordedChunk(0, 0, sent)))
    for output in (tmp_path / "a.csv", tmp_path / "a.npz"):
        assert edgernn_command("convert", path, "-o", output)[0] == 0
        (session,) = read_sessions(output)
        kept = [name for name in names if output.suffix == ".npz" or name != "t_ms"]
        assert session.channels == tuple(kept)
        if units is not None:
            assert session.units == tuple(unit for unit, name in zip(units, names, strict=True) if name in kept)
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["device_time_us"].tolist() == [0, 20_000]
        assert arrays["samples"].tolist() == [[0, 1, 2], [20, 3, 4]]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [("a.txt", [], "must end in .csv or .npz"), ("a.csv", ["--channels", "x"], "1 channels are named")],
)
def test_a_recording_that_cannot_be_written_so_is_refused(
    name: str, given: list[str], message: str, recording: Path, tmp_path: Path, edgernn_command: Command
) -> None:
    status, _, err = edgernn_command("convert", recording, "-o", tmp_path / name, *given)
    assert (status, message in err) == (1, True)


def test_a_recording_without_samples_is_refused(tmp_path: Path, edgernn_command: Command) -> None:
    path = tmp_path / "a.edgerec"
    path.write_bytes(encode_heading(RecordingInfo()))
    status, _, err = edgernn_command("convert", path, "-o", tmp_path / "a.csv")
    assert (status, "holds no samples" in err) == (1, True)


def test_another_ending_is_status_2(tmp_path: Path, edgernn_command: Command) -> None:
    assert edgernn_command("convert", MODEL, "-o", tmp_path / "demo.onnx")[0] == 2


@pytest.mark.parametrize("window", [None, Window(4, 2)])
def test_labels_name_the_scores_of_one_of_several_frames(
    window: Window | None, tmp_path: Path, edgernn_command: Command
) -> None:
    source, output = tmp_path / "two.safetensors", tmp_path / "named.safetensors"
    save(two_frames(window), source)
    assert edgernn_command("convert", source, "-o", output, "--labels", "left,right")[0] == 0
    assert edgernn.load(output).metadata.labels == ("left", "right")
    status, _, err = edgernn_command("convert", source, "-o", output, "--labels", "a,b,c,d")
    assert (status, "output scores has 2 scores" in err) == (2, True)
