"""Which axis is time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from sequence_models import cell_weights, check_against_original, make_model

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.streams.dimension import BATCH, TIME, Dimension, divide

node = helper.make_node
RNG = np.random.default_rng(0)


def frames(*shape: int | str) -> ModelProto:
    """A dense layer over the last axis."""
    return make_model([node("MatMul", ["x", "W"], ["y"])], {"x": shape}, ["y"], {"W": np.eye(6, dtype=np.float32)})


@pytest.mark.parametrize(
    ("shape", "time_axis", "trained_steps"),
    [
        (("batch", "time", 6), 1, None),
        (("time", "batch", 6), 0, None),
        (("T", "N", 6), 0, None),
        (("", "", 6), 1, None),
        ((1, 25, 6), 1, 25),
        ((1, "seq_len", 6), 1, None),
        (("n_frames", 1, 6), 0, None),
        (("batch", 6), None, None),
        (("time", 6), 0, None),
        ((1, 6), None, None),
        ((6,), None, None),
    ],
)
def test_layout_of_dense_frames(shape: tuple[int | str, ...], time_axis: int | None, trained_steps: int | None) -> None:
    imported = import_model(frames(*shape))
    assert imported.layouts["x"].time_axis == time_axis
    assert imported.program.trained_steps == trained_steps
    assert imported.program.inputs[0].shape == imported.program.outputs[0].shape == (6,)


@pytest.mark.parametrize("shape", [(5, 7, 3), (7, 5, 3), ("", "", 3), ("batch", "time", 3)])
def test_a_recurrence_runs_over_time_whatever_the_names_say(shape: tuple[Any, ...]) -> None:
    cell = node("GRU", ["x", "W", "R", "B"], ["", "y"], hidden_size=4)
    model = make_model([cell], {"x": shape}, ["y"], cell_weights("GRU", 3, 4, RNG))
    extents = [extent if isinstance(extent, int) else 4 for extent in shape]
    imported = check_against_original(model, {"x": RNG.standard_normal(extents).astype(np.float32)})
    assert imported.layouts["x"].time_axis == 0
    assert imported.layouts["x"].batch_axis == 1


def test_a_sequence_without_batch() -> None:
    nodes = [
        node("Unsqueeze", ["x", "1"], ["columns"]),
        node("GRU", ["columns", "W", "R", "B"], ["", "last"], hidden_size=4),
        node("Reshape", ["last", "flat"], ["y"]),
    ]
    weights = cell_weights("GRU", 3, 4, RNG) | {"1": np.array([1]), "flat": np.array([-1])}
    model = make_model(nodes, {"x": (9, 3)}, ["y"], weights)
    imported = check_against_original(model, {"x": RNG.standard_normal((9, 3)).astype(np.float32)})
    assert imported.layouts["x"].batch_axis is None
    assert imported.program.trained_steps == 9


def test_one_channel_without_an_axis_of_its_own() -> None:
    nodes = [
        node("Unsqueeze", ["x", "2"], ["frames"]),
        node("Transpose", ["frames"], ["columns"], perm=[1, 0, 2]),
        node("GRU", ["columns", "W", "R", "B"], ["", "y"], hidden_size=4),
    ]
    weights = cell_weights("GRU", 1, 4, RNG) | {"2": np.array([2])}
    model = make_model(nodes, {"x": ("batch", "time")}, ["y"], weights)
    imported = check_against_original(model, {"x": RNG.standard_normal((2, 9)).astype(np.float32)})
    assert imported.program.inputs[0].shape == (1,)


def test_two_inputs_share_their_time() -> None:
    nodes = [node("Concat", ["a", "b"], ["x"], axis=2), node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=4)]
    model = make_model(nodes, {"a": ("time", 1, 2), "b": ("time", 1, 1)}, ["y"], cell_weights("GRU", 3, 4, RNG))
    feeds = {name: RNG.standard_normal((7, 1, n)).astype(np.float32) for name, n in (("a", 2), ("b", 1))}
    imported = check_against_original(model, feeds)
    assert [port.shape for port in imported.program.inputs] == [(2,), (1,)]


def test_the_user_says_which_axis_is_time() -> None:
    assert import_model(frames(4, 5, 6), time_axis=0).layouts["x"].time_axis == 0
    assert import_model(frames(4, 5, 6), time_axis=-2).layouts["x"].time_axis == 1


def test_an_axis_that_does_not_exist() -> None:
    with pytest.raises(edgernn.InputError, match="time_axis is 3"):
        import_model(frames(4, 5, 6), time_axis=3)


def test_an_axis_over_which_the_recurrence_does_not_run() -> None:
    cell = node("GRU", ["x", "W", "R", "B"], ["", "y"], hidden_size=4)
    model = make_model([cell], {"x": (7, 5, 3)}, ["y"], cell_weights("GRU", 3, 4, RNG))
    with pytest.raises(edgernn.UnsupportedModelError, match=r"GRU.*not time"):
        import_model(model, time_axis=1)


def test_too_many_dynamic_axes() -> None:
    with pytest.raises(edgernn.UnsupportedModelError, match="at most these two axes dynamic"):
        import_model(frames("a", "b", "c", 6))


def test_arithmetic_of_unknown_lengths() -> None:
    assert (TIME + 3) * 2 - 6 == TIME * 2
    assert TIME * BATCH // BATCH == TIME
    assert 5 - TIME + TIME == 5
    assert divide(TIME * 6, 4) is None
    assert divide(TIME + 1, TIME) is None
    assert repr(TIME * 16 + 1) == "16*time + 1"
    assert isinstance(TIME * 0 + TIME, Dimension)


def test_what_strides_leave_of_a_length() -> None:
    assert (TIME + 4) // 2 == TIME // 2 + 2
    assert (TIME // 2 + 1) // 3 == (TIME + 2) // 6
    assert ((TIME - 3) // 2 + 1) * 2 // 2 == (TIME + 1) // 2 - 1
    assert (TIME * 3 + 2) // 3 == TIME
    assert TIME % 2 + TIME // 2 * 2 == TIME
    with pytest.raises(edgernn.UnsupportedModelError, match="remainder"):
        (TIME + BATCH) // 2


def test_inputs_that_nothing_reads_are_left_out() -> None:
    model = frames("batch", "time", 6)
    model.graph.input.append(helper.make_tensor_value_info("mask", 1, ["batch", "time"]))
    program = import_model(model).program
    assert [port.name for port in program.inputs] == ["x"]
    assert program.warnings == ("input mask is not used, so it is left out",)
