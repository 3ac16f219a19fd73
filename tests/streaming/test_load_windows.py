"""Windows of models that could be streamed: staggered copies of the state, or frames where these would be too large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from sequence_models import cell_weights, make_model
from streaming_oracle import largest_difference

import edgernn
from edgernn import importers
from edgernn.importers import import_onnx
from edgernn.reference.runner import ReferenceRunner

HIDDEN = 4


@pytest.fixture
def model() -> onnx.ModelProto:
    """A strided convolution that looks ahead, then a GRU: frames, and the last state."""
    rng = np.random.default_rng(0)
    weights = cell_weights("GRU", 5, HIDDEN, rng) | {"K": rng.standard_normal((5, 2, 3)).astype(np.float32) / 2}
    nodes = [
        helper.make_node("Conv", ["x", "K"], ["c"], strides=[2], pads=[1, 1]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[2, 0, 1]),
        helper.make_node("GRU", ["t", "W", "R", "B"], ["y", "last"], hidden_size=HIDDEN),
    ]
    return make_model(nodes, {"x": [1, 2, "time"]}, ["y", "last"], weights)


@pytest.mark.parametrize(("window", "hop"), [(9, 1), (8, 3), (7, 10)])
@pytest.mark.parametrize("largest", [0, importers.MAX_STATES])
def test_both_kinds_of_window_equal_onnxruntime(
    window: int, hop: int, largest: int, model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importers, "MAX_STATES", largest)
    onnx.save(model, tmp_path / "model.onnx")
    imported = import_onnx(tmp_path / "model.onnx", window=window, hop=hop)
    program = imported.program
    assert program.window is not None
    assert program.window.recomputed == (largest == 0)
    assert (program.mode, program.window_steps, program.warmup_steps) == ("windowed", window, window - 1)
    x = np.random.default_rng(1).standard_normal((window + 2 * hop + 2, 2)).astype(np.float32)
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(model, imported, {"x": x}, runner) < 1e-5


def test_copies_of_the_state_decide(model: onnx.ModelProto, tmp_path: Path) -> None:
    """A copy holds its frames, so that bytes grow with the square of the window."""
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    small = edgernn.load(path, window=200)
    slots = sum(slot.size * 4 for slot in small.state)
    assert small.state_bytes == 200 * (slots + 100 * HIDDEN * 4)
    assert small.staggered is not None
    large = edgernn.load(path, window=3000)
    assert 3000 * (slots + 1500 * HIDDEN * 4) > importers.MAX_STATES
    assert large.staggered is None
    assert large.state_bytes < 100_000
    assert "copies of the state would take too much memory" in large.description.mode_reason
    assert edgernn.load(path, window=3000, hop=1000).staggered is not None


def test_what_does_not_fit_as_a_window_stays_staggered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importers, "MAX_STATES", 0)
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    onnx.save(make_model(nodes, {"x": ["time", 1, 4096]}, ["y"]), tmp_path / "wide.onnx")
    program = edgernn.load(tmp_path / "wide.onnx", window=2000, hop=500)
    assert program.staggered is not None  # 8 million numbers in one step are refused
    assert program.outputs[0].shape == (2000, 4096)


def test_tail_of_a_model(tmp_path: Path) -> None:
    K = np.ones((1, 2, 3), np.float32)
    nodes = [helper.make_node("Conv", ["x", "K"], ["c"], pads=[1, 1]), helper.make_node("GlobalMaxPool", ["c"], ["y"])]
    path = tmp_path / "model.onnx"
    onnx.save(make_model(nodes, {"x": [1, 2, "time"]}, ["y"], {"K": K}), path)
    assert edgernn.load(path).runs_tail_in_each_step
    flushed = edgernn.load(path, tail="flush")
    assert not flushed.runs_tail_in_each_step
    edgernn.save(edgernn.load(path), tmp_path / "model.safetensors")
    assert edgernn.load(tmp_path / "model.safetensors", tail="flush").hash == flushed.hash
    with pytest.raises(edgernn.InputError, match="attention_steps is for ONNX"):
        edgernn.load(tmp_path / "model.safetensors", attention_steps=4)


@pytest.mark.parametrize(
    ("nodes", "mode", "delay", "warmup", "window"),
    [
        ([helper.make_node("Tanh", ["x"], ["y"])], "continuous", 0, 0, None),
        ([helper.make_node("Conv", ["x", "K"], ["y"], pads=[2, 0])], "continuous", 0, 0, None),
        ([helper.make_node("Conv", ["x", "K"], ["y"])], "continuous", 0, 2, None),
        ([helper.make_node("Conv", ["x", "K"], ["y"], pads=[1, 1])], "delayed", 1, 0, None),
        ([helper.make_node("Conv", ["x", "K"], ["y"], pads=[0, 2])], "delayed", 2, 0, None),
        ([helper.make_node("Conv", ["x", "K"], ["y"], pads=[0, 1])], "delayed", 1, 1, None),
        ([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], strides=[2])], "continuous", 0, 1, None),
        ([helper.make_node("Pad", ["x", "edges"], ["y"], mode="reflect")], "windowed", 0, 5, 6),
    ],
)
def test_mode_delay_and_warm_up(
    nodes: list[onnx.NodeProto], mode: str, delay: int, warmup: int, window: int | None, tmp_path: Path
) -> None:
    """Counted by what a runner gives: its first output, and what is left for flush."""
    K = np.ones((1, 2, 3), np.float32)
    arrays = {"K": K, "edges": np.array([0, 0, 0, 0, 0, 1])}
    weights = {name: array for name, array in arrays.items() if name in nodes[0].input}
    path = tmp_path / "model.onnx"
    onnx.save(make_model(nodes, {"x": [1, 2, "time"]}, ["y"], weights), path)
    program = edgernn.load(path, window=window)
    assert (program.mode, program.delay_steps, program.warmup_steps) == (mode, delay, warmup)
    assert program.window_steps == window
    runner = edgernn.Runner(program)
    silent = 0
    while runner.step(np.zeros(2)) is None:
        silent += 1
    assert silent == delay + warmup
    for _ in range(7 - silent):
        runner.step(np.zeros(2))
    assert len(runner.flush()) == delay
