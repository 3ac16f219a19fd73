"""One model of a trained length through all commands: what is shown, checked, measured and exported is what runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from sequence_models import cell_weights, make_model

import edgernn
from firmware_export.host import host_outputs

Command = Callable[..., tuple[int, str, str]]
W, HOP = 16, 4  # trained length, and the hop that follows from it
LABELS = ("rest", "wave", "circle")
STEPS = 300


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A GRU with a long memory (z near 1), a dense layer and a softmax, on sequences whose length was frozen at 16."""
    rng = np.random.default_rng(3)
    weights = cell_weights("GRU", 3, 8, rng)
    weights["B"][0, :8] = 2.0  # z: the state decays by about an eighth in a step
    nodes = [
        helper.make_node("GRU", ["x", "W", "R", "B"], ["", "h"], "cell", hidden_size=8, linear_before_reset=1),
        helper.make_node("Squeeze", ["h", "first"], ["last"]),
        helper.make_node("Gemm", ["last", "D", "d"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    more = {
        "first": np.array([0], np.int64),
        "D": rng.normal(0, 8, (3, 8)).astype(np.float32),
        "d": np.zeros(3, np.float32),
    }
    decision = {"threshold": 0.01, "release": 0.0, "smoothing_steps": 1}
    properties = {
        "edgernn.labels": json.dumps(LABELS),
        "edgernn.rate_hz": "50",
        "edgernn.decision": json.dumps(decision),
    }
    made = make_model(nodes, {"x": [W, 1, 3]}, ["scores"], weights | more, properties=properties)
    path = tmp_path / "gesture.onnx"
    onnx.save(made, path)
    return path


@pytest.fixture
def samples() -> np.ndarray:
    return np.cumsum(np.random.default_rng(8).normal(0, 0.3, (STEPS, 3)), axis=0)[:, ::-1].astype(np.float32)


@pytest.fixture
def expected(model: Path, samples: np.ndarray) -> dict[int, np.ndarray]:
    """Scores (3,) by the step in which each window ends, as onnxruntime gives them."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return {
        end: session.run(None, {"x": samples[end + 1 - W : end + 1, None]})[0].ravel()
        for end in range(W - 1, STEPS, HOP)
    }


def test_all_commands_run_the_same_windows(
    model: Path, samples: np.ndarray, expected: dict[int, np.ndarray], tmp_path: Path, edgernn_command: Command
) -> None:
    recording = tmp_path / "take.csv"
    labels = [LABELS[int(expected[min(expected, key=lambda end: abs(end - t))].argmax())] for t in range(STEPS)]
    rows = [",".join([*(f"{x:.9g}" for x in row), label]) for row, label in zip(samples, labels, strict=True)]
    recording.write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    scores = np.array(list(expected.values()))

    facts = json.loads(edgernn_command("inspect", model, "--json")[1])
    assert (facts["mode"], facts["window_steps"], facts["hop_steps"]) == ("windowed", W, HOP)
    assert {**facts["running"], "reason": ""} == {"kind": "windows", "steps": W, "hop": HOP, "reason": ""}
    assert "--continuous" in edgernn_command("inspect", model)[1]

    checked = json.loads(edgernn_command("check", model, "--json")[1])
    assert checked["agrees"]
    assert "window" in checked["comparisons"][0]["compared"]

    sent = tmp_path / "sent.csv"
    sent.write_text("".join(",".join(f"{x:.9g}" for x in row) + "\n" for row in samples))
    events = [
        json.loads(line) for line in edgernn_command("run", model, sent, "--json", "--allow-rate")[1].splitlines()
    ]
    assert events
    for event in events:
        assert event["label"] == LABELS[int(expected[event["step"]].argmax())]
        assert event["score"] == pytest.approx(expected[event["step"]].max(), abs=1e-4)
    program = edgernn.as_run(edgernn.load(model))
    Y, index = edgernn.Runner(program).run(samples, index=True)
    np.testing.assert_array_equal(index, list(expected))
    np.testing.assert_allclose(Y, scores, atol=1e-5)

    status, out, err = edgernn_command("evaluate", model, recording, "--json")
    assert status == 0, err
    (evaluation,) = json.loads(out)
    truth = [LABELS.index(labels[end]) for end in expected]
    assert evaluation["outputs"]["outputs"] == len(expected)
    assert evaluation["outputs"]["accuracy"] == pytest.approx(np.mean(scores.argmax(1) == truth))

    int8 = tmp_path / "int8.safetensors"
    status, out, _ = edgernn_command("quantize", model, "-c", sent, "-o", int8, "--json")
    assert status == 0
    shown = json.loads(edgernn_command("inspect", int8, "--json")[1])
    assert (shown["running"]["steps"], shown["hop_steps"]) == (W, HOP)
    found = edgernn.Runner(edgernn.as_run(edgernn.load(int8))).run(samples)
    assert np.abs(found - scores).max() < 0.05

    budget = json.loads(edgernn_command("profile", model, "--what", "step", "--seconds", 0.1, "--json")[1])["budget"]
    assert next(part for part in budget["parts"] if part["name"] == "window hop")["worst_ns"] == (HOP - 1) * 20_000_000

    assert edgernn_command("export", model, "--target", "c", "-o", tmp_path / "c")[0] == 0
    flashed = edgernn.load(tmp_path / "c" / "program.safetensors")
    outputs = host_outputs(flashed, {"x": samples})
    np.testing.assert_allclose(outputs["scores"], scores, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--hop", 8), "windows of 16 steps, one every 8"),
        (("--window", 20), "windows of 20 steps, one every 1"),
        (("--continuous",), "continuous: asked for"),
        (("--reset-every", 50), "reset every 50 steps: asked for"),
    ],
)
def test_what_was_chosen_is_shown_and_kept_in_the_program_file(
    options: tuple[object, ...], text: str, model: Path, tmp_path: Path, edgernn_command: Command
) -> None:
    assert text in edgernn_command("inspect", model, *options)[1]
    assert edgernn_command("convert", model, "-o", tmp_path / "kept.safetensors", *options)[0] == 0
    assert text in edgernn_command("inspect", tmp_path / "kept.safetensors")[1]


def test_metadata_say_how_the_model_runs(model: Path, edgernn_command: Command) -> None:
    loaded = onnx.load(model)
    for entry, text in (("continuous", "continuous"), ("windows 20 10", "windows of 20 steps, one every 10")):
        onnx.helper.set_model_props(loaded, {"edgernn.running": entry})
        onnx.save(loaded, model)
        assert text in edgernn_command("inspect", model)[1]
    onnx.helper.set_model_props(loaded, {"edgernn.running": "sometimes"})
    onnx.save(loaded, model)
    status, _, err = edgernn_command("inspect", model)
    assert status == 3
    assert "edgernn.running is 'sometimes'" in err


def test_a_reset_every_so_many_steps_is_the_same_in_c_and_in_the_quantizer(
    model: Path, samples: np.ndarray, tmp_path: Path, edgernn_command: Command
) -> None:
    status, _, err = edgernn_command("export", model, "--target", "c", "-o", tmp_path / "c", "--reset-every", 50)
    assert status == 0, err
    program = edgernn.load(tmp_path / "c" / "program.safetensors")
    assert program.running.reset_steps == 50
    runner = edgernn.Runner(program)
    parts = []
    for begin in range(0, STEPS, 50):
        runner.reset()
        parts.append(runner.run(samples[begin : begin + 50]))
    np.testing.assert_allclose(host_outputs(program, {"x": samples})["scores"], np.concatenate(parts), atol=1e-6)
    header = (tmp_path / "c" / "gesture.h").read_text()
    assert "if (state->until_reset == 0) gesture_reset(state);" in header
    status, out, err = edgernn_command("verify", tmp_path / "c", "--machine", "host", "--steps", 200)
    assert status == 0, out + err
