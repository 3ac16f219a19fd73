"""``edgernn demo``: the recording goes through a virtual serial port and is recognized."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgernn.cli.status_line import format_status
from edgernn.demo import compare, play, read_recording
from edgernn.stream.stream import StreamStatus

Command = Callable[..., tuple[int, str, str]]


def test_exercises_are_recognized(edgernn_command: Command) -> None:
    status, out, _ = edgernn_command("demo", "--seconds", 40, "--speed", 50)
    labels = [interval.label for interval in read_recording(40).intervals]
    assert status == 0
    assert len(labels) == 2
    assert all(label in out for label in labels)
    assert "2 of 2 exercises recognized" in out


def test_json_holds_the_summary(edgernn_command: Command) -> None:
    status, out, _ = edgernn_command("demo", "--seconds", 10, "--speed", 50, "--json")
    (interval,) = json.loads(out)
    assert status == 0
    assert interval["label"] == read_recording().intervals[0].label
    assert 0 < interval["recognized_after_s"] < 10


def test_it_runs_where_there_are_no_pseudo_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "openpty")
    recording = read_recording(10)
    events, status = play(recording, speed=50)
    (recognition,) = compare(recording, events, status.steps)
    assert recognition.after_s is not None


def test_every_sample_arrives() -> None:
    recording = read_recording(4)
    _, status = play(recording, speed=50)
    assert status.steps == len(recording.samples)
    assert status.counts["malformed"] == 0


def test_a_true_label_counts_once_and_others_are_listed() -> None:
    recording = read_recording()
    nothing = compare(recording, [], len(recording.samples))
    assert [recognition.interval for recognition in nothing] == list(recording.intervals)
    assert all(recognition.after_s is None and not recognition.others for recognition in nothing)


def test_too_short_a_piece_is_refused(edgernn_command: Command) -> None:
    assert edgernn_command("demo", "--seconds", 0)[0] == 2


def test_the_status_line_shows_scores_latency_and_losses() -> None:
    status = StreamStatus(
        rate_hz=49.96,
        scores={"rest": 0.0, "wave\x1b": 1.0},
        latency_p50_ns=120_000,
        latency_p99_ns=400_000,
        counts={"lost": 3, "malformed": 1},
    )
    assert format_status(status) == "50.0 Hz  rest   wave\\x1b █  latency 120/400 µs  lost 3 malformed 1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_summary(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgernn", "demo", "--speed", "10"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first_event = process.stdout.readline()
        process.send_signal(number)
        rest, _ = process.communicate()
    assert process.returncode == 0
    assert first_event.split()[1] == read_recording().intervals[0].label
    assert "1 of 1 exercises recognized" in rest
