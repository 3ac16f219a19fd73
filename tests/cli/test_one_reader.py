"""What `convert` writes every command reads without a flag, and tells alike what it read and what it dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgernn.demo import MODEL
from edgernn.evaluation.sessions import read_sessions
from edgernn.recordings.report import Reading, ReadReport
from edgernn.recordings.sample_file import read_samples

Command = Callable[..., tuple[int, str, str]]
CONVERTED = Path(__file__).parent / "converted"
ROWS = 600
X = np.random.default_rng(3).normal(size=(ROWS, 6)).astype(np.float32)  # (T, channels)
LABELS = ("sit", "walk")


def table(path: Path, write: Callable[[int, list[str]], str], heading: str = "") -> Path:
    rows = [write(k, [f"{value:.6g}" for value in X[k]]) for k in range(ROWS)]
    path.write_text(heading + "\n".join(rows) + "\n", "utf-8")
    return path


def converted(k: int, row: list[str]) -> str:
    return ",".join([f"{k / 50:.6f}", *row, LABELS[k // 200 % 2] if k % 200 > 50 else ""])


NAMES = ",".join(f"x{k}" for k in range(6))
TABLES: dict[str, tuple[str, Callable[[int, list[str]], str]]] = {
    "converted": (f"time_s,{NAMES},label\n", converted),
    "capital": (f"Time_s,{NAMES},Label\n", converted),
    "semicolons": (
        f"time_s;{NAMES.replace(',', ';')};label\n",
        lambda k, row: converted(k, row).replace(",", ";").replace(".", ","),
    ),
    "mark": (f"\ufefftime_s,{NAMES},label\n", converted),
    "comments": (f"# made on Monday\n# sensor 7\ntime_s,{NAMES},label\n", converted),
    "seconds": (f"timestamp,{NAMES},label\n", converted),
    "first": (f"label,{NAMES}\n", lambda k, row: ",".join([LABELS[k // 200 % 2] if k % 200 > 50 else "", *row])),
    "quoted": (f'"time_s",{NAMES},"label"\n', lambda k, row: converted(k, row).replace("walk", '"walk, slow"')),
}


@pytest.mark.parametrize("kind", TABLES)
def test_samples_and_labels_are_the_same_for_every_reader(kind: str, tmp_path: Path) -> None:
    heading, write = TABLES[kind]
    path = table(tmp_path / "a.csv", write, heading)
    np.testing.assert_allclose(read_samples(path, size=6), X, rtol=1e-5)
    (session,) = read_sessions(path)
    pieces = list(session.pieces())
    np.testing.assert_allclose(np.concatenate([piece.data for piece in pieces]), X, rtol=1e-5)
    labels = [piece.label for piece in pieces for _ in range(len(piece.data))]
    walk = "walk, slow" if kind == "quoted" else "walk"
    assert labels == [(("sit", walk)[k // 200 % 2]) if k % 200 > 50 else None for k in range(ROWS)]
    assert session.rate_hz == (None if kind == "first" else pytest.approx(50, rel=1e-3))


def test_every_command_reads_what_convert_writes_and_says_so(edgernn_command: Command, tmp_path: Path) -> None:
    heading, write = TABLES["converted"]
    path = table(tmp_path / "a.csv", write, heading)
    told = f"{path}: {ROWS} samples; text 1"
    flags = ("--allow-rate", "--labels", "sit,walk,c,d,e,f,g", "--nothing", "g")
    status, out, err = edgernn_command("run", MODEL, path, "--json", *flags)
    assert (status, f"in {ROWS} samples" in err) == (0, True), err
    events = [json.loads(line)["step"] for line in out.splitlines()]
    status, out, err = edgernn_command("evaluate", MODEL, path, "--json", *flags)
    assert (status, told in err) == (0, True), err
    assert json.loads(out)[0]["samples"] == ROWS
    assert len(events) > 0
    status, out, err = edgernn_command("check", MODEL, path)
    assert (status, told in err) == (0, True), err
    output = tmp_path / "q.safetensors"
    status, _, err = edgernn_command("quantize", MODEL, "-c", path, "-o", output)
    assert (status, told in err) == (0, True), err


def test_ten_gestures_are_found_in_a_converted_recording(edgernn_command: Command, tmp_path: Path) -> None:
    model, recording = CONVERTED / "gesture.onnx", CONVERTED / "monday.csv"
    status, out, err = edgernn_command("run", model, recording, "--json")
    assert (status, len(out.splitlines()), "10 events in 2999 samples" in err) == (0, 10, True)
    status, out, _ = edgernn_command("evaluate", model, recording, "--json")
    assert (status, json.loads(out)[0]["samples"], json.loads(out)[0]["events"]["detected"]) == (0, 2999, 10)
    quantize = ("quantize", model, "-c", recording, "-o", tmp_path / "q.safetensors")
    for arguments in (("check", model, recording, "--json"), quantize):
        status, out, err = edgernn_command(*arguments)
        assert (status, f"{recording}: 2999 samples; text 1" in err) == (0, True)


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """One row in ten has a field too few."""
    return table(tmp_path / "torn.csv", lambda k, row: ",".join(row[: 6 - (k % 10 == 9)]))


def test_more_than_one_row_in_twenty_dropped_is_an_error(edgernn_command: Command, tmp_path: Path, torn: Path) -> None:
    flags: dict[str, tuple[str, ...]] = {
        "run": ("run", str(MODEL), str(torn), "--allow-rate"),
        "check": ("check", str(MODEL), str(torn)),
        "quantize": ("quantize", str(MODEL), "-c", str(torn), "-o", str(tmp_path / "q.safetensors")),
    }
    for command, arguments in flags.items():
        status, _, err = edgernn_command(*arguments)
        assert (status, "60 of 600 rows were not read (wrong width 60)" in err) == (1, True), (command, err)
        status, _, err = edgernn_command(*arguments, "--allow-dropped")
        assert status == 0, err


def test_missing_numbers_are_filled_by_the_policy(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("nan,1\n1,2\n2,NA\n3,4\n" + "--,5\n" * 3 + "4,6\n")
    reports: list[ReadReport] = []
    held = read_samples(path, on_report=reports.append)
    assert held.tolist() == [[1, 2], [2, 2], [3, 4], [3, 5], [3, 5], [3, 5], [4, 6]]
    told = "8 samples; non finite 5, missing nan 1, missing na 1, missing dashes 3, filled 4, left out 1"
    assert str(reports[0]).endswith(told)
    cut = read_samples(path, reading=Reading(gap="reset"))
    assert cut.tolist() == [[1, 2], [3, 4], [4, 6]]
    short = read_samples(path, reading=Reading(gap_steps=2))
    assert short.tolist() == [[1, 2], [2, 2], [3, 4], [3, 5], [3, 5], [4, 6]]
