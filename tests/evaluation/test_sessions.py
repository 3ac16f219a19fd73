"""Labelled recordings of every kind give the same pieces; what is wrong with one is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.evaluation.sessions import Session, read_sessions
from edgernn.stream.recording import LabelMark, RecordedChunk, RecordingInfo, encode_chunk, encode_heading, encode_mark

SAMPLES = np.arange(400, dtype=np.float32).reshape(200, 2)
LABELS = ["rest"] * 90 + ["wave"] * 110
NAMES = np.array(["rest", "wave"])
NUMBERS = np.array([0] * 90 + [1] * 110)


def samples_and_labels(session: Session) -> tuple[np.ndarray, list[str | None]]:
    pieces = [(np.asarray(data), label) for data, label, _ in session.pieces()]
    labels = [label for data, label in pieces for _ in range(len(data))]
    return np.concatenate([data for data, _ in pieces]), labels


def archive(path: Path, **arrays: object) -> Path:
    np.savez(path, **{"samples": SAMPLES, "label_names": NAMES, **arrays})  # type: ignore[arg-type]
    return path


def table(path: Path, heading: str, rows: list[str]) -> Path:
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def with_column(folder: Path) -> Path:
    rows = [
        f"{x:g},{y:g},{place * 20},{label}" for place, ((x, y), label) in enumerate(zip(SAMPLES, LABELS, strict=True))
    ]
    return table(folder / "a.csv", "x,y,timestamp,label", rows)


def with_table_beside(folder: Path) -> Path:
    rows = [f"{place / 50},{x:g},{y:g}" for place, (x, y) in enumerate(SAMPLES)]
    table(folder / "b.labels.csv", "start,stop,label", ["0,90,rest", "90,200,wave"])
    return table(folder / "b.csv", "time_s,x,y", rows)


def with_intervals(folder: Path) -> Path:
    intervals = {"interval_start": [0, 90], "interval_stop": [90, 200], "interval_label": [0, 1]}
    return archive(folder / "c.npz", rate_hz=50.0, **intervals)


def with_numbers(folder: Path) -> Path:
    return archive(folder / "d.npz", rate_hz=50.0, label=NUMBERS)


@pytest.mark.parametrize("write", [with_column, with_table_beside, with_intervals, with_numbers])
def test_every_kind_of_file_gives_the_same_session(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    (session,) = read_sessions(write(tmp_path))
    samples, labels = samples_and_labels(session)
    np.testing.assert_array_equal(samples, SAMPLES)
    assert labels == LABELS
    assert session.rate_hz == pytest.approx(50.0)


def test_recordings_laid_end_to_end_are_sessions_of_their_own(tmp_path: Path) -> None:
    sessions = read_sessions(archive(tmp_path / "e.npz", lengths=[90, 0, 110], label=[0, 1, 1]))
    assert [samples_and_labels(session)[1] for session in sessions] == [["rest"] * 90, ["wave"] * 110]
    np.testing.assert_array_equal(samples_and_labels(sessions[1])[0], SAMPLES[90:])


def test_marks_of_a_recording_label_the_bytes_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "f.edgerec"
    chunks = [RecordedChunk(place, place, f"{place}\n".encode()) for place in range(3)]
    entries = [encode_chunk(chunks[0]), encode_mark(LabelMark(1, 1, "wave")), encode_chunk(chunks[1])]
    entries += [encode_mark(LabelMark(2, 2, None)), encode_chunk(chunks[2])]
    path.write_bytes(encode_heading(RecordingInfo(label="rest")) + b"".join(entries))
    (session,) = read_sessions(path)
    assert [(piece.data.data, piece.label) for piece in session.pieces()] == [  # type: ignore[union-attr]
        (b"0\n", "rest"),
        (b"1\n", "wave"),
        (b"2\n", None),
    ]


def test_unlabelled_stretches_have_no_label(tmp_path: Path) -> None:
    intervals = {"interval_start": [10], "interval_stop": [20], "interval_label": [1]}
    (session,) = read_sessions(archive(tmp_path / "g.npz", **intervals))
    assert samples_and_labels(session)[1] == [None] * 10 + ["wave"] * 10 + [None] * 180
    assert session.rate_hz is None


@pytest.mark.parametrize(
    ("heading", "rows", "complaint"),
    [
        ("x,y", ["1,2"], "no column called label"),
        ("x,label", [], "holds no samples"),
        ("label", ["wave"], "holds no samples"),
        ("x,x,label", ["1,2,wave"], "no column called label"),
        ("x,label", ["1,2,wave"], "no column called label|not read"),
        ("x,label", ["one,wave"], "holds no samples"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, heading: str, rows: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_sessions(table(tmp_path / "bad.csv", heading, rows))


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"label": NUMBERS[:50]}, "200 samples and 50 labels"),
        ({"label": NUMBERS + 7}, "no labelled samples"),
        ({}, "no labelled samples"),
        ({"lengths": [90, 200], "label": [0, 1]}, "do not add up"),
        ({"interval_start": [0], "interval_stop": [201], "interval_label": [0]}, "not within the 200 samples"),
        ({"samples": np.zeros((0, 2)), "label": []}, "must be"),
    ],
)
def test_a_wrong_archive_is_refused(tmp_path: Path, arrays: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_sessions(archive(tmp_path / "bad.npz", **arrays))


def test_an_archive_that_is_none_and_an_empty_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x05\x06 and so on")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00,label\n")
    for name in ("bad.npz", "empty.csv", "bytes.csv"):
        with pytest.raises(InputError, match=name):
            read_sessions(tmp_path / name)
