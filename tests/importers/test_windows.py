"""Sliding windows: each equals the original on that window alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from sequence_models import cell_weights, make_model, run_original
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.description import Window
from edgernn.program.metadata import Metadata
from edgernn.reference.runner import ReferenceRunner

MODEL = Path(__file__).parents[1] / "models" / "torch" / "lstm_head_seqsoft_dyn_legacy.onnx"
node = helper.make_node


@given(st.integers(1, 12), st.integers(1, 15), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_each_window_equals_onnxruntime_on_it(window: int, hop: int, is_batch_first: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = cell_weights("LSTM", 3, 4, rng) | {"one": np.array([1]), "h": rng.uniform(-1, 1, (1, 1, 4)).astype("f")}
    nodes = [
        node("Transpose", ["x"], ["columns"], perm=[1, 0, 2]),
        node("LSTM", ["columns" if is_batch_first else "x", "W", "R", "B", "", "h"], ["Y", "last"], hidden_size=4),
        node("Squeeze", ["Y", "one"], ["frames"]),
        *([node("Transpose", ["frames"], ["turned"], perm=[1, 0, 2])] if is_batch_first else []),
        node("Tanh", ["turned" if is_batch_first else "frames"], ["y"]),
    ]
    shape = [1, "time", 3] if is_batch_first else ["time", 1, 3]
    model = make_model(nodes, {"x": shape}, ["y", "last"], weights)
    program = import_model(model).program.with_window(window, hop)
    x = rng.standard_normal((30, 3)).astype(np.float32)
    for runner in (edgernn.Runner(program), ReferenceRunner(program)):
        for t, sample in enumerate(x):
            result = runner.step(sample)
            if t < window - 1 or (t - window + 1) % hop:
                assert result is None or set(result.values()) == {None}
                continue
            frames = x[t - window + 1 : t + 1]
            expected = run_original(model, {"x": frames[None] if is_batch_first else frames[:, None]})
            assert result is not None
            np.testing.assert_allclose(np.reshape(result["y"], expected["y"].shape), expected["y"], atol=1e-5)
            np.testing.assert_allclose(np.ravel(result["last"]), expected["last"].ravel(), atol=1e-5)


def test_window_of_a_loaded_model() -> None:
    program = edgernn.load(MODEL, window=10, hop=5)
    assert program.mode == "windowed"
    assert (program.window_steps, program.warmup_steps) == (10, 9)
    assert program.outputs[0].shape == (10, 5)


def test_hop_without_window_is_refused() -> None:
    with pytest.raises(edgernn.InputError, match="hop is 5"):
        edgernn.load(MODEL, hop=5)


def test_window_out_of_range_is_refused() -> None:
    with pytest.raises(edgernn.MalformedModelError, match="window"):
        edgernn.load(MODEL, window=0)


def test_converted_program_takes_a_window_but_no_import_options(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    edgernn.save(edgernn.load(MODEL), path)
    assert edgernn.load(path, window=10).hash == edgernn.load(MODEL, window=10).hash
    with pytest.raises(edgernn.InputError, match="converted program"):
        edgernn.load(path, time_axis=1)


def test_metadata_of_the_file_is_carried() -> None:
    properties = {"edgernn.labels": "left,right", "edgernn.window_steps": "40", "other": "{"}
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [1, "time", 2]}, ["y"], properties=properties)
    program = import_model(model).program
    assert program.metadata == Metadata(labels=("left", "right"), window_steps=40)
    assert program.trained_steps == 40


def test_a_recomputed_window_may_come_at_another_pace() -> None:
    weights = cell_weights("GRU", 3, 4, np.random.default_rng(2))
    cell = node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=4, direction="reverse")
    model = make_model([cell], {"x": (9, 1, 3)}, ["y"], weights)
    program = import_model(model).program
    assert program.window == Window(9, 1, recomputed=True)
    slower = program.with_window(9, 4)
    assert slower.hash == import_model(model, hop=4).program.hash
    assert slower.with_window(9, 1).hash == program.hash
    with pytest.raises(edgernn.MalformedModelError, match="load the ONNX model again with window=10"):
        program.with_window(10, 4)


def test_work_inside_a_repeat_counts_as_often_as_it_is_done() -> None:
    weights = cell_weights("GRU", 3, 4, np.random.default_rng(2))
    cell = node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=4, direction="reverse")
    program = import_model(make_model([cell], {"x": (9, 1, 3)}, ["y"], weights)).program
    assert program.multiply_accumulates == 9 * 12 * (3 + 4)


def test_a_bias_that_joins_its_product_leaves_the_body_of_a_loop() -> None:
    """A loop that shrinks must not take in the operation behind it."""
    body = helper.make_graph(
        [
            node("Gather", ["x", "i"], ["frame"], axis=1),
            node("MatMul", ["frame", "W"], ["product"]),
            node("Add", ["product", "B"], ["sum"]),
            node("Mul", ["sum", "h"], ["changed"]),
            node("Identity", ["going"], ["goes_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in (("i", 7, []), ("going", 9, []), ("h", 1, [1, 2]))
        ],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in (("goes_on", 9), ("changed", 1))],
    )
    nodes = [
        node("Slice", ["x", "last", "first", "axis", "back"], ["turned"]),  # so that it needs a window
        node("Loop", ["count", "", "begin"], ["h_last"], body=body),
        node("Gather", ["turned", "zero"], ["newest"], axis=1),
        node("MatMul", ["newest", "W"], ["z"]),
        node("Add", ["h_last", "z"], ["y"]),
    ]
    rng = np.random.default_rng(4)
    weights = {
        "W": rng.uniform(-1, 1, (3, 2)).astype("f"),
        "B": rng.uniform(1, 2, 2).astype("f"),
        "begin": np.ones((1, 2), "f"),
        **{name: np.array([value]) for name, value in (("last", -1), ("first", -99), ("axis", 1), ("back", -1))},
        "count": np.array(5),
        "zero": np.array(0),
    }
    model = make_model(nodes, {"x": (1, 5, 3)}, ["y"], weights)
    imported = import_model(model)
    assert imported.program.mode == "windowed"
    x = rng.uniform(-1, 1, (12, 3)).astype("f")
    assert largest_difference(model, imported, {"x": x}) < 1e-5


def test_a_window_shorter_than_the_receptive_field_is_refused() -> None:
    weights = {"W": np.ones((1, 3, 5), "f")}
    model = make_model([node("Conv", ["x", "W"], ["y"])], {"x": (1, 3, "time")}, ["y"], weights)
    program = import_model(model).program
    assert program.with_window(5).outputs[0].shape == (1, 1)
    with pytest.raises(edgernn.MalformedModelError, match=r"window of 4 steps is too short for output y.* needs 5"):
        program.with_window(4)
