"""What is known at every frame of a free length, through every rule that runs over time, beside onnxruntime.

Each graph is streamed, and every step is compared with the graph on the sequence so far, or the graph is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from sequence_models import cell_weights, make_model

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.rules import TAKES_TIME_CONSTANTS
from edgernn.importers.onnx.translation import ImportedModel
from edgernn.reference.runner import ReferenceRunner

node = helper.make_node
RNG = np.random.default_rng(3)
STEPS, WIDTH = 7, 3

Nodes = list[NodeProto]


def of_shape(value: float) -> Nodes:
    """ConstantOfShape, as ones_like and zeros_like are written."""
    fill = numpy_helper.from_array(np.array([value], np.float32))
    return [node("Shape", ["x"], ["shape"]), node("ConstantOfShape", ["shape"], ["c"], value=fill)]


# what the constant c (1, time, 3) is made of
SOURCES: dict[str, Nodes] = {
    "zeros": of_shape(0.0),
    "expanded row": [node("Shape", ["x"], ["shape"]), node("Expand", ["row", "shape"], ["c"])],
    "positions": [
        node("Shape", ["x"], ["length"], start=1, end=2),
        node("Squeeze", ["length"], ["T"]),
        node("Range", ["zero", "T", "one"], ["range"]),
        node("Cast", ["range"], ["places"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["places", "axes_02"], ["column"]),
        node("Mul", ["column", "row"], ["c"]),
    ],
    "counted by a running sum": [
        node("Shape", ["x"], ["shape"]),
        node("Expand", ["half", "shape"], ["halves"]),
        node("CumSum", ["halves", "axis"], ["c"]),
    ],
    "length": [
        node("Shape", ["x"], ["shape"]),
        node("Shape", ["x"], ["length"], start=1, end=2),
        node("Cast", ["length"], ["T"], to=TensorProto.FLOAT),
        node("Expand", ["T", "shape"], ["c"]),
    ],
    "context": [
        node("Shape", ["x"], ["shape"]),
        node("Unsqueeze", ["s", "one_1"], ["s1"]),
        node("Expand", ["s1", "shape"], ["c"]),
    ],
    "state": [
        node("Shape", ["x"], ["shape"]),
        node("MatMul", ["s", "M"], ["moved"]),
        node("Tanh", ["moved"], ["s_out"]),
        node("Unsqueeze", ["s", "one_1"], ["s1"]),
        node("Expand", ["s1", "shape"], ["c"]),
    ],
}
WEIGHTS: dict[str, Any] = {
    "row": np.array([[[0.5, -1.0, 2.0]]], np.float32),
    "half": np.array(0.5, np.float32),
    "zero": np.array(0),
    "one": np.array(1),
    "one_1": np.array([1]),
    "axis": np.array(1),
    "axes_02": np.array([0, 2]),
    "M": RNG.uniform(-0.5, 0.5, (3, 3)).astype(np.float32),
    "K": RNG.uniform(-0.5, 0.5, (3, 3, 3)).astype(np.float32),
    "KT": RNG.uniform(-0.5, 0.5, (3, 3, 2)).astype(np.float32),
    "scale": np.array([1.0, 0.5, 2.0], np.float32),
    "bias": np.array([0.1, -0.2, 0.3], np.float32),
    "bad": np.array([0, -1, 1]),
    "axes1": np.array([1]),
    "m1": np.array([-1]),
    "m2": np.array([-2]),
    "m3": np.array([-3]),
    "i0": np.array([0]),
    "i1": np.array([1]),
    "i2": np.array([2]),
    "end": np.array([np.iinfo(np.int64).max]),
    "last": np.array(-1),
    "pads": np.array([0, 2, 0, 0, 0, 0]),
    "pads_end": np.array([0, 0, 0, 0, 2, 0]),
    "two_frames": np.ones((1, 2, 3), np.float32),
    "resize": np.array([1.0, 1.0, 2.0], np.float32),
    "none": np.zeros(0, np.float32),
    "yes": np.array(True),
    "length1": np.array([3]),
    **cell_weights("RNN", 3, 3, RNG, "rnn."),
    **cell_weights("GRU", 3, 3, RNG, "gru."),
    **cell_weights("LSTM", 3, 3, RNG, "lstm."),
}


def over_columns(*nodes: NodeProto) -> Nodes:
    """Nodes that make `cy` (1, n, time) of `ct` (1, 3, time)."""
    turned = node("Transpose", ["c"], ["ct"], perm=[0, 2, 1])
    return [turned, *nodes, node("Transpose", ["cy"], ["z"], perm=[0, 2, 1])]


def cell(operator: str, letter: str) -> Nodes:
    """A recurrence over the constant; its frames."""
    w = [f"{operator.lower()}.{name}" for name in "WRB"]
    return [
        node("Transpose", ["c"], ["ct"], perm=[1, 0, 2]),
        node(operator, ["ct", *w], ["Y", "Y_h"], hidden_size=3),
        *(
            [node("Squeeze", ["Y", "i1"], ["rows"]), node("Transpose", ["rows"], ["z"], perm=[1, 0, 2])]
            if letter == "Y"
            else [node("Transpose", ["Y_h"], ["z"], perm=[1, 0, 2])]
        ),
    ]


def reduction(operator: str, **attributes: Any) -> Nodes:
    """A reduction over time, before axes became inputs where that is needed."""
    if operator == "ReduceSum":
        return [node(operator, ["c", "i1"], ["z"], keepdims=1)]
    return [node(operator, ["c"], ["z"], axes=[1], keepdims=1, **attributes)]


def loop(*nodes: NodeProto, outputs: list[str], **attributes: Any) -> NodeProto:
    """A Scan over c with a carried state."""
    body = helper.make_graph(
        list(nodes),
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in ("h", "frame")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in outputs],
    )
    return node("Scan", ["h0", "ct"], ["hT", "hs"], body=body, num_scan_inputs=1)


def counted_loop() -> NodeProto:
    """A Loop of as many iterations as there are frames, which gathers the frame of its iteration."""
    body = helper.make_graph(
        [
            node("Gather", ["ct", "i"], ["frame"], axis=0),
            node("MatMul", ["h", "M"], ["hm"]),
            node("Add", ["hm", "frame"], ["hf"]),
            node("Tanh", ["hf"], ["h1"]),
            node("Identity", ["h1"], ["h2"]),
            node("Identity", ["go"], ["going"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, (1, 3)),
        ],
        [
            helper.make_tensor_value_info("going", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("h1", TensorProto.FLOAT, (1, 3)),
            helper.make_tensor_value_info("h2", TensorProto.FLOAT, (1, 3)),
        ],
    )
    return node("Loop", ["T0", "", "h0"], ["hT", "hs"], body=body)


TURNED = node("Transpose", ["c"], ["ct"], perm=[1, 0, 2])
HS = node("Transpose", ["hs"], ["z"], perm=[1, 0, 2])
POOL = {"kernel_shape": [3], "pads": [2, 0]}
H0 = np.array([[0.25, -0.5, 0.1]], np.float32)

# what is done along time to c, which gives z of as many frames, or of one
RULES: dict[str, Nodes] = {
    "CumSum": [node("CumSum", ["c", "axis"], ["z"])],
    "CumSum exclusive": [node("CumSum", ["c", "axis"], ["z"], exclusive=1)],
    "CumSum reverse": [node("CumSum", ["c", "axis"], ["z"], reverse=1)],
    **{
        name: reduction(name)
        for name in (
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSumExp",
        )
    },
    "ReduceSum over all": [node("ReduceSum", ["c"], ["z"], keepdims=1)],
    "Conv causal": over_columns(node("Conv", ["ct", "K"], ["cy"], pads=[2, 0])),
    "Conv centred": over_columns(node("Conv", ["ct", "K", "bias"], ["cy"], pads=[1, 1])),
    "Conv dilated": over_columns(node("Conv", ["ct", "K"], ["cy"], pads=[4, 0], dilations=[2])),
    "Conv with its input padded": [
        node("Pad", ["c", "pads"], ["p"]),
        node("Transpose", ["p"], ["pt"], perm=[0, 2, 1]),
        node("Conv", ["pt", "K"], ["py"]),
        node("Transpose", ["py"], ["z"], perm=[0, 2, 1]),
    ],
    "Pad and cut": [node("Pad", ["c", "pads"], ["p"]), node("Slice", ["p", "i0", "m2", "i1"], ["z"])],
    "Pad at the end and cut": [node("Pad", ["c", "pads_end"], ["p"]), node("Slice", ["p", "i2", "end", "i1"], ["z"])],
    "Pad by the edge": [node("Pad", ["c", "pads"], ["p"], mode="edge"), node("Slice", ["p", "i0", "m2", "i1"], ["z"])],
    "AveragePool": over_columns(node("AveragePool", ["ct"], ["cy"], **POOL)),
    "AveragePool with its padding": over_columns(node("AveragePool", ["ct"], ["cy"], count_include_pad=1, **POOL)),
    "AveragePool centred": over_columns(
        node("AveragePool", ["ct"], ["cy"], count_include_pad=1, kernel_shape=[3], pads=[1, 1])
    ),
    "MaxPool": over_columns(node("MaxPool", ["ct"], ["cy"], **POOL)),
    "LpPool": over_columns(node("LpPool", ["ct"], ["cy"], **POOL)),
    "GlobalAveragePool": over_columns(node("GlobalAveragePool", ["ct"], ["cy"])),
    "GlobalMaxPool": over_columns(node("GlobalMaxPool", ["ct"], ["cy"])),
    **{f"{name} frames": cell(name, "Y") for name in ("RNN", "GRU", "LSTM")},
    **{f"{name} last": cell(name, "h") for name in ("RNN", "GRU", "LSTM")},
    "Softmax": [
        node("Softmax", ["c"], ["shares"], axis=1),
        node("Mul", ["shares", "x"], ["w"]),
        node("ReduceSum", ["w", "i1"], ["z"]),
    ],
    "Softmax of both": [
        node("Softmax", ["x"], ["shares"], axis=1),
        node("Mul", ["shares", "c"], ["w"]),
        node("ReduceSum", ["w", "i1"], ["z"]),
    ],
    "Softmax by itself": [node("Softmax", ["c"], ["z"], axis=1)],
    "LogSoftmax": [node("LogSoftmax", ["c"], ["z"], axis=1)],
    "Einsum of both": [node("Einsum", ["x", "c"], ["z"], equation="btf,btg->bfg")],
    "Einsum of one": [node("Einsum", ["c"], ["z"], equation="btf->bf")],
    "Einsum of pairs": [
        node("Einsum", ["x", "c"], ["z0"], equation="btf,bsf->bts"),
        node("ReduceSum", ["z0", "i2"], ["z"]),
    ],
    "MatMul over time": [node("Transpose", ["c"], ["cq"], perm=[0, 2, 1]), node("MatMul", ["cq", "x"], ["z"])],
    "MatMul of pairs": [
        node("Transpose", ["c"], ["cq"], perm=[0, 2, 1]),
        node("MatMul", ["x", "cq"], ["q"]),
        node("Softmax", ["q"], ["a"]),
        node("MatMul", ["a", "x"], ["z"]),
    ],
    "MatMul of pairs of constants": [
        node("Transpose", ["c"], ["cq"], perm=[0, 2, 1]),
        node("MatMul", ["c", "cq"], ["q"]),
        node("Softmax", ["q"], ["a"]),
        node("MatMul", ["a", "x"], ["z"]),
    ],
    "Slice the last": [node("Slice", ["c", "m1", "end", "i1"], ["z"])],
    "Slice the last three": [
        node("Slice", ["c", "m3", "end", "i1"], ["z0"]),
        node("ReduceMean", ["z0"], ["z"], axes=[1]),
    ],
    "Slice without the first": [
        node("Slice", ["c", "i1", "end", "i1"], ["z0"]),
        node("ReduceSum", ["z0", "i1"], ["z"]),
    ],
    "Slice the first": [node("Slice", ["c", "i0", "i1", "i1"], ["z"])],
    "Slice every second": [
        node("Slice", ["c", "i0", "end", "i1", "i2"], ["z0"]),
        node("ReduceSum", ["z0", "i1"], ["z"]),
    ],
    "Shift": [node("Concat", ["h01", "c"], ["p"], axis=1), node("Slice", ["p", "i0", "m1", "i1"], ["z"])],
    "Gather the last": [node("Gather", ["c", "last"], ["z0"], axis=1), node("Unsqueeze", ["z0", "i1"], ["z"])],
    "Gather backwards": [node("Gather", ["c", "bad"], ["z0"], axis=1), node("ReduceSum", ["z0", "i1"], ["z"])],
    "GatherElements": [node("ArgMax", ["c"], ["at"], axis=1), node("GatherElements", ["c", "at"], ["z"], axis=1)],
    "Concat zeros before": [
        node("Concat", ["two_frames", "c"], ["z0"], axis=1),
        node("CumSum", ["z0", "axis"], ["z1"]),
        node("Slice", ["z1", "i0", "m2", "i1"], ["z"]),
    ],
    "Concat with the sequence": [
        node("Concat", ["c", "x"], ["z0"], axis=1),
        node("ReduceMean", ["z0"], ["z"], axes=[1]),
    ],
    "Concat beside": [
        node("Concat", ["c", "x"], ["z0"], axis=2),
        node("CumSum", ["z0", "axis"], ["z1"]),
        node("Slice", ["z1", "i1", "i4", "i2"], ["z"]),
    ],
    "ArgMax": [node("ArgMax", ["c"], ["at"], axis=1), node("Cast", ["at"], ["z"], to=TensorProto.FLOAT)],
    "TopK": [node("TopK", ["c", "i1"], ["z", "at"], axis=1)],
    "Hardmax": [node("Hardmax", ["c"], ["z"], axis=1)],
    "Resize": over_columns(
        node("Resize", ["ct", "none", "resize"], ["ctt"], mode="nearest"),
        node("AveragePool", ["ctt"], ["cy"], kernel_shape=[2], strides=[2]),
    ),
    "ConvTranspose": over_columns(
        node("ConvTranspose", ["ct", "KT"], ["up"], strides=[2]),
        node("AveragePool", ["up"], ["cy"], kernel_shape=[2], strides=[2]),
    ),
    "InstanceNormalization": over_columns(node("InstanceNormalization", ["ct", "scale", "bias"], ["cy"])),
    "MeanVarianceNormalization": over_columns(node("MeanVarianceNormalization", ["ct"], ["cy"], axes=[2])),
    "LpNormalization": [node("LpNormalization", ["c"], ["z"], axis=1, p=2)],
    "LayerNormalization over time": over_columns(
        node("ReduceMean", ["ct"], ["mean"], axes=[2]), node("Sub", ["ct", "mean"], ["cy"])
    ),
    "Normalised by the last": [
        node("Slice", ["c", "m1", "end", "i1"], ["newest"]),
        node("Sub", ["c", "newest"], ["z"]),
    ],
    "Scan": [
        TURNED,
        loop(
            node("MatMul", ["h", "M"], ["hm"]),
            node("Add", ["hm", "frame"], ["hf"]),
            node("Tanh", ["hf"], ["h1"]),
            node("Identity", ["h1"], ["h2"]),
            outputs=["h1", "h2"],
        ),
        HS,
    ],
    "Loop": [node("Shape", ["x"], ["T1"], start=1, end=2), node("Squeeze", ["T1"], ["T0"]), TURNED, counted_loop(), HS],
    "Tile": [node("Tile", ["c", "tile"], ["z0"]), node("ReduceMean", ["z0"], ["z"], axes=[1])],
    "ReverseSequence": [
        TURNED,
        node("ReverseSequence", ["ct", "T1"], ["r"]),
        node("Transpose", ["r"], ["z"], perm=[1, 0, 2]),
    ],
    "Where of a running sum": [
        node("CumSum", ["c", "axis"], ["sum"]),
        node("Greater", ["sum", "half"], ["more"]),
        node("Where", ["more", "x", "sum"], ["z"]),
    ],
    "Quotient of running sums": [
        node("CumSum", ["x", "axis"], ["sum"]),
        node("CumSum", ["c", "axis"], ["count"]),
        node("Add", ["count", "ten"], ["more"]),
        node("Div", ["sum", "more"], ["z"]),
    ],
    "Trilu": [node("Trilu", ["c"], ["z"], upper=0)],
    "Split": [node("Split", ["c"], ["z", "z2", "z3"], axis=2)],
    "Flatten over time": [node("Reshape", ["c", "flat"], ["z0"]), node("ReduceMean", ["z0"], ["z"], axes=[1])],
    "Mean beside a last state": [
        node("Slice", ["x", "m1", "end", "i1"], ["newest"]),
        node("Mul", ["c", "newest"], ["z"]),
    ],
}
WEIGHTS |= {
    "h0": H0,
    "ten": np.array(10, np.float32),
    "h01": np.zeros((1, 1, 3), np.float32),
    "i4": np.array([4]),
    "tile": np.array([1, 2, 1]),
    "flat": np.array([1, -1, 1]),
}
RULES["ReverseSequence"].insert(0, node("Shape", ["x"], ["T1"], start=1, end=2))
OF_THE_WHOLE = (
    *(
        "Reduce",
        "Global",
        "Slice",
        "Gather",
        "TopK",
        "ArgMax",
        "Einsum of both",
        "Einsum of one",
        "MatMul over",
        "Tile",
    ),
    *("Flatten", "Softmax of", "RNN last", "GRU last", "LSTM last", "Concat with"),
)  # rules that give one frame for all


def make(source: str, rule: str) -> ModelProto:
    """y = x + z, where z is made of c alone: of one frame, or of as many as x has."""
    nodes = [*SOURCES[source], *RULES[rule]]
    tail = [node("Add", ["x", "z"], ["y"])]
    if rule.startswith(OF_THE_WHOLE) or rule == "Softmax":
        tail = [node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1), node("Add", ["m", "z"], ["y"])]
    names = {name for part in (*nodes, *tail) for name in part.input}
    names |= {name for part in nodes for a in part.attribute for inner in a.g.node for name in inner.input}
    inputs: dict[str, Any] = {"x": (1, "time", 3)} | ({"s": (1, 3)} if "s" in names else {})
    outputs = ["y", "s_out"] if source == "state" else ["y"]
    return make_model([*nodes, *tail], inputs, outputs, {k: v for k, v in WEIGHTS.items() if k in names})


def compare(model: ModelProto, imported: ImportedModel) -> None:
    """Every step with the graph on the sequence so far; behind look-ahead, all frames with those of the whole."""
    program = imported.program
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(4).standard_normal((1, STEPS, WIDTH)).astype(np.float32)
    s = np.array([[0.3, -0.7, 0.2]], np.float32)
    feeds = {"s": s} if any(entry.name == "s" for entry in model.graph.input) else {}
    (output,) = [output for output in program.description.outputs if output.name == "y"]
    prefixes = [session.run(["y"], {"x": x[:, : t + 1], **feeds})[0] for t in range(STEPS)]
    runner, came = ReferenceRunner(program), {}
    if any(slot.name == "s" for slot in program.state):
        runner.state["s"][...] = s.ravel()
    for t in range(STEPS):
        result = runner.step({"x": x[0, t], "s": s[0]} if len(program.inputs) > 1 else x[0, t])
        y = result["y"] if isinstance(result, dict) else result
        if y is not None:
            came[t] = np.array(y)
    assert came
    if output.per_frame:
        tail = runner.flush()
        frames = [*came.values(), *(tail["y"] if isinstance(tail, dict) else tail)]
        np.testing.assert_allclose(np.concatenate(frames, None), prefixes[-1].ravel(), rtol=1e-5, atol=1e-5)
    if program.mode == "continuous":
        assert sorted(came) == list(range(program.warmup_steps, STEPS))
        for t, y in came.items():
            np.testing.assert_allclose(y.ravel(), prefixes[t].ravel()[-y.size :], rtol=1e-5, atol=1e-5)


def refused(model: ModelProto) -> bool:
    """Whether a graph is refused; what is not is compared with onnxruntime."""
    try:
        imported = import_model(model)
    except UnsupportedModelError:
        return True
    compare(model, imported)
    return False


MUST_STREAM = {
    *(
        "CumSum",
        "ReduceSum",
        "ReduceMean",
        "ReduceMax",
        "ReduceL2",
        "ReduceSum over all",
        "Conv causal",
        "Conv centred",
    ),
    *("Conv dilated", "Conv with its input padded", "Pad and cut", "AveragePool", "AveragePool centred", "MaxPool"),
    *("LpPool", "GlobalAveragePool", "RNN frames", "GRU frames", "LSTM frames", "RNN last", "LSTM last", "Softmax"),
    *("Softmax of both", "Slice the last", "Slice every second", "Shift", "Gather the last", "Concat zeros before"),
    *("Concat beside", "Resize", "ConvTranspose", "Scan", "Loop", "Where of a running sum", "Quotient of running sums"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("source", SOURCES)
def test_a_rule_over_time_is_exact_or_refuses(source: str, rule: str) -> None:
    is_constant = source in ("zeros", "expanded row")
    assert not (refused(make(source, rule)) and is_constant and rule in MUST_STREAM)


def test_an_operator_that_declares_nothing_is_given_frames() -> None:
    """The guard stands before all rules: those that take constants along time treat each frame by itself."""
    assert not TAKES_TIME_CONSTANTS & {"CumSum", "Conv", "GRU", "Softmax", "ReduceSum", "Slice", "Gather", "Concat"}
