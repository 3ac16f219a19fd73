"""What exporters write around recurrences, beyond the stored samples: rebuilt by hand and compared with onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from sequence_models import cell_weights, check_against_original, make_model

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import Gru, Lstm

node = helper.make_node
RNG = np.random.default_rng(0)


def vectors(**numbers: Any) -> dict[str, NDArray[Any]]:
    return {name: np.array(value) for name, value in numbers.items()}


def samples(*shape: int) -> dict[str, NDArray[np.float32]]:
    return {"x": RNG.standard_normal(shape).astype(np.float32)}


def test_torch_last_states_of_all_layers() -> None:
    """``out, (hn, cn) = lstm(x)`` with two layers and no state inputs, and a head on ``hn[-1]``."""
    weights = cell_weights("LSTM", 3, 4, RNG, "a.") | cell_weights("LSTM", 4, 4, RNG, "b.")
    weights |= vectors(one=[1], last=-1) | {"V": RNG.standard_normal((4, 2)).astype(np.float32)}
    nodes = [
        node("LSTM", ["x", "a.W", "a.R", "a.B"], ["a.Y", "a.h", "a.c"], hidden_size=4),
        node("Squeeze", ["a.Y", "one"], ["between"]),
        node("LSTM", ["between", "b.W", "b.R", "b.B"], ["b.Y", "b.h", "b.c"], hidden_size=4),
        node("Squeeze", ["b.Y", "one"], ["out"]),
        node("Concat", ["a.h", "b.h"], ["hn"], axis=0),
        node("Concat", ["a.c", "b.c"], ["cn"], axis=0),
        node("Gather", ["hn", "last"], ["top"], axis=0),
        node("Gemm", ["top", "V"], ["logits"]),
    ]
    model = make_model(nodes, {"x": ("time", "batch", 3)}, ["out", "hn", "cn", "logits"], weights)
    imported = check_against_original(model, samples(9, 2, 3))
    assert [slot.name for slot in imported.program.state] == ["a.Y.h", "a.Y.c", "b.Y.h", "b.Y.c"]
    assert [(port.name, port.shape) for port in imported.program.outputs] == [
        ("out", (4,)),
        ("hn", (2, 4)),
        ("cn", (2, 4)),
        ("logits", (2,)),
    ]


def test_torch_chunk_by_computed_bounds() -> None:
    """``a, b = x.chunk(2, dim=-1)`` as the legacy exporter writes it: bounds computed from Shape."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "two"], ["width"], axis=0),
        node("Add", ["width", "one"], ["rounded"]),
        node("Div", ["rounded", "two"], ["half"]),
        node("Mul", ["half", "one"], ["stop"]),
        node("Mul", ["half", "two"], ["end"]),
        *(node("Unsqueeze", [name, "zeros"], [f"{name}s"]) for name in ("stop", "end")),
        node("Slice", ["x", "zeros", "stops", "twos"], ["a"]),
        node("Slice", ["x", "stops", "ends", "twos"], ["b"]),
        node("Sigmoid", ["a"], ["gate"]),
        node("Mul", ["gate", "b"], ["y"]),
    ]
    weights = vectors(one=1, two=2, zeros=[0], twos=[2])
    check_against_original(make_model(nodes, {"x": ("batch", "time", 6)}, ["y"], weights), samples(2, 5, 6))


def test_keras_layer_with_a_fixed_batch() -> None:
    """A batch of one is turned by Reshape; the last frame is cut out by Slice and Squeeze."""
    weights = cell_weights("GRU", 3, 4, RNG) | {"V": RNG.standard_normal((4, 2)).astype(np.float32)}
    weights |= vectors(turned=[8, 1, 3], one=[1], zero=[0], minus=[-1], far=[np.iinfo(np.int32).max])
    nodes = [
        node("Reshape", ["x", "turned"], ["columns"]),
        node("GRU", ["columns", "W", "R", "B"], ["Y"], hidden_size=4, linear_before_reset=1),
        node("Squeeze", ["Y", "one"], ["frames"]),
        node("Slice", ["frames", "minus", "far", "zero"], ["last"]),
        node("Squeeze", ["last", "zero"], ["flat"]),
        node("Gemm", ["flat", "V"], ["logits"]),
        node("Softmax", ["logits"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, 8, 3)}, ["y"], weights)
    imported = check_against_original(model, samples(1, 8, 3))
    assert imported.program.trained_steps == 8
    assert imported.program.outputs[0].shape == (2,)


