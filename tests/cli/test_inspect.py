"""``edgernn inspect`` shows what is true of a model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edgernn

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gru_model(tmp_path: Path) -> Path:
    """A GRU of 4 on samples of 3, as time-major ONNX with a frozen length of 10 and an unfriendly output name."""
    rng = np.random.default_rng(0)
    weights = {"W": rng.uniform(-1, 1, (1, 12, 3)), "R": rng.uniform(-1, 1, (1, 12, 4))}
    graph = helper.make_graph(
        [
            helper.make_node("GRU", ["x", "W", "R"], ["Y", ""], "cell", hidden_size=4, linear_before_reset=1),
            helper.make_node("Squeeze", ["Y", "axes"], ["evil\x1b[2J"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [10, 1, 3])],
        [helper.make_tensor_value_info("evil\x1b[2J", TensorProto.FLOAT, None)],
        [
            *(onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()),
            onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"edgernn.labels": "a,b,c,d", "edgernn.rate_hz": "50"})
    path = tmp_path / "gru.onnx"
    onnx.save(model, path)
    return path


def test_json_tells_what_the_program_is(gru_model: Path, edgernn_command: Command) -> None:
    status, out, err = edgernn_command("inspect", gru_model, "--json")
    assert (status, err) == (0, "")
    facts = json.loads(out)
    program = edgernn.load(gru_model)
    assert facts["mode"] == "continuous"
    assert facts["trained_steps"] == 10
    assert facts["inputs"] == [{"name": "x", "shape": [3], "size": 3, "dtype": "float32", "rate": "1"}]
    assert [(slot["name"], slot["shape"]) for slot in facts["state"]] == [
        (slot.name, list(slot.shape)) for slot in program.state
    ]
    assert facts["multiply_accumulates"] == 12 * 3 + 12 * 4
    assert [operation["kind"] for operation in facts["operations"]] == ["Gru"]
    assert facts["memory_bytes"]["state"] >= 4 * 4
    assert facts["hash"] == program.hash
    assert facts["metadata"]["labels"] == ["a", "b", "c", "d"]


def test_windows_are_shown(gru_model: Path, edgernn_command: Command) -> None:
    facts = json.loads(edgernn_command("inspect", gru_model, "--window", 8, "--hop", 3, "--json")[1])
    assert (facts["mode"], facts["window_steps"], facts["hop_steps"], facts["window_copies"]) == ("windowed", 8, 3, 3)
    assert facts["multiply_accumulates"] == 3 * (12 * 3 + 12 * 4)


def test_text_shows_the_same_and_controls_no_terminal(gru_model: Path, edgernn_command: Command) -> None:
    status, out, err = edgernn_command("inspect", gru_model)
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    assert r"evil\x1b[2J" in out
    for shown in ("continuous", "sequences of 10 steps", "50 Hz", "a, b, c, d", "Gru", "84 multiply-accumulates"):
        assert shown in out


def test_the_latency_budget_names_what_dominates(gru_model: Path, edgernn_command: Command) -> None:
    budget = json.loads(edgernn_command("inspect", gru_model, "--window", 8, "--hop", 11, "--json")[1])[
        "latency_budget"
    ]
    parts = {part["name"]: part["worst_ns"] / 1e6 for part in budget["parts"]}
    assert (parts["sampling"], parts["window hop"]) == (20.0, 200.0)
    out = edgernn_command("inspect", gru_model, "--window", 8, "--hop", 11)[1]
    assert "from a movement to its event" in out
    assert "window hop is 8" in out
    assert "shorter with: a shorter --hop" in out


def test_a_refused_model_is_status_3(gru_model: Path, edgernn_command: Command) -> None:
    model = onnx.load(gru_model)
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, gru_model)
    status, out, err = edgernn_command("inspect", gru_model)
    assert (status, out) == (3, "")
    assert "Unheard" in err


def test_a_file_of_noise_is_status_3(tmp_path: Path, edgernn_command: Command) -> None:
    path = tmp_path / "noise.onnx"
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    status, _, err = edgernn_command("inspect", path)
    assert status == 3
    assert "Traceback" not in err


def test_the_latency_budget_is_that_of_the_windows_that_run_makes(tmp_path: Path, edgernn_command: Command) -> None:
    """A model trained on 25 samples that gives a result of its last state runs on windows of 25, one every 6."""
    model = Path(__file__).parents[1] / "models" / "torch" / "gru_head_last_opset18_legacy.onnx"
    converted = tmp_path / "gru.safetensors"
    assert edgernn_command("convert", model, "-o", converted, "--rate", 50)[0] == 0
    facts = json.loads(edgernn_command("inspect", converted, "--json")[1])
    assert facts["mode"] == "continuous"
    worst_ms = {part["name"]: part["worst_ns"] / 1e6 for part in facts["latency_budget"]["parts"]}
    assert worst_ms["window hop"] == pytest.approx(5 * 20)  # five more samples at most, 20 ms each


def test_a_board_is_shown_or_refused_with_sizes(gru_model: Path, edgernn_command: Command) -> None:
    status, out, _ = edgernn_command("inspect", gru_model, "--board", "uno")
    assert status == 0
    assert re.search(r"as C on Arduino Uno.*\n +flash +about \d,\d+ of 32,256 bytes\n +RAM +\d+ of 2,048 bytes", out)
    assert re.search(r"a step +about [\d,]+ cycles, [\d.]+ ms", out)
    facts = json.loads(edgernn_command("inspect", gru_model, "--board", "pico", "--json")[1])["firmware"]
    assert facts["flash_bytes"] < facts["board_flash_bytes"]
    assert facts["cycles_estimated"] > facts["step_ms_estimated"] > 0


def test_a_model_that_does_not_fit_a_board_is_refused_with_sizes(gru_model: Path, edgernn_command: Command) -> None:
    status, out, err = edgernn_command("inspect", gru_model, "--window", "300", "--board", "uno")
    assert (status, out) == (1, "")
    assert re.search(r"does not fit on Arduino Uno.*needs \d+ bytes of RAM.*has 2048", err)
    status, _, err = edgernn_command("inspect", gru_model, "--board", "abacus")
    assert status == 1
    assert "no board 'abacus'; known are uno, " in err
