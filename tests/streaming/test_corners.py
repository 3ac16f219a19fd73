"""Small graphs in which padding, cropping, windows and loops meet: what random graphs have found."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sequence_models import cell_weights, make_model
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

node = helper.make_node
END = np.iinfo(np.int64).max
WEIGHTS = {
    **{f"i{number}".replace("-", "m"): np.array([number]) for number in (-3, -2, -1, 0, 1, 2, 3)},
    "end": np.array([END]),
    "third": np.array(-3),
    "later": np.array([0, 0, 2, 0, 0, 3]),
    "wider": np.array([0, 1, 0, 0, 1, 0]),
    "seven": np.array(0.7, np.float32),
    "W": np.random.default_rng(0).standard_normal((3, 2, 1)).astype(np.float32),
    "V": np.random.default_rng(1).standard_normal((1, 1, 3)).astype(np.float32),
}
GRAPHS: dict[str, list[onnx.NodeProto]] = {
    "the newest frames are left out": [node("Slice", ["x", "i0", "im2", "i2"], ["y"])],
    "a frame near the end": [node("Gather", ["x", "third"], ["y"], axis=2)],
    "the mean of all but the newest": [
        node("Slice", ["x", "i1", "im1", "i2"], ["cut"]),
        node("GlobalAveragePool", ["cut"], ["y"]),
    ],
    "the newest frames become zeros": [
        node("Slice", ["x", "i0", "im3", "i2"], ["cut"]),
        node("Pad", ["cut", "later"], ["y"]),
    ],
    "padding with a number, then a convolution": [
        node("Pad", ["x", "later", "seven"], ["padded"]),
        node("Conv", ["padded", "W"], ["y"]),
    ],
    "padding, then a mean that leaves out its own": [
        node("Pad", ["x", "later"], ["padded"]),
        node("AveragePool", ["padded"], ["y"], kernel_shape=[3], pads=[1, 2]),
    ],
    "padding of time, then of features": [
        node("Pad", ["x", "later"], ["padded"]),
        node("Pad", ["padded", "wider", "seven"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", GRAPHS)
def test_borders_of_time(name: str) -> None:
    nodes = GRAPHS[name]
    read = {tensor for entry in nodes for tensor in entry.input}
    weights = {key: array for key, array in WEIGHTS.items() if key in read}
    model = make_model(nodes, {"x": [1, 2, "time"]}, ["y"], weights)
    x = np.random.default_rng(2).standard_normal((14, 2)).astype(np.float32)
    for window in (None, 9):
        imported = import_model(model)
        assert imported.program.mode in ("continuous", "delayed")
        program = imported.program if window is None else imported.program.with_window(window, 2)
        imported = type(imported)(program, imported.layouts, imported.pairs)
        for runner in (ReferenceRunner, edgernn.Runner):
            assert largest_difference(model, imported, {"x": x}, runner, least_steps=4) < 1e-6


def test_a_negative_start_counts_from_the_end_of_a_frozen_length() -> None:
    nodes = [node("Slice", ["x", "im3", "end", "i2"], ["cut"]), node("Flatten", ["cut"], ["y"])]
    weights = {key: WEIGHTS[key] for key in ("im3", "end", "i2")}
    frozen, free = (make_model(nodes, {"x": [1, 2, time]}, ["y"], weights) for time in (6, "time"))
    imported = import_model(frozen, time_axis=2)
    assert not imported.program.description.outputs[0].per_frame
    x = np.random.default_rng(3).standard_normal((12, 2)).astype(np.float32)
    assert largest_difference(free, imported, {"x": x}, least_steps=3) < 1e-6


def test_inputs_that_are_windows_are_no_states() -> None:
    """The output has the shape that an input has, and no name says which is which."""
    rng = np.random.default_rng(4)
    nodes = [
        node("GlobalAveragePool", ["a"], ["mean"]),
        node("Sub", ["a", "mean"], ["y"]),
        node("Conv", ["b", "V"], ["z"], pads=[1, 1]),
    ]
    model = make_model(nodes, {"a": [1, 1, 8], "b": [1, 1, 8]}, ["y", "z"], {"V": WEIGHTS["V"]})
    imported = import_model(model, time_axis=2)
    assert (imported.program.mode, imported.pairs) == ("windowed", {})
    sequences = {name: rng.standard_normal((20, 1)).astype(np.float32) for name in "ab"}
    assert largest_difference(model, imported, sequences) < 1e-6


def scan_from_the_end(bias: bool) -> onnx.ModelProto:
    """A recurrence over the sequence from its end, h = tanh(x W + b + h)."""

    def row(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2])

    product = [node("MatMul", ["frame", "W"], ["product"]), node("Add", ["product", "b"], ["biased"])]
    total = node("Add", ["biased" if bias else "product", "h"], ["sum"])
    body = helper.make_graph(
        [*product[: 1 + bias], total, node("Tanh", ["sum"], ["h_out"]), node("Identity", ["h_out"], ["y_out"])],
        "body",
        [row("h"), row("frame")],
        [row("h_out"), row("y_out")],
    )
    scan = node("Scan", ["h0", "x"], ["last", "y"], body=body, num_scan_inputs=1, scan_input_directions=[1])
    rng = np.random.default_rng(5)
    weights = {"W": rng.standard_normal((2, 2)), "b": rng.standard_normal(2), "h0": np.zeros((1, 2))}
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    return make_model([scan], {"x": ["time", 1, 2]}, ["y", "last"], arrays)


@pytest.mark.parametrize("bias", [True, False])
def test_a_bias_joins_its_product_inside_of_a_loop(bias: bool) -> None:
    """The body of the loop is an operation shorter then."""
    model = scan_from_the_end(bias)
    imported = import_model(model, window=6)
    x = np.random.default_rng(6).standard_normal((9, 2)).astype(np.float32)
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(model, imported, {"x": x}, runner) < 1e-5


def test_a_reversed_layer_needs_a_window() -> None:
    rng = np.random.default_rng(7)
    weights = cell_weights("GRU", 2, 3, rng)
    model = make_model(
        [node("GRU", ["x", "W", "R", "B"], ["y", "last"], hidden_size=3, direction="reverse")],
        {"x": ["time", 1, 2]},
        ["y", "last"],
        weights,
    )
    with pytest.raises(edgernn.UnsupportedModelError, match="run it on sliding windows, with window="):
        import_model(model)
    assert import_model(model, window=5).program.mode == "windowed"


def test_a_window_that_a_frozen_file_does_not_fit_is_named() -> None:
    rng = np.random.default_rng(8)
    parts = [cell_weights("GRU", 2, 3, rng) for _ in range(2)]
    weights = {letter: np.concatenate([part[letter] for part in parts]) for letter in "WRB"}
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("GRU", ["t", "W", "R", "B"], ["Y"], hidden_size=3, direction="bidirectional"),
        node("Transpose", ["Y"], ["u"], perm=[2, 0, 1, 3]),
        node("Reshape", ["u", "shape"], ["y"], "flat"),
    ]
    model = make_model(nodes, {"x": [1, 21, 2]}, ["y"], weights | {"shape": np.array([1, 21, 6])})
    assert import_model(model).program.window_steps == 21
    with pytest.raises(edgernn.UnsupportedModelError, match=r"flat .*window of 10 steps.* use window=21"):
        import_model(model, window=10)


def test_the_last_frame_of_a_length_that_is_one_in_the_file() -> None:
    """Only its index says that it is the last, and not all."""
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["short"]),
        helper.make_node("Slice", ["short", "last", "end", "axis"], ["y"]),
    ]
    weights = {"W": np.ones((1, 2, 4), np.float32), "last": np.array([-1]), "end": np.array([2**63 - 1])}
    model = make_model(nodes, {"x": (1, 2, 4)}, ["y"], weights | {"axis": np.array([2])})
    (output,) = import_model(model).program.description.outputs
    assert not output.per_frame


def test_a_table_of_positions_needs_a_window() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Slice", ["table", "zero", "length", "one"], ["positions"]),
        helper.make_node("Add", ["x", "positions"], ["y"]),
    ]
    table = np.random.default_rng(0).standard_normal((1, 64, 3)).astype(np.float32)
    weights = {"table": table, "one": np.array([1]), "zero": np.array([0])}
    model = make_model(nodes, {"x": (1, "time", 3)}, ["y"], weights)
    with pytest.raises(edgernn.UnsupportedModelError, match=r"counts time steps.*window="):
        import_model(model)
    assert import_model(model, window=8).program.mode == "windowed"


def test_a_skip_that_is_cropped_to_a_shorter_length() -> None:
    """As exporters write ``x[:, :, -y.shape[2]:]``."""
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["short"]),
        helper.make_node("Shape", ["short"], ["shape"]),
        helper.make_node("Gather", ["shape", "axis"], ["length"]),
        helper.make_node("Neg", ["length"], ["start"]),
        helper.make_node("Slice", ["x", "start", "end", "axis"], ["skip"]),
        helper.make_node("Add", ["short", "skip"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    weights = {"W": rng.standard_normal((2, 2, 4)).astype(np.float32), "axis": np.array([2]), "end": np.array([END])}
    model = make_model(nodes, {"x": (1, 2, "time")}, ["y"], weights)
    imported = import_model(model)
    assert imported.program.mode == "continuous"
    x = rng.standard_normal((12, 2)).astype(np.float32)
    assert largest_difference(model, imported, {"x": x}, least_steps=4) < 1e-6
