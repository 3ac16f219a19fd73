"""Variances over time, running means written as sums over counts, and lengths that are counted as the stream goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from sequence_models import make_model
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

node = helper.make_node
RNG = np.random.default_rng(0)
WEIGHTS: dict[str, Any] = {
    "W": (RNG.standard_normal((3, 4)) / 2).astype(np.float32),
    "two": np.float32(2),
    "one": np.array(1),
    "one_float": np.float32(1),
    "small": np.float32(1e-5),
}
CENTRED = [
    node("MatMul", ["x", "W"], ["frames"]),
    node("ReduceMean", ["frames"], ["mean"], axes=[1]),
    node("Sub", ["frames", "mean"], ["centred"]),
]
VARIANCES = {
    "product": [node("Mul", ["centred", "centred"], ["squares"]), node("ReduceMean", ["squares"], ["y"], axes=[1])],
    "power": [
        node("Pow", ["centred", "two"], ["squares"]),
        node("ReduceMean", ["squares"], ["variance"], axes=[1], keepdims=0),
        node("Add", ["variance", "small"], ["above"]),
        node("Sqrt", ["above"], ["y"]),
    ],
    "sum": [node("ReduceSumSquare", ["centred"], ["y"], axes=[1])],
    "norm": [node("ReduceL2", ["centred"], ["y"], axes=[1])],
    "unbiased": [
        node("Mul", ["centred", "centred"], ["squares"]),
        node("ReduceMean", ["squares"], ["variance"], axes=[1], keepdims=0),
        node("Shape", ["frames"], ["shape"]),
        node("Gather", ["shape", "one"], ["length"]),
        node("Cast", ["length"], ["count"], to=1),
        node("Mul", ["variance", "count"], ["total"]),
        node("Sub", ["count", "one_float"], ["less"]),
        node("Div", ["total", "less"], ["y"]),
    ],
}


def check(model: ModelProto, x: Any, tolerance: float = 1e-5, least_steps: int = 1) -> edgernn.Program:
    imported = import_model(model)
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(model, imported, {"x": x}, runner, least_steps=least_steps) < tolerance
    return imported.program


@pytest.mark.parametrize("form", VARIANCES)
@pytest.mark.parametrize("strided", [False, True])
def test_variance_over_time(form: str, strided: bool) -> None:
    before = [node("Slice", ["all", "one_", "end", "one_", "two_"], ["x"])] if strided else []
    bounds = {"one_": np.array([1]), "end": np.array([2**63 - 1]), "two_": np.array([2])} if strided else {}
    name = "all" if strided else "x"
    model = make_model([*before, *CENTRED, *VARIANCES[form]], {name: (1, "time", 3)}, ["y"], WEIGHTS | bounds)
    imported = import_model(model)
    assert imported.program.mode == "continuous"
    assert imported.program.warmup_steps == (3 if strided else 1) * (form == "unbiased") + (
        strided and form != "unbiased"
    )
    x = RNG.standard_normal((21, 3)).astype(np.float32)
    least = (2 if form == "unbiased" else 1) * (3 if strided else 1)
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(model, imported, {name: x}, runner, least_steps=least) < 1e-5


def test_variance_of_small_changes_on_a_large_mean() -> None:
    """As of an accelerometer's axis along gravity; a difference of mean squares would lose it."""
    nodes = [
        node("ReduceMean", ["x"], ["mean"], axes=[1]),
        node("Sub", ["x", "mean"], ["centred"]),
        *VARIANCES["product"],
    ]
    model = make_model(nodes, {"x": (1, "time", 3)}, ["y"])
    x = (981 + 0.05 * RNG.standard_normal((2000, 3))).astype(np.float32)
    runner = edgernn.Runner(import_model(model).program)
    for frame in x:
        y = runner.step(frame)
    assert y is not None
    np.testing.assert_allclose(np.ravel(y), x.astype(float).var(0), rtol=1e-3)


def test_frames_without_the_mean_of_all_still_need_the_end() -> None:
    model = make_model(CENTRED, {"x": (1, "time", 3)}, ["centred"], WEIGHTS)
    with pytest.raises(edgernn.UnsupportedModelError, match=r"mean of the whole sequence.*window="):
        import_model(model)
    other = [*CENTRED[:2], node("Mul", ["frames", "frames"], ["others"]), node("Sub", ["others", "mean"], ["centred"])]
    model = make_model([*other, *VARIANCES["product"]], {"x": (1, "time", 3)}, ["y"], WEIGHTS)
    with pytest.raises(edgernn.UnsupportedModelError, match="window="):
        import_model(model)


def running_mean(length: int | str, reciprocal: bool) -> ModelProto:
    """``cumsum(x) / arange(1, T + 1)``, with the counts in the file where the length is frozen."""
    counts = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "one"], ["length"]),
        node("Add", ["length", "one"], ["limit"]),
        node("Range", ["one", "limit", "one"], ["counts"]),
        node("Cast", ["counts"], ["numbers"], to=1),
        node("Reshape", ["numbers", "column"], ["n"]),
    ]
    nodes = [node("CumSum", ["x", "one"], ["sums"])]
    if reciprocal:
        nodes += [node("Reciprocal", ["n"], ["share"]), node("Mul", ["sums", "share"], ["y"])]
    else:
        nodes += [node("Div", ["sums", "n"], ["y"])]
    weights = WEIGHTS | {"column": np.array([1, -1, 1])}
    if isinstance(length, int):
        counts, weights = [], weights | {"n": np.arange(1, length + 1, dtype=np.float32).reshape(1, -1, 1)}
    return make_model([*counts, *nodes], {"x": (1, length, 3)}, ["y"], weights)


def test_counts_of_a_frozen_length_beside_a_free_batch() -> None:
    """What is picked from a shape is a number, although the batch beside it is none."""
    model = running_mean("time", reciprocal=False)
    for dimension, extent in zip(model.graph.input[0].type.tensor_type.shape.dim, ("batch", 12, 3), strict=True):
        dimension.Clear()
        setattr(dimension, "dim_param" if extent == "batch" else "dim_value", extent)
    assert import_model(model).program.mode == "continuous"


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("length", ["time", 12])
def test_running_mean(length: int | str, reciprocal: bool) -> None:
    imported = import_model(running_mean(length, reciprocal))
    assert imported.program.mode == "continuous"
    x = RNG.standard_normal((30, 3)).astype(np.float32)
    free = running_mean("time", reciprocal)
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(free, imported, {"x": x}, runner) < 1e-5


@pytest.mark.parametrize("numbers", [[1, 2, 3, 5, 8], [1, 2, 3, 4, 5]], ids=["any", "ramp"])
def test_weights_along_a_frozen_time_need_a_window(numbers: list[float]) -> None:
    weights = {"n": np.array(numbers, np.float32).reshape(1, -1, 1)}
    model = make_model([node("Mul", ["x", "n"], ["y"])], {"x": (1, 5, 3)}, ["y"], weights)
    program = import_model(model).program
    assert program.mode == "windowed"
    assert "differs along time" in program.description.mode_reason
