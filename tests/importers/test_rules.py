"""Each operator's rule against onnxruntime, on sequences (batch, time, features)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper
from sequence_models import cell_weights, check_against_original, make_model, run_original

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import DOMAINS, UNARY_FUNCTIONS, Dense, Gru, Rearrange

Array = NDArray[Any]
BATCH, STEPS, WIDTH = 2, 7, 6
node = helper.make_node


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def signal(seed: int = 0, low: float = -2.0) -> Array:
    return np.random.default_rng(seed).uniform(low, 2, (BATCH, STEPS, WIDTH)).astype(np.float32)


def matrix(rows: int, columns: int) -> Array:
    return np.random.default_rng(rows).uniform(-1, 1, (rows, columns)).astype(np.float32)


ROW = floats(0.5, -1.0, 2.0, 1.5, -0.5, 3.0)

# name -> nodes from x (batch, time, 6) to y, weights, operator set
GRAPHS: dict[str, tuple[list[NodeProto], dict[str, Array], int]] = {
    "clip by attributes": ([node("Clip", ["x"], ["y"], min=-0.5, max=0.7)], {}, 9),
    "clip by inputs": (
        [node("Clip", ["x", "low", "high"], ["y"])],
        {"low": np.float32(-1), "high": np.float32(0.5)},
        17,
    ),
    "clip above only": ([node("Clip", ["x", "", "high"], ["y"])], {"high": np.float32(0.5)}, 17),
    "clip by nothing": ([node("Clip", ["x"], ["y"])], {}, 17),
    "gelu": ([node("Gelu", ["x"], ["y"])], {}, 20),
    "gelu by tanh": ([node("Gelu", ["x"], ["y"], approximate="tanh")], {}, 20),
    "prelu with a slope for each feature": (
        [node("PRelu", ["x", "slope"], ["y"])],
        {"slope": floats(0.5, -1.0, 2.0, 1.5, -0.5, 3.0)},
        17,
    ),
    "prelu with one slope": ([node("PRelu", ["x", "slope"], ["y"])], {"slope": floats(0.25)}, 17),
    "swish": ([node("Swish", ["x"], ["y"])], {}, 24),
    "swish with alpha": ([node("Swish", ["x"], ["y"], alpha=1.7)], {}, 24),
    "leaky relu with alpha": ([node("LeakyRelu", ["x"], ["y"], alpha=0.3)], {}, 17),
    "hard sigmoid with constants": ([node("HardSigmoid", ["x"], ["y"], alpha=0.1, beta=0.4)], {}, 17),
    "selu with constants": ([node("Selu", ["x"], ["y"], alpha=1.5, gamma=1.1)], {}, 17),
    "dropout": ([node("Dropout", ["x"], ["y"], seed=1)], {}, 17),
    "cast": ([node("Cast", ["x"], ["y"], to=1)], {}, 17),
    "constant on the left": ([node("Sub", ["row", "x"], ["y"])], {"row": ROW}, 17),
    "scalar": ([node("Mul", ["x", "two"], ["y"])], {"two": np.float32(2)}, 17),
    "square": ([node("Pow", ["x", "two"], ["y"])], {"two": np.float32(2)}, 17),
    "two signals": ([node("Tanh", ["x"], ["t"]), node("Mul", ["x", "t"], ["y"])], {}, 17),
    "maximum of three": ([node("Tanh", ["x"], ["t"]), node("Max", ["x", "t", "row"], ["y"])], {"row": ROW}, 17),
    "sum of three": ([node("Tanh", ["x"], ["t"]), node("Sum", ["row", "x", "t"], ["y"])], {"row": ROW}, 17),
    "column broadcast with row": (
        [
            node("Unsqueeze", ["x", "last"], ["column"]),
            node("Unsqueeze", ["x", "two"], ["row"]),
            node("Sub", ["column", "row"], ["y"]),
        ],
        {"last": integers(3), "two": integers(2)},
        17,
    ),
    "dense of a merged batch and time": (
        [
            node("Reshape", ["x", "flat"], ["rows"]),
            node("Gemm", ["rows", "W", "B"], ["dense"], transB=1, alpha=0.5, beta=2.0),
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "first"], ["batch"]),
            node("Concat", ["batch", "rest"], ["back"], axis=0),
            node("Reshape", ["dense", "back"], ["y"]),
        ],
        {
            "flat": integers(-1, WIDTH),
            "W": matrix(4, WIDTH),
            "B": floats(1, 2, 3, 4),
            "first": integers(0),
            "rest": integers(-1, 4),
        },
        17,
    ),
    "frozen, dense with a row of biases": (
        [
            node("Reshape", ["x", "flat"], ["rows"]),
            node("Gemm", ["rows", "W", "B"], ["dense"]),
            node("Reshape", ["dense", "back"], ["y"]),
        ],
        {"flat": integers(-1, WIDTH), "W": matrix(WIDTH, 3), "B": matrix(1, 3), "back": integers(BATCH, -1, 3)},
        17,
    ),
    "product and bias": (
        [node("MatMul", ["x", "W"], ["product"]), node("Add", ["B", "product"], ["y"])],
        {"W": matrix(WIDTH, 3), "B": floats(1, 2, 3)},
        17,
    ),
    "product with a vector": ([node("MatMul", ["x", "w"], ["y"])], {"w": ROW}, 17),
    "product with weights on the left": (
        [
            node("Unsqueeze", ["x", "last"], ["column"]),
            node("MatMul", ["W", "column"], ["product"]),
            node("Squeeze", ["product", "last"], ["y"]),
        ],
        {"W": matrix(3, WIDTH), "last": integers(3)},
        17,
    ),
    "softmax": ([node("Softmax", ["x"], ["y"])], {}, 13),
    "softmax of an earlier operator set": ([node("Softmax", ["x"], ["y"], axis=2)], {}, 11),
    "softmax over the second to last axis": (
        [
            node("Reshape", ["x", "shape"], ["pairs"]),
            node("Softmax", ["pairs"], ["soft"], axis=-2),
            node("Reshape", ["soft", "back"], ["y"]),
        ],
        {"shape": integers(0, 0, 3, 2), "back": integers(0, 0, -1)},
        17,
    ),
    "softmax over two axes": (
        [
            node("Reshape", ["x", "shape"], ["pairs"]),
            node("Softmax", ["pairs"], ["soft"], axis=2),
            node("Reshape", ["soft", "back"], ["y"]),
        ],
        {"shape": integers(0, 0, 3, 2), "back": integers(0, 0, -1)},
        11,
    ),
    "log softmax": ([node("LogSoftmax", ["x"], ["y"], axis=-1)], {}, 17),
    "batch normalization": (
        [
            node("Transpose", ["x"], ["channels"], perm=[0, 2, 1]),
            node("BatchNormalization", ["channels", "scale", "B", "mean", "variance"], ["normal"], epsilon=1e-3),
            node("Transpose", ["normal"], ["y"], perm=[0, 2, 1]),
        ],
        {"scale": ROW, "B": ROW + 1, "mean": ROW * 2, "variance": np.abs(ROW)},
        17,
    ),
    "features turned round": (
        [
            node("Reshape", ["x", "shape"], ["pairs"]),
            node("Transpose", ["pairs"], ["turned"], perm=[0, 1, 3, 2]),
            node("Reshape", ["turned", "back"], ["y"]),
        ],
        {"shape": integers(0, 0, 3, 2), "back": integers(0, 0, WIDTH)},
        17,
    ),
    "every other feature, backwards": (
        [node("Slice", ["x", "start", "end", "axis", "step"], ["y"])],
        {"start": integers(-1), "end": integers(-100), "axis": integers(2), "step": integers(-2)},
        17,
    ),
    "slice by attributes": ([node("Slice", ["x"], ["y"], starts=[1], ends=[4], axes=[2])], {}, 9),
    "picked features": ([node("Gather", ["x", "picked"], ["y"], axis=2)], {"picked": integers(5, 0, -2, 0)}, 17),
    "one feature": (
        [node("Gather", ["x", "third"], ["one"], axis=-1), node("Unsqueeze", ["one", "last"], ["y"])],
        {"third": np.array(3), "last": integers(2)},
        17,
    ),
    "parts swapped": (
        [node("Split", ["x", "sizes"], ["a", "b"], axis=2), node("Concat", ["b", "a", "b"], ["y"], axis=2)],
        {"sizes": integers(2, 4)},
        17,
    ),
    "parts of equal size": (
        [node("Split", ["x"], ["a", "b", "c"], axis=-1, num_outputs=3), node("Sum", ["a", "b", "c"], ["y"])],
        {},
        18,
    ),
    "expanded": (
        [
            node("Unsqueeze", ["x", "third"], ["copies"]),
            node("Expand", ["copies", "shape"], ["many"]),
            node("Reshape", ["many", "back"], ["y"]),
        ],
        {"third": integers(2), "shape": integers(1, 1, 3, 1), "back": integers(0, 0, -1)},
        17,
    ),
    "frozen, constants of that length": (
        [node("Add", ["x", "ones"], ["y"])],
        {"ones": np.ones((BATCH, STEPS, WIDTH), np.float32)},
        17,
    ),
    "computed constants": (
        [
            node("Constant", [], ["two"], value_float=2.0),
            node("Sqrt", ["row"], ["root"]),
            node("Div", ["root", "two"], ["half"]),
            node("Greater", ["half", "two"], ["large"]),
            node("Where", ["large", "two", "half"], ["factor"]),
            node("Range", ["zero", "six", "one"], ["count"]),
            node("Cast", ["count"], ["counted"], to=1),
            node("Mul", ["factor", "counted"], ["weights"]),
            node("Mul", ["x", "weights"], ["y"]),
        ],
        {"row": np.abs(ROW) * 20, "zero": np.array(0), "six": np.array(6), "one": np.array(1)},
        17,
    ),
}


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "dynamic"])
@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_rule_against_onnxruntime(name: str, frozen: bool) -> None:
    nodes, weights, opset = GRAPHS[name]
    shape = [BATCH, STEPS, WIDTH] if frozen or "frozen" in name else ["batch", "time", WIDTH]
    model = make_model(nodes, {"x": shape}, ["y"], weights, opset=opset)
    imported = check_against_original(model, {"x": signal()})
    assert imported.program.description.outputs[0].per_frame


@pytest.mark.parametrize("function", sorted(set(UNARY_FUNCTIONS) - {"GeluTanh", "Clip", "Gelu", "Not"}))
def test_function_against_onnxruntime(function: str) -> None:
    model = make_model([node(function, ["x"], ["y"])], {"x": ["batch", "time", WIDTH]}, ["y"], opset=20)
    low, high = (0.0, np.inf) if function == "Reciprocal" else DOMAINS.get(function, (-np.inf, np.inf))
    x = np.clip(signal(), max(low + 0.1, -2), min(high - 0.1, 2))
    check_against_original(model, {"x": x.astype(np.float32)}, 2e-5)


CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn relu": ("RNN", {"activations": ["Relu"]}),
    "gru lower case": ("GRU", {"activations": ["sigmoid", "tanh"]}),
    "rnn affine": ("RNN", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}),
    "gru": ("GRU", {}),
    "gru after reset": ("GRU", {"linear_before_reset": 1}),
    "gru clipped": ("GRU", {"clip": 0.2, "linear_before_reset": 1}),
    "gru other gates": (
        "GRU",
        {"activations": ["HardSigmoid", "LeakyRelu"], "activation_alpha": [0.3, 0.05], "activation_beta": [0.4]},
    ),
    "lstm": ("LSTM", {}),
    "lstm clipped": ("LSTM", {"clip": 0.3}),
    "lstm coupled": ("LSTM", {"input_forget": 1}),
    "lstm other gates": ("LSTM", {"activations": ["Sigmoid", "Softsign", "Relu"]}),
}


@pytest.mark.parametrize("runner", [None, edgernn.Runner], ids=["reference", "compiled"])
@pytest.mark.parametrize("name", sorted(CELLS))
def test_form_of_a_cell_against_onnxruntime(name: str, runner: type | None) -> None:
    operator, attributes = CELLS[name]
    rng = np.random.default_rng(3)
    weights = cell_weights(operator, WIDTH, 5, rng)
    cell = node(operator, ["x", "W", "R", "B"], ["y", "y_h"], hidden_size=5, **attributes)
    model = make_model([cell], {"x": [STEPS, BATCH, WIDTH]}, ["y", "y_h"], weights)
    feeds = {"x": rng.standard_normal((STEPS, BATCH, WIDTH)).astype(np.float32)}
    if runner is None:
        check_against_original(model, feeds)
    else:
        program = import_model(model).program
        expected = run_original(model, feeds)["y"][:, 0, 0]
        streamed = runner(program).run(feeds["x"][:, 0])["y"].reshape(expected.shape)
        np.testing.assert_allclose(streamed, expected, atol=1e-5)


def test_peepholes_and_last_cell_state() -> None:
    rng = np.random.default_rng(4)
    weights = cell_weights("LSTM", WIDTH, 5, rng) | {"P": rng.uniform(-0.4, 0.4, (1, 15)).astype(np.float32)}
    cell = node("LSTM", ["x", "W", "R", "B", "", "", "", "P"], ["", "", "c"], hidden_size=5)
    model = make_model([cell], {"x": ["time", BATCH, WIDTH]}, ["c"], weights)
    imported = check_against_original(model, {"x": rng.standard_normal((STEPS, BATCH, WIDTH)).astype(np.float32)})
    assert [slot.name for slot in imported.program.state] == ["c.h", "c.c"]


def test_last_cell_state_is_the_newest_in_the_compiled_runner() -> None:
    rng = np.random.default_rng(4)
    cell = node("LSTM", ["x", "W", "R"], ["", "", "c"], hidden_size=5)
    model = make_model([cell], {"x": ["time", 1, WIDTH]}, ["c"], cell_weights("LSTM", WIDTH, 5, rng))
    x = rng.standard_normal((STEPS, 1, WIDTH)).astype(np.float32)
    runner = edgernn.Runner(import_model(model).program)
    streamed = [np.array(runner.step(frame[0])) for frame in x]
    np.testing.assert_allclose(streamed[-1].ravel(), run_original(model, {"x": x})["c"].ravel(), atol=1e-5)
    np.testing.assert_allclose(streamed[0].ravel(), run_original(model, {"x": x[:1]})["c"].ravel(), atol=1e-5)


@pytest.mark.parametrize("operator", ["RNN", "GRU", "LSTM"])
def test_batch_first_layout(operator: str) -> None:
    """onnxruntime refuses layout=1, so the same cell time-major is the truth."""
    rng = np.random.default_rng(5)
    weights = cell_weights(operator, WIDTH, 5, rng) | {"h": rng.uniform(-1, 1, (1, 1, 5)).astype(np.float32)}
    cell = node(operator, ["x", "W", "R", "B", "", "h"], ["y", "y_h"], hidden_size=5, layout=1)
    model = make_model([cell], {"x": [1, STEPS, WIDTH]}, ["y", "y_h"], weights)
    reference = node(operator, ["x", "W", "R", "B", "", "h"], ["y", "y_h"], hidden_size=5)
    x = rng.standard_normal((STEPS, 1, WIDTH)).astype(np.float32)
    expected = run_original(make_model([reference], {"x": [STEPS, 1, WIDTH]}, ["y", "y_h"], weights), {"x": x})
    streamed = edgernn.Runner(import_model(model).program).run(x[:, 0])
    np.testing.assert_allclose(streamed["y"].reshape(STEPS, 5), expected["y"].reshape(STEPS, 5), atol=1e-5)
    np.testing.assert_allclose(streamed["y_h"][-1].ravel(), expected["y_h"].ravel(), atol=1e-5)


def test_shape_that_the_exporter_froze_although_time_is_dynamic() -> None:
    weights = cell_weights("GRU", WIDTH, 5, np.random.default_rng(6)) | {"shape": integers(13, 1, 5)}
    nodes = [node("GRU", ["x", "W", "R", "B"], ["h"], hidden_size=5), node("Reshape", ["h", "shape"], ["y"])]
    model = make_model(nodes, {"x": ["time", 1, WIDTH]}, ["y"], weights)
    x = np.random.default_rng(7).standard_normal((13, 1, WIDTH)).astype(np.float32)
    imported = check_against_original(model, {"x": x})
    assert imported.program.outputs[0].shape == (5,)
    assert imported.program.trained_steps is None


@pytest.mark.parametrize("shape", [(-1, STEPS, 2, 3), (BATCH, -1, 2, 3)])
def test_shape_that_holds_one_of_two_dynamic_lengths(shape: tuple[int, ...]) -> None:
    """As onnx-simplifier leaves it."""
    nodes = [node("Reshape", ["x", "shape"], ["pairs"]), node("Reshape", ["pairs", "back"], ["y"])]
    weights = {"shape": integers(*shape), "back": integers(0, 0, WIDTH)}
    model = make_model(nodes, {"x": ["batch", "time", WIDTH]}, ["y"], weights)
    assert check_against_original(model, {"x": signal()}).program.outputs[0].shape == (WIDTH,)


def test_stale_shapes_beside_the_graph_are_not_believed() -> None:
    weights = cell_weights("GRU", WIDTH, 5, np.random.default_rng(6))
    model = make_model(
        [node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=5)], {"x": ["time", 1, WIDTH]}, ["y"], weights
    )
    stale = helper.make_tensor_value_info("y", 1, [99, 3, 3, 3])
    model.graph.value_info.append(stale)
    del model.graph.output[:]
    model.graph.output.append(stale)
    assert import_model(model).program.outputs[0].shape == (1, 5)


def torch_gru(linear_before_reset: int) -> Any:
    weights = cell_weights("GRU", WIDTH, 5, np.random.default_rng(6))
    cell = node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=5, linear_before_reset=linear_before_reset)
    return make_model([cell], {"x": ["time", 1, WIDTH]}, ["y"], weights, producer="pytorch")


def test_gru_that_torch_cannot_have_computed() -> None:
    program = import_model(torch_gru(0)).program
    assert len(program.warnings) == 1
    assert "assume_torch_gru" in program.warnings[0]
    assert not program.operations[0].linear_before_reset
    assumed = import_model(torch_gru(0), assume_torch_gru=True).program
    assert (assumed.warnings, assumed.operations[0].linear_before_reset) == ((), True)
    assert import_model(torch_gru(1)).program.hash == assumed.hash


def test_bias_joins_its_product() -> None:
    nodes, weights, opset = GRAPHS["product and bias"]
    model = make_model(nodes, {"x": ["batch", "time", WIDTH]}, ["y"], weights, opset=opset)
    (dense,) = import_model(model).program.operations
    assert isinstance(dense, Dense)
    assert dense.B is not None
    assert set(dense.sources) == {"MatMul_product", "Add_y"}


def test_product_that_is_an_output_too_keeps_its_bias_apart() -> None:
    nodes, weights, opset = GRAPHS["product and bias"]
    model = make_model(nodes, {"x": ["batch", "time", WIDTH]}, ["product", "y"], weights, opset=opset)
    imported = check_against_original(model, {"x": signal()})
    assert len(imported.program.operations) == 2


def test_moves_become_one_rearrangement() -> None:
    nodes, weights, opset = GRAPHS["features turned round"]
    model = make_model(
        [*nodes, node("Relu", ["y"], ["z"])], {"x": ["batch", "time", WIDTH]}, ["z"], weights, opset=opset
    )
    kinds = [type(operation) for operation in import_model(model).program.operations]
    assert kinds.count(Rearrange) == 1
    assert len(kinds) == 2


def test_reshapes_alone_cost_nothing() -> None:
    weights = cell_weights("GRU", WIDTH, 4, np.random.default_rng(1)) | {
        "shape": integers(0, 0, 2, 3),
        "back": integers(0, 0, -1),
    }
    nodes = [
        node("Reshape", ["x", "shape"], ["pairs"]),
        node("Reshape", ["pairs", "back"], ["again"]),
        node("GRU", ["again", "W", "R"], ["y"], hidden_size=4),
    ]
    model = make_model(nodes, {"x": ["time", "batch", WIDTH]}, ["y"], weights)
    assert isinstance(import_model(model).program.operations[0], Gru)
