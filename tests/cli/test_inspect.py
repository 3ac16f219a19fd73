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
from sequence_models import cell_weights, make_model

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
    assert facts["mode"] == "windowed"
    assert facts["running"]["hop"] == 6
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


@pytest.fixture
def look_ahead_model(tmp_path: Path) -> Path:
    """A residual of two convolutions that look ahead, every second frame of it, and a GRU."""
    rng = np.random.default_rng(0)
    weights = {"K": rng.standard_normal((5, 2, 3)), "L": rng.standard_normal((5, 5, 3))}
    weights = {name: array.astype(np.float32) for name, array in weights.items()} | cell_weights("GRU", 5, 4, rng)
    nodes = [
        helper.make_node("Conv", ["x", "K"], ["c"], "first", pads=[1, 1]),
        helper.make_node("Conv", ["c", "L"], ["d"], "second", pads=[1, 1]),
        helper.make_node("Add", ["c", "d"], ["e"], "joined"),
        helper.make_node("MaxPool", ["e"], ["p"], "pool", kernel_shape=[2], strides=[2]),
        helper.make_node("Transpose", ["p"], ["t"], perm=[2, 0, 1]),
        helper.make_node("GRU", ["t", "W", "R", "B"], ["y", "last"], "cell", hidden_size=4),
    ]
    path = tmp_path / "look_ahead.onnx"
    onnx.save(make_model(nodes, {"x": [1, 2, "time"]}, ["y", "last"], weights), path)
    return path


def test_what_makes_a_model_late_and_what_its_tail_costs(look_ahead_model: Path, edgernn_command: Command) -> None:
    facts = json.loads(edgernn_command("inspect", look_ahead_model, "--json")[1])
    assert (facts["mode"], facts["delay_steps"], facts["first_output_step"]) == ("delayed", 2, 2)
    assert facts["looks_ahead"] == [{"nodes": ["first"], "steps": 1}, {"nodes": ["second"], "steps": 1}]
    work, count = facts["work"], len(facts["operations"])
    products = 5 * 6 + 5 * 15 + 12 * 5 + 12 * 4
    assert facts["multiply_accumulates"] == products
    assert (work["tail_steps_in_a_step"], work["tail_operations"]) == (2, 2 * count)
    assert work["tail_multiply_accumulates"] == 2 * products
    assert work["worst_step_multiply_accumulates"] == 3 * products
    operations = {operation["name"]: operation for operation in facts["operations"]}
    assert operations["first"]["delay_steps"] == 1
    assert operations["joined"]["sources"] == ["joined"]
    assert (operations["cell"]["rate"], operations["cell"]["delay_steps"]) == ("1/2", 2)
    assert operations["cell"]["state_bytes"] == 4 * 4
    assert operations["x:history"]["state_bytes"] == 3 * 2 * 4 + 4
    assert operations["x:history"]["sources"] == ["first"]
    out = edgernn_command("inspect", look_ahead_model)[1]
    for shown in ("looks ahead  first by 1; second by 1", "2 more steps after each sample", "every 2 steps", "late by"):
        assert shown in out


def test_a_tail_only_at_the_end(look_ahead_model: Path, edgernn_command: Command) -> None:
    facts = json.loads(edgernn_command("inspect", look_ahead_model, "--tail", "flush", "--json")[1])
    assert (facts["work"]["tail_steps"], facts["work"]["tail_steps_in_a_step"]) == (2, 0)
    assert "2 steps when the stream is flushed" in edgernn_command("inspect", look_ahead_model, "--tail", "flush")[1]
    assert edgernn_command("inspect", look_ahead_model, "--tail", "never")[0] == 2


def test_kinds_of_windows_and_their_worst_step(
    look_ahead_model: Path, tmp_path: Path, edgernn_command: Command
) -> None:
    facts = json.loads(edgernn_command("inspect", look_ahead_model, "--window", 20, "--hop", 5, "--json")[1])
    assert (facts["window_recomputed"], facts["window_copies"], facts["first_output_step"]) == (False, 4, 20)
    assert facts["work"]["worst_step_multiply_accumulates"] == (4 + 2) * facts["multiply_accumulates"] // 4
    assert facts["work"]["state_bytes"] == edgernn.load(look_ahead_model, window=20, hop=5).state_bytes
    assert "staggered, 4 copies" in edgernn_command("inspect", look_ahead_model, "--window", 20, "--hop", 5)[1]
    rng = np.random.default_rng(1)
    node = helper.make_node("GRU", ["x", "W", "R"], ["y"], "cell", hidden_size=4, direction="reverse")
    weights = cell_weights("GRU", 2, 4, rng)
    del weights["B"]
    onnx.save(make_model([node], {"x": [20, 1, 2]}, ["y"], weights), tmp_path / "reverse.onnx")
    facts = json.loads(edgernn_command("inspect", tmp_path / "reverse.onnx", "--json")[1])
    assert (facts["mode"], facts["window_recomputed"], facts["window_steps"]) == ("windowed", True, 20)
    assert "cell" in facts["mode_reason"]
    assert facts["multiply_accumulates"] == 20 * 12 * (2 + 4)
    (cell,) = [operation for operation in facts["operations"] if operation["kind"] == "Gru"]
    assert (cell["iterations"], cell["multiply_accumulates"]) == (20, 20 * 12 * (2 + 4))
    assert "recomputed: frames are kept" in edgernn_command("inspect", tmp_path / "reverse.onnx")[1]


def test_explain_says_what_was_fused_and_what_was_not(tmp_path: Path, edgernn_command: Command) -> None:
    """A Gelu whose 1 is 1.1 nearly is one; a matrix product takes up its bias."""
    constants = {"W": np.eye(3), "b": np.ones(3), "slope": 0.5**0.5, "one": 1.1, "half": 0.5}
    names = [("MatMul", "x W", "z"), ("Add", "z b", "a"), ("Mul", "a slope", "s"), ("Erf", "s", "e")]
    names += [("Add", "e one", "g"), ("Mul", "a g", "p"), ("Mul", "p half", "y")]
    nodes = [helper.make_node(kind, inputs.split(), [output], name=f"n{output}") for kind, inputs, output in names]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "time", 3]) for name in "xy"]
    arrays = [onnx.numpy_helper.from_array(np.array(array, np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", ports[:1], ports[1:], arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    status, out, err = edgernn_command("inspect", tmp_path / "m.onnx", "--explain", "--json")
    assert (status, err) == (0, "")
    facts = json.loads(out)
    assert [entry["nodes"] for entry in facts["fused"]] == [["nz", "na"]]
    assert [(entry["pattern"], entry["nodes"], entry["reason"]) for entry in facts["nearly_fused"]] == [
        ("Gelu", ["ny"], "1.1 is added, not 1")
    ]
    status, out, _ = edgernn_command("inspect", tmp_path / "m.onnx", "--explain")
    assert status == 0
    assert "not fused, though it begins alike" in out
    edgernn.save(edgernn.load(tmp_path / "m.onnx"), tmp_path / "m.safetensors")
    status, _, err = edgernn_command("inspect", tmp_path / "m.safetensors", "--explain")
    assert status == 2
    assert "--explain is for ONNX models" in err
