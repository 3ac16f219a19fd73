"""Models made after public reports (tests/models/reported/README.md), beside onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sequence_models import make_model
from streaming_oracle import largest_difference

import edgernn
from edgernn.errors import UnsupportedModelError
from edgernn.evaluation import equivalence
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models" / "reported"
ALONG_TIME = ["tm_dyn", "tm_leg", "cmvn_dyn", "pc_dyn", "ap_leg", "tc_GRU_forward", "tc_LSTM_last", "tc_conv_causalpad"]
ALONG_TIME += ["tc_cumsum", "tc_softmax_time"]


@pytest.mark.parametrize("name", ALONG_TIME)
def test_constants_along_time_stream_as_the_graph_on_every_prefix(name: str) -> None:
    model = onnx.load(MODELS / f"{name}.onnx")
    x = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
    assert largest_difference(model, import_model(model), {"x": x}, prefixes=24) < 1e-5


def test_a_product_summed_over_time_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="over time"):
        import_model(onnx.load(MODELS / "tc_einsum_xc.onnx"))


def test_an_initializer_of_a_state_input_is_its_initial_value() -> None:
    model = onnx.load(MODELS / "default_state.onnx")
    program = import_model(model).program
    (state,) = program.state
    begin = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "h_in")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32)
    for runner in (ReferenceRunner(program), edgernn.Runner(program)):
        for _ in range(2):
            np.testing.assert_array_equal(np.asarray(runner.state[state.name]).ravel(), begin.ravel())
            h = begin
            for x in rows:
                y, h = session.run(["y", "h_out"], {"x": x[np.newaxis], "h_in": h})
                np.testing.assert_allclose(runner.step(x), y[0], rtol=1e-5, atol=1e-6)
            runner.reset()
    copy = edgernn.Runner(program)
    runner.step(rows[0])
    copy.restore(runner.snapshot())
    np.testing.assert_array_equal(copy.step(rows[1]), runner.step(rows[1]))


def test_what_the_checker_accepts_is_not_called_malformed() -> None:
    weights = {"W": np.ones((5, 2), np.float32)}  # of another width than x, which the checker does not see
    model = make_model(
        [helper.make_node("MatMul", ["x", "W"], ["y"], name="odd")], {"x": (1, "time", 3)}, ["y"], weights
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, "time", 2)))
    onnx.checker.check_model(model)
    with pytest.raises(UnsupportedModelError, match="node odd"):
        import_model(model)


def test_a_model_of_the_machine_learning_operators_alone() -> None:
    scaler = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0, 0.0], scale=[2.0, 3.0])
    model = make_model([scaler], {"x": (1, 2)}, ["y"])
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    runner = ReferenceRunner(import_model(model).program)
    np.testing.assert_allclose(runner.step([2.0, 2.0]), [2.0, 6.0])


def test_a_difference_is_judged_beside_the_range_of_its_output() -> None:
    def pairs(error: float) -> Iterator[equivalence.Pair]:
        for step, number in enumerate((35.0, 0.01)):  # the small one has the rounding of the large one
            array = np.array([number])
            yield equivalence.Pair("frame", step, array + error, array)

    assert equivalence._compare("y", "frames", pairs(3.5e-5), 1e-5).first_step is None
    assert equivalence._compare("y", "frames", pairs(1e-3), 1e-5).first_step == 0


@pytest.mark.parametrize("condition", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not"])
def test_a_loop_that_ends_by_its_condition(condition: str) -> None:
    model = onnx.load(MODELS / "loop_until.onnx")
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    nodes = loop.attribute[0].g.node
    last = nodes.pop()  # c_out = t_out < T, where t_out counts to 29
    bound = {"LessOrEqual": 28, "GreaterOrEqual": 28}.get(condition, 29)
    names = ["T'", "t_out"] if condition.startswith("Greater") else ["t_out", "T'"]
    if condition == "Not":
        nodes.append(helper.make_node("GreaterOrEqual", ["t_out", "T'"], ["over"]))
        nodes.append(helper.make_node("Not", ["over"], ["c_out"]))
    else:
        nodes.append(helper.make_node(condition, names, list(last.output)))
    like = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "T")
    model.graph.initializer.append(numpy_helper.from_array(np.array(bound, like.dtype), "T'"))
    x = np.random.default_rng(0).standard_normal((29, 13)).astype(np.float32)
    runner = ReferenceRunner(import_model(model).program)
    result = [runner.step(row) for row in x][-1]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(np.ravel(result), session.run(["y"], {"x": x[np.newaxis]})[0].ravel(), atol=1e-6)
