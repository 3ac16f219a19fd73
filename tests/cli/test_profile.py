"""`edgernn profile`, from the command line to its table, JSON and files."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stream_models import larger_channel

from edgernn.program.file import save

DEMO_MODEL = Path(__file__).parents[2] / "edgernn" / "data" / "demo_model.onnx"
PATIENCE_S = 60


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "larger.safetensors"
    save(larger_channel(rate_hz=50.0), path)
    return path


def test_tables(edgernn_command: Callable[..., tuple[int, str, str]], model: Path) -> None:
    status, out, err = edgernn_command("profile", model, "--rate", 1000, "--seconds", 0.05, "--operations")
    assert status == 0
    assert [name in out for name in ("nothing", "edgernn step", "edgernn stream", "virtual port")] == [True] * 3 + [
        False
    ]
    for words in ("p99.99", "duty cycle", "a step allocates", "by measuring", "serial transfer", "shorter with"):
        assert words in out
    assert "3 benchmark targets interleaved, 0 s in all" in err


def test_json_and_files(edgernn_command: Callable[..., tuple[int, str, str]], model: Path, tmp_path: Path) -> None:
    html, trace, hdr, verified = (tmp_path / name for name in ("r.html", "t.json", "hdr", "v.json"))
    verified.write_text('[{"machine": "cortex-m4", "count": 9000}]')
    files = ["--html", html, "--trace", trace, "--hdr", hdr, "--verified", verified]
    options = ["--what", "step", "--what", "port", "--rate", 500, "--seconds", 0.1, "--deadline", 1_000_000]
    status, out, _ = edgernn_command("profile", model, "--json", *options, *files)
    assert status == 0
    found = json.loads(out)
    assert [(m["name"], m["steps"], m["deadline_misses"]) for m in found["measurements"]] == [
        (name, 50, 0) for name in ("nothing", "edgernn step", "edgernn virtual port")
    ]
    assert found["measurements"][1]["allocated_bytes"] == 0
    assert found["verified"][0]["count"] == 9000
    assert {part["name"] for part in found["budget"]["parts"]} >= {"sampling", "driver", "step"}
    assert "edgernn virtual port" in html.read_text("utf-8")
    assert json.loads(trace.read_text("utf-8"))["traceEvents"]
    assert sorted(path.name for path in hdr.iterdir()) == sorted(
        f"{name}-{kind}.hgrm"
        for name in ("nothing", "edgernn-step", "edgernn-virtual-port")
        for kind in ("response", "service")
    )
    assert "#[Max" in (hdr / "edgernn-step-response.hgrm").read_text()


def test_real_time_shows_what_it_gained(edgernn_command: Callable[..., tuple[int, str, str]], model: Path) -> None:
    options = [
        "--what",
        "step",
        "--rate",
        1000,
        "--seconds",
        0.02,
        "--realtime",
        "--without",
        "fifo",
        "--without",
        "memory",
    ]
    status, out, _ = edgernn_command("profile", model, *options)
    assert status == 0
    gained = out.split("real time gained")[1].split("\n\n")[0].splitlines()[1:]
    assert [line.split("  ")[1] for line in gained] == ["nothing", "edgernn step"]
    assert all(line.count("→") == 3 for line in gained)


def test_beside_onnxruntime_and_in_real_time(edgernn_command: Callable[..., tuple[int, str, str]]) -> None:
    cores = os.sched_getaffinity(0)
    options = ["--what", "step", "--rate", 500, "--seconds", 0.05, "--compare"]
    realtime = ["--realtime", "--without", "memory", "--without", "fifo"]
    status, out, err = edgernn_command("profile", DEMO_MODEL, "--json", *options, *realtime)
    assert status == 0
    found = json.loads(out)
    names = ["nothing", "edgernn step", "onnxruntime, 200 samples each time"]
    assert [m["name"] for m in found["measurements"]] == [*names, *(f"{name}, realtime" for name in names)]
    assert [(part, granted) for part, granted, _ in found["grants"]] == [("gc", True), ("core", True)]
    assert "realtime core: on core" in err
    assert os.sched_getaffinity(0) == cores


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--without", "gc"], "--without needs --realtime"),
        (["--compare"], "cannot be compared with onnxruntime: give the ONNX file"),
        (["--rate", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage(
    edgernn_command: Callable[..., tuple[int, str, str]], model: Path, options: list[str], complaint: str
) -> None:
    status, _, err = edgernn_command("profile", model, *options)
    assert status == 2
    assert complaint in err


def test_control_c_prints_what_there_is(model: Path) -> None:
    command = [sys.executable, "-m", "edgernn", "profile", str(model), "--seconds", "3600", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "Ctrl-C ends it" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert json.loads(out)["model"] == model.name


def test_an_onnxruntime_that_crashes_is_left_out(
    edgernn_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does on some recurrences in float16."""
    crash = "import os, signal, sys; sys.stdin.buffer.read(); os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("edgernn.latency.onnxruntime.PROBE", crash)
    options = ["--what", "step", "--rate", 500, "--seconds", 0.05, "--compare"]
    status, out, err = edgernn_command("profile", DEMO_MODEL, *options)
    assert status == 0
    assert "onnxruntime crashes on demo_model.onnx (SIGSEGV)" in err
    assert "edgernn step" in out
    assert "onnxruntime" not in out