def test_keras_dense_for_each_frame() -> None:
    """Batch and time are merged around the product, and come apart by numbers taken from Shape."""
    weights = cell_weights("LSTM", 3, 4, RNG) | {"V": RNG.standard_normal((4, 2)).astype(np.float32)}
    weights |= {"bias": np.ones(2, np.float32)} | vectors(one=[1], merged=[-1, 4], first=[0], second=[1], two=[2])
    nodes = [
        node("Transpose", ["x"], ["columns"], perm=[1, 0, 2]),
        node("LSTM", ["columns", "W", "R", "B"], ["Y"], hidden_size=4),
        node("Squeeze", ["Y", "one"], ["squeezed"]),
        node("Transpose", ["squeezed"], ["frames"], perm=[1, 0, 2]),
        node("Shape", ["frames"], ["shape"]),
        node("Cast", ["shape"], ["shape32"], to=6),
        node("Slice", ["shape32", "first", "two", "first"], ["outer"]),
        node("Cast", ["outer"], ["outer64"], to=7),
        node("Concat", ["outer64", "two"], ["apart"], axis=0),
        node("Reshape", ["frames", "merged"], ["rows"]),
        node("MatMul", ["rows", "V"], ["product"]),
        node("Reshape", ["product", "apart"], ["back"]),
        node("Add", ["back", "bias"], ["y"]),
    ]
    check_against_original(make_model(nodes, {"x": ("", 8, 3)}, ["y"], weights), samples(2, 8, 3))
    check_against_original(make_model(nodes, {"x": ("batch", "time", 3)}, ["y"], weights), samples(2, 8, 3))


def test_states_of_zeros_made_from_shapes() -> None:
    """ConstantOfShape, Expand and Where over dynamic extents end in plain zeros."""
    weights = cell_weights("LSTM", 3, 4, RNG) | vectors(layers=[1], hidden=[4], axis=1, first=[0])
    weights |= {"zero": np.zeros((1, 1, 4), np.float32)}
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "axis"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "first"], ["batches"]),
        node("Concat", ["layers", "batches", "hidden"], ["h_shape"], axis=0),
        node("ConstantOfShape", ["h_shape"], ["h0"]),
        node("Expand", ["zero", "h_shape"], ["c0"]),
        node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["", "y"], hidden_size=4),
    ]
    imported = check_against_original(make_model(nodes, {"x": ("time", "batch", 3)}, ["y"], weights), samples(7, 2, 3))
    assert all(slot.initial is None for slot in imported.program.state)


def test_equal_weights_are_stored_once() -> None:
    weights = cell_weights("GRU", 4, 4, RNG) | vectors(one=[1])
    nodes = [
        node("GRU", ["x", "W", "R", "B"], ["a"], hidden_size=4),
        node("Squeeze", ["a", "one"], ["between"]),
        node("GRU", ["between", "W", "R", "B"], ["b"], hidden_size=4),
    ]
    imported = check_against_original(make_model(nodes, {"x": ("time", 1, 4)}, ["b"], weights), samples(7, 1, 4))
    first, second = (operation for operation in imported.program.operations if isinstance(operation, Gru))
    assert (first.W, first.R, first.B) == (second.W, second.R, second.B)
    assert first.h != second.h


def test_nodes_without_names_and_with_equal_names() -> None:
    weights = cell_weights("LSTM", 3, 3, RNG)
    for name in ("", "same"):
        nodes = [node("LSTM", ["x", "W", "R", "B"], [f"Y{i}"], hidden_size=3, name=name) for i in range(2)]
        program = import_model(make_model(nodes, {"x": ("time", 1, 3)}, ["Y0", "Y1"], weights)).program
        cells = [operation for operation in program.operations if isinstance(operation, Lstm)]
        assert len({cell.name for cell in cells}) == 2
        assert edgernn.Runner(program).run(np.zeros((3, 3)))["Y0"].shape == (3, 1, 3)
