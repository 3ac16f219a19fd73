"""Frames that a graph stacks, cuts into windows, or repeats, by Reshape, Gather, Split and Concat."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper
from sequence_models import make_model
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

node = helper.make_node
RNG = np.random.default_rng(0)
DENSE = node("MatMul", ["frames", "W"], ["y"])


def check(model: ModelProto, free: ModelProto, steps: int, rate: Any, time_axis: int = 1) -> None:
    imported = import_model(model, time_axis=time_axis)
    (port,) = imported.program.outputs
    assert port.rate == rate
    assert imported.program.mode != "windowed"
    shape = imported.program.inputs[0].shape if len(model.graph.input[0].type.tensor_type.shape.dim) > 2 else ()
    x = RNG.standard_normal((steps, *shape)).astype(np.float32)
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(free, imported, {"x": x}, runner, least_steps=steps // 2) < 1e-6


@pytest.mark.parametrize("width", [0, 3])
@pytest.mark.parametrize(
    ("length", "target"),
    [("time", [0, -1, 8]), (24, [0, -1, 8]), ("time", [1, -1, 8]), (24, [1, -1, 8]), (24, [1, 6, 8])],
)
def test_frames_are_stacked(length: Any, width: int, target: list[int]) -> None:
    """Samples of one axis as frames of so many, or frames of several features."""
    size = 4 * max(width, 1)
    shape = (1, length, width) if width else (1, length)
    wanted = [*target[:2], size]
    weights = {"W": RNG.standard_normal((size, 2)).astype(np.float32), "shape": np.array(wanted)}
    nodes = [node("Reshape", ["x", "shape"], ["frames"]), DENSE]
    free_weights = weights | {"shape": np.array([1, -1, size])}
    free = make_model(nodes, {"x": (1, "time", width) if width else (1, "time")}, ["y"], free_weights)
    check(make_model(nodes, {"x": shape}, ["y"], weights), free, 24, 1 / 4)


@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (3, 2), (4, 1)])
def test_windows_are_cut(stride: int, dilation: int) -> None:
    steps, taps = 24, 4
    count = (steps - (taps - 1) * dilation - 1) // stride + 1
    places = stride * np.arange(count)[:, None] + dilation * np.arange(taps)
    weights = {"W": RNG.standard_normal((taps, 2)).astype(np.float32), "places": places}
    model = make_model([node("Gather", ["x", "places"], ["frames"], axis=1), DENSE], {"x": (1, steps)}, ["y"], weights)
    check(model, model, steps, Fraction(1, stride))


def test_positions_that_are_no_windows_need_one() -> None:
    places = np.array([[0, 1, 2], [2, 3, 5]])
    weights = {"W": RNG.standard_normal((3, 2)).astype(np.float32), "places": places}
    model = make_model([node("Gather", ["x", "places"], ["frames"], axis=1), DENSE], {"x": (1, 6)}, ["y"], weights)
    assert import_model(model, time_axis=1).program.mode == "windowed"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_frame_is_repeated(count: int) -> None:
    """As Keras repeats elements: split into all frames, and joined with each of them so many times."""
    parts = [f"frame{i}" for i in range(6)]
    nodes: list[NodeProto] = [
        node("Split", ["x"], parts, axis=1),
        node("Concat", [part for part in parts for _ in range(count)], ["frames"], axis=1),
        DENSE,
    ]
    weights = {"W": RNG.standard_normal((3, 2)).astype(np.float32), "scales": np.float32([1, count, 1])}
    modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    free = make_model(
        [node("Resize", ["x", "", "scales"], ["frames"], **modes), DENSE], {"x": (1, "time", 3)}, ["y"], weights
    )
    model = make_model(nodes, {"x": (1, 6, 3)}, ["y"], weights)
    check(model, free, 12, count)


def test_frames_in_another_order_need_a_window() -> None:
    parts = [f"frame{i}" for i in range(4)]
    nodes = [node("Split", ["x"], parts, axis=1), node("Concat", parts[::-1], ["y"], axis=1)]
    program = import_model(make_model(nodes, {"x": (1, 4, 3)}, ["y"])).program
    assert program.mode == "windowed"
    assert "by their positions" in program.description.mode_reason


@pytest.mark.parametrize(("before", "behind"), [(1, 1), (0, 2), (2, 0), (3, 1)])
def test_blocks_are_cropped(before: int, behind: int) -> None:
    """As after a transposed convolution that makes some frames more."""
    kernel = 2 + before + behind
    nodes = [
        node("ConvTranspose", ["x", "W"], ["longer"], strides=[2]),
        node("Slice", ["longer", "from", "to", "axis"], ["y"]),
    ]
    weights = {"W": RNG.standard_normal((2, 3, kernel)).astype(np.float32), "axis": np.array([2])}
    weights |= {"from": np.array([before]), "to": np.array([-behind if behind else 2**31 - 1])}
    model = make_model(nodes, {"x": (1, 2, "time")}, ["y"], weights)
    check(model, model, 9, 2, time_axis=2)
