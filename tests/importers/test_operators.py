"""Each operator's rule against onnxruntime: over the features of a stream, and over the frames of a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper
from sequence_models import largest_difference, make_model, run_original

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

Array = NDArray[Any]
BATCH, STEPS, WIDTH = 2, 5, 6
node = helper.make_node
Case = tuple[list[NodeProto], dict[str, Array], int]


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


PAIRS = integers(0, 0, 3, 2)
FLAT = integers(0, 0, -1)


def on_pairs(nodes: list[NodeProto], weights: dict[str, Array] | None = None, opset: int = 17) -> Case:
    """Nodes from p (batch, time, 3, 2) to q of any shape, which is flattened."""
    first, last = node("Reshape", ["x", "pairs"], ["p"]), node("Reshape", ["q", "flat"], ["y"])
    return [first, *nodes, last], {"pairs": PAIRS, "flat": FLAT, **(weights or {})}, opset


def on_features(nodes: list[NodeProto], weights: dict[str, Array] | None = None, opset: int = 17) -> Case:
    """Nodes from x (batch, time, 6) to y."""
    return nodes, weights or {}, opset


def reduction(operator: str, opset: int, axes: list[int], keep: int = 1) -> Case:
    """A reduction of pairs, its axes given as the operator set has them."""
    takes_input = opset >= (13 if operator == "ReduceSum" else 18)
    before = [node("Abs", ["p"], ["s"])] if operator == "ReduceLogSum" else [node("Identity", ["p"], ["s"])]
    if takes_input:
        return on_pairs(
            [*before, node(operator, ["s", "axes"], ["q"], keepdims=keep)], {"axes": integers(*axes)}, opset
        )
    return on_pairs([*before, node(operator, ["s"], ["q"], axes=axes, keepdims=keep)], {}, opset)


REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]
CASES: dict[str, Case] = {}
for kind in REDUCTIONS:
    CASES[f"reduce {kind} last"] = reduction(f"Reduce{kind}", 18, [-1])
    CASES[f"reduce {kind} middle by attribute"] = reduction(f"Reduce{kind}", 11, [2], keep=0)
    CASES[f"reduce {kind} both"] = reduction(f"Reduce{kind}", 18, [2, 3])

CASES |= {
    "reduce nothing": on_features([node("ReduceSum", ["x"], ["y"], noop_with_empty_axes=1)]),
    "reduce apart": on_pairs(
        [
            node("Reshape", ["p", "apart"], ["a"]),
            node("ReduceSum", ["a", "axes"], ["q"], keepdims=1),
        ],
        {"apart": integers(0, 0, 3, 1, 2), "axes": integers(2, 4)},
    ),
    "arg max": on_pairs([node("ArgMax", ["p"], ["i"], axis=2), node("Cast", ["i"], ["q"], to=1)]),
    "arg min, last": on_pairs(
        [node("ArgMin", ["p"], ["i"], axis=-1, keepdims=0, select_last_index=1), node("Cast", ["i"], ["q"], to=1)]
    ),
    "top k": on_pairs([node("TopK", ["p", "k"], ["q", "i"], axis=2)], {"k": integers(2)}),
    "top k, least": on_pairs([node("TopK", ["p", "k"], ["q", "i"], axis=3, largest=0)], {"k": integers(2)}),
    "top k positions": on_features(
        [node("TopK", ["x", "k"], ["v", "i"]), node("Cast", ["i"], ["y"], to=1)], {"k": integers(3)}
    ),
    "hardmax": on_features([node("Hardmax", ["x"], ["y"])]),
    "running sum": on_features([node("CumSum", ["x", "axis"], ["y"])], {"axis": np.array(2)}),
    "running sum of those before, from the end": on_features(
        [node("CumSum", ["x", "axis"], ["y"], exclusive=1, reverse=1)], {"axis": np.array(2)}
    ),
    "running sum of ids": on_features(
        [
            node("Cast", ["x"], ["i"], to=6),
            node("CumSum", ["i", "axis"], ["s"]),
            node("Cast", ["s"], ["y"], to=1),
        ],
        {"axis": np.array(2)},
    ),
    "layer normalization": on_features(
        [node("LayerNormalization", ["x", "scale", "bias"], ["y"])], {"scale": random(6), "bias": random(6)}
    ),
    "layer normalization without bias": on_features(
        [node("LayerNormalization", ["x", "scale"], ["y"], epsilon=1e-3)], {"scale": random(6)}
    ),
    "layer normalization of two axes": on_pairs(
        [node("LayerNormalization", ["p", "scale", "bias"], ["q"], axis=2)],
        {"scale": random(3, 2), "bias": random(3, 2)},
    ),
    "simplified layer normalization": on_features(
        [node("SimplifiedLayerNormalization", ["x", "scale"], ["y"], epsilon=1e-5, axis=-1)], {"scale": random(6)}
    ),
    "rms normalization": on_features(
        [node("RMSNormalization", ["x", "scale"], ["y"], epsilon=1e-5)], {"scale": random(6)}, 23
    ),
    "lp normalization": on_features([node("LpNormalization", ["x"], ["y"], p=2)]),
    "lp normalization by magnitudes": on_pairs([node("LpNormalization", ["p"], ["q"], p=1, axis=2)]),
    "lp normalization of zeros": on_features(
        [
            node("Mul", ["x", "zero"], ["z"]),
            node("LpNormalization", ["z"], ["y"]),
        ],
        {"zero": np.float32(0)},
    ),
    "mean variance normalization": on_pairs([node("MeanVarianceNormalization", ["p"], ["q"], axes=[2, 3])]),
    "greater": on_features(
        [node("Greater", ["x", "row"], ["b"]), node("Cast", ["b"], ["y"], to=1)], {"row": random(6)}
    ),
    "logic": on_features(
        [
            node("Greater", ["x", "zero"], ["a"]),
            node("LessOrEqual", ["x", "half"], ["b"]),
            node("And", ["a", "b"], ["c"]),
            node("Xor", ["a", "c"], ["d"]),
            node("Or", ["d", "b"], ["e"]),
            node("Not", ["e"], ["f"]),
            node("Cast", ["f"], ["y"], to=1),
        ],
        {"zero": np.float32(0), "half": np.float32(0.5)},
    ),
    "equal ids": on_features(
        [
            node("Cast", ["x"], ["i"], to=7),
            node("Equal", ["i", "one"], ["b"]),
            node("Cast", ["b"], ["y"], to=1),
        ],
        {"one": integers(1)},
    ),
    "cast to truth": on_features(
        [
            node("Floor", ["x"], ["f"]),
            node("Cast", ["f"], ["b"], to=9),
            node("Cast", ["b"], ["i"], to=7),
            node("Cast", ["i"], ["y"], to=1),
        ]
    ),
    "cast like": on_features([node("CastLike", ["x", "like"], ["i"]), node("CastLike", ["i", "x"], ["y"])],
                             {"like": integers(1)}),
    "where": on_features(
        [node("Greater", ["x", "zero"], ["b"]), node("Where", ["b", "x", "row"], ["y"])],
        {"zero": np.float32(0), "row": random(6)},
    ),
    "where by a constant": on_features(
        [node("Tanh", ["x"], ["t"]), node("Where", ["mask", "x", "t"], ["y"])],
        {"mask": np.array([True, False, True, False, False, True])},
    ),
    "where by a constant, one side constant": on_pairs(
        [node("Where", ["mask", "p", "rest"], ["q"])],
        {"mask": np.array([[True], [False], [True]]), "rest": np.float32(-3)},
    ),
    "where of ids": on_features(
        [
            node("Cast", ["x"], ["i"], to=7),
            node("Greater", ["x", "zero"], ["b"]),
            node("Where", ["b", "i", "nine"], ["w"]),
            node("Cast", ["w"], ["y"], to=1),
        ],
        {"zero": np.float32(0), "nine": integers(9)},
    ),
    "masked softmax": on_pairs(
        [node("Where", ["mask", "p", "never"], ["m"]), node("Softmax", ["m"], ["q"], axis=2)],
        {"mask": np.array([[True, True], [False, True], [True, False]]), "never": np.float32(-np.inf)},
    ),
    "softmax with an added mask": on_features(
        [node("Add", ["x", "mask"], ["m"]), node("Softmax", ["m"], ["y"])],
        {"mask": floats(0, -np.inf, 0, 0, -np.inf, 0)},
    ),
    "float remainder": on_features([node("Mod", ["x", "row"], ["y"], fmod=1)], {"row": random(6) + 2}),
    "remainder of ids": on_features(
        [
            node("Mul", ["x", "ten"], ["t"]),
            node("Cast", ["t"], ["i"], to=7),
            node("Mod", ["i", "by"], ["m"]),
            node("Cast", ["m"], ["y"], to=1),
        ],
        {"ten": np.float32(10), "by": integers(3, -3, 4, -4, 5, -5)},
    ),
    "quotient of ids": on_features(
        [
            node("Mul", ["x", "ten"], ["t"]),
            node("Cast", ["t"], ["i"], to=7),
            node("Div", ["i", "by"], ["m"]),
            node("Cast", ["m"], ["y"], to=1),
        ],
        {"ten": np.float32(10), "by": integers(3, -3, 4, -4, 5, -5)},
    ),
    "tangent": on_features([node("Tan", ["x"], ["y"])]),
    "shrink": on_features([node("Shrink", ["x"], ["y"], lambd=0.7, bias=0.3)]),
    "mean of three": on_features([node("Tanh", ["x"], ["t"]), node("Mean", ["x", "t", "row"], ["y"])],
                                 {"row": random(6)}),
    "product of signals": on_pairs(
        [node("Transpose", ["p"], ["t"], perm=[0, 1, 3, 2]), node("MatMul", ["p", "t"], ["q"])]
    ),
    "product of signals, stacked": on_pairs(
        [
            node("Unsqueeze", ["p", "two"], ["stack"]),
            node("Tanh", ["stack"], ["tanh"]),
            node("Concat", ["stack", "tanh"], ["both"], axis=2),
            node("Transpose", ["stack"], ["turned"], perm=[0, 1, 2, 4, 3]),
            node("MatMul", ["both", "turned"], ["q"]),
        ],
        {"two": integers(2)},
    ),
    "stack of weights": on_pairs(
        [
            node("Unsqueeze", ["p", "three"], ["rows"]),
            node("MatMul", ["rows", "W"], ["q"]),
        ],
        {"three": integers(3), "W": random(3, 2, 4)},
    ),
    "stack of weights for one signal": on_pairs(
        [node("Unsqueeze", ["p", "two"], ["one"]), node("MatMul", ["one", "W"], ["q"])],
        {"two": integers(2), "W": random(4, 2, 5)},
    ),
    "stack of weights on the left": on_pairs(
        [node("Unsqueeze", ["p", "last"], ["columns"]), node("MatMul", ["W", "columns"], ["q"])],
        {"last": integers(4), "W": random(3, 4, 2)},
    ),
    "vector times signal": on_pairs([node("MatMul", ["w", "p"], ["q"])], {"w": random(3)}),
    "signal times vector": on_pairs([node("MatMul", ["p", "w"], ["q"])], {"w": random(2)}),
    "einsum of weights": on_pairs([node("Einsum", ["p", "W"], ["q"], equation="btij,jk->btik")], {"W": random(2, 4)}),
    "einsum of signals": on_pairs(
        [node("Tanh", ["p"], ["t"]), node("Einsum", ["p", "t"], ["q"], equation="btij,btkj->btik")]
    ),
    "einsum with an ellipsis": on_pairs([node("Einsum", ["p", "W"], ["q"], equation="...ij,ik->...kj")],
                                        {"W": random(3, 5)}),
    "einsum of each head": on_pairs([node("Einsum", ["p", "W"], ["q"], equation="btij,ijk->btik")],
                                    {"W": random(3, 2, 4)}),
    "einsum of an outer product": on_pairs(
        [node("Tanh", ["p"], ["t"]), node("Einsum", ["p", "t"], ["q"], equation="btij,btkl->btijkl")]
    ),
    "einsum that sums and turns": on_pairs([node("Einsum", ["p"], ["q"], equation="btij -> btj")]),
    "einsum that sums both": on_pairs([node("Einsum", ["p", "W"], ["q"], equation="btij,k->btk")], {"W": random(4)}),
    "tile": on_pairs([node("Tile", ["p", "repeats"], ["q"])], {"repeats": integers(1, 1, 2, 3)}),
    "gather elements": on_pairs(
        [node("GatherElements", ["p", "places"], ["q"], axis=3)],
        {"places": np.broadcast_to(np.array([[1, 0, 1], [0, 0, -1], [1, 1, 1]]), (BATCH, STEPS, 3, 3))},
    ),
    "gather nd": on_pairs(
        [node("Transpose", ["p"], ["t"], perm=[2, 3, 0, 1]), node("GatherND", ["t", "places"], ["g"]),
         node("Transpose", ["g"], ["q"], perm=[1, 2, 0])],
        {"places": integers(2, 0, 0, 1, 1, -1).reshape(3, 2)},
    ),
    "scatter elements": on_pairs(
        [node("Tanh", ["p"], ["t"]), node("Transpose", ["t"], ["u"], perm=[0, 1, 3, 2]),
         node("Slice", ["u", "zero", "two", "last"], ["few"]),
         node("Transpose", ["p"], ["v"], perm=[0, 1, 3, 2]),
         node("ScatterElements", ["v", "places", "few"], ["q"], axis=3)],
        {"zero": integers(0), "two": integers(2), "last": integers(3),
         "places": np.broadcast_to(np.array([[2, 0], [-1, 1]]), (BATCH, STEPS, 2, 2))},
    ),
    "depth to space": on_features(
        [node("Tanh", ["x"], ["t"]), node("Concat", ["x", "t"], ["both"], axis=2),
         node("Reshape", ["both", "image"], ["i"]), node("DepthToSpace", ["i"], ["d"], blocksize=2),
         node("Reshape", ["d", "back"], ["y"])],
        {"image": integers(-1, 12, 1, 1), "back": integers(BATCH, STEPS, 12)}, 13,
    ),
    "depth to space by columns": on_features(
        [node("Tanh", ["x"], ["t"]), node("Concat", ["x", "t"], ["both"], axis=2),
         node("Reshape", ["both", "image"], ["i"]), node("DepthToSpace", ["i"], ["d"], blocksize=2, mode="CRD"),
         node("Reshape", ["d", "back"], ["y"])],
        {"image": integers(-1, 12, 1, 1), "back": integers(BATCH, STEPS, 12)}, 13,
    ),
    "space to depth": on_features(
        [node("Tanh", ["x"], ["t"]), node("Concat", ["x", "t"], ["both"], axis=2),
         node("Reshape", ["both", "image"], ["i"]), node("SpaceToDepth", ["i"], ["d"], blocksize=2),
         node("Reshape", ["d", "back"], ["y"])],
        {"image": integers(-1, 1, 2, 6), "back": integers(BATCH, STEPS, 12)}, 13,
    ),
    "local response normalization of a frame": on_features(
        [node("Reshape", ["x", "image"], ["i"]), node("LRN", ["i"], ["d"], size=5, alpha=0.3),
         node("Reshape", ["d", "back"], ["y"])],
        {"image": integers(-1, 6, 1, 1), "back": integers(BATCH, STEPS, 6)},
    ),
    "lower triangle": on_pairs([node("Trilu", ["p"], ["q"], upper=0)]),
    "upper triangle": on_pairs([node("Trilu", ["p", "k"], ["q"])], {"k": np.array(1)}),
    "compress": on_pairs([node("Compress", ["p", "kept"], ["q"], axis=2)], {"kept": np.array([True, False, True])}),
    "one hot": on_features(
        [node("Cast", ["x"], ["i"], to=7), node("OneHot", ["i", "depth", "values"], ["h"], axis=-1),
         node("Reshape", ["h", "flat"], ["y"])],
        {"depth": np.array(3), "values": floats(-1, 2), "flat": FLAT},
    ),
    "one hot, plain": on_features(
        [node("ArgMax", ["x"], ["i"], axis=2, keepdims=0), node("OneHot", ["i", "depth", "values"], ["y"])],
        {"depth": np.array(6), "values": floats(0, 1)},
    ),
}  # fmt: skip


def windowed(nodes: list[NodeProto], weights: dict[str, Array]) -> tuple[list[NodeProto], dict[str, Array]]:
    """The same nodes behind a reversal of time, which no stream can do."""
    turn = node("Slice", ["x", "from_end", "to_start", "time_axis", "backwards"], ["reversed"])
    renamed = []
    for entry in nodes:
        copy = NodeProto()
        copy.CopyFrom(entry)
        copy.ClearField("input")
        copy.input.extend("reversed" if name == "x" else name for name in entry.input)
        renamed.append(copy)
    ends = {"from_end": integers(-1), "to_start": integers(-(2**31)), "time_axis": integers(1)}
    return [turn, *renamed], {**weights, **ends, "backwards": integers(-1)}


def signal() -> Array:
    return np.random.default_rng(0).uniform(-2, 2, (BATCH, STEPS, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("shape", ["dynamic", "frozen"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_operator_in_a_stream(name: str, shape: str) -> None:
    nodes, weights, opset = CASES[name]
    dimensions = [BATCH, STEPS, WIDTH] if shape == "frozen" else ["batch", "time", WIDTH]
    model = make_model(nodes, {"x": dimensions}, ["y"], weights, opset=opset)
    imported = import_model(model)
    assert imported.program.mode == "continuous"
    expected = run_original(model, {"x": signal()})
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(imported, {"x": signal()}, expected, runner) < 1e-5


@pytest.mark.parametrize("name", sorted(CASES))
def test_operator_in_a_window(name: str) -> None:
    nodes, weights, opset = CASES[name]
    nodes, weights = windowed(nodes, weights)
    model = make_model(nodes, {"x": [BATCH, STEPS, WIDTH]}, ["y"], weights, opset=opset)
    imported = import_model(model)
    assert (imported.program.mode, imported.program.window_steps) == ("windowed", STEPS)
    expected = run_original(model, {"x": signal()})
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(imported, {"x": signal()}, expected, runner) < 1e-5


CHANNELS = node("Transpose", ["x"], ["c"], perm=[0, 2, 1])  # (batch, 6, time)
LAST = node("MatMul", ["q", "W"], ["y"])  # the frames as rows of features again
HEADS = integers(0, 0, 2, 3)


def heads(name: str) -> list[NodeProto]:
    """(batch, time, 6) as (batch, 2, time, 3)."""
    return [
        node("Reshape", [name, "heads"], [f"{name}_apart"]),
        node("Transpose", [f"{name}_apart"], [f"{name}_heads"], perm=[0, 2, 1, 3]),
    ]


QKV = [
    node("MatMul", ["x", "Wq"], ["q0"]), node("MatMul", ["x", "Wk"], ["k0"]), node("MatMul", ["x", "Wv"], ["v0"]),
]  # fmt: skip
PROJECTIONS = {"Wq": random(6, 6), "Wk": random(6, 6) + 0.1, "Wv": random(6, 6) - 0.2}
CAUSAL = np.triu(np.full((STEPS, STEPS), -np.inf, np.float32), 1)
ANGLES = np.arange(8)[:, None] * floats(1.0, 0.1, 0.01)
ROTARY = {"cos": np.cos(ANGLES).astype(np.float32), "sin": np.sin(ANGLES).astype(np.float32)}

# from x (batch, time, 6) to y, which cannot stream
WINDOWS: dict[str, Case] = {
    "softmax over time": on_features([node("Softmax", ["x"], ["y"], axis=1)]),
    "attention by hand, causal": on_features(
        [
            *QKV, *heads("q0"), *heads("k0"), *heads("v0"),
            node("Transpose", ["k0_heads"], ["turned"], perm=[0, 1, 3, 2]),
            node("MatMul", ["q0_heads", "turned"], ["scores"]),
            node("Div", ["scores", "root"], ["scaled"]),
            node("Add", ["scaled", "mask"], ["masked"]),
            node("Softmax", ["masked"], ["shares"]),
            node("MatMul", ["shares", "v0_heads"], ["found"]),
            node("Transpose", ["found"], ["beside"], perm=[0, 2, 1, 3]),
            node("Reshape", ["beside", "flat"], ["y"]),
        ],
        {**PROJECTIONS, "heads": HEADS, "root": np.float32(np.sqrt(3)), "mask": CAUSAL, "flat": FLAT},
    ),
    "attention by einsum": on_features(
        [
            *QKV, node("Einsum", ["q0", "k0"], ["scores"], equation="btd,bsd->bts"),
            node("Softmax", ["scores"], ["shares"]),
            node("Einsum", ["shares", "v0"], ["y"], equation="bts,bsd->btd"),
        ],
        PROJECTIONS,
    ),
    "attention": on_features(
        [*QKV, node("Attention", ["q0", "k0", "v0"], ["y"], q_num_heads=2, kv_num_heads=2)], PROJECTIONS, 23
    ),
    "attention, causal, capped and scaled": on_features(
        [*QKV, node("Attention", ["q0", "k0", "v0"], ["y"], q_num_heads=2, kv_num_heads=2, is_causal=1, scale=0.5)],
        PROJECTIONS, 23,
    ),
    "attention with a mask of truth": on_features(
        [*QKV, node("Attention", ["q0", "k0", "v0", "mask"], ["y"], q_num_heads=3, kv_num_heads=3)],
        {**PROJECTIONS, "mask": np.tri(STEPS, dtype=bool)}, 23,
    ),
    "attention with shared keys": on_features(
        [
            node("MatMul", ["x", "Wq"], ["q0"]), node("MatMul", ["x", "Wk"], ["k0"]),
            node("MatMul", ["x", "Wv"], ["v0"]),
            node("Attention", ["q0", "k0", "v0"], ["y"], q_num_heads=3, kv_num_heads=1),
        ],
        {"Wq": random(6, 6), "Wk": random(6, 2), "Wv": random(6, 2)}, 23,
    ),
    "rotary positions": on_features(
        [node("RotaryEmbedding", ["x", "cos", "sin", "places"], ["y"], num_heads=1)],
        {**ROTARY, "places": np.tile(np.arange(STEPS) + 1, (BATCH, 1))}, 23,
    ),
    "rotary positions, interleaved": on_features(
        [node("RotaryEmbedding", ["x", "cos", "sin", "places"], ["y"], num_heads=1, interleaved=1)],
        {**ROTARY, "places": np.tile(np.arange(STEPS), (BATCH, 1))}, 23,
    ),
    "rotary positions of a part": on_features(
        [
            node("RotaryEmbedding", ["x", "cos", "sin", "places"], ["y"], num_heads=1, rotary_embedding_dim=4),
        ],
        {"cos": ROTARY["cos"][:, :2], "sin": ROTARY["sin"][:, :2], "places": np.tile(np.arange(STEPS), (BATCH, 1))}, 23,
    ),
    "instance normalization": on_features(
        [CHANNELS, node("InstanceNormalization", ["c", "scale", "bias"], ["y"])],
        {"scale": random(6), "bias": random(6) + 1},
    ),
    "group normalization": on_features(
        [CHANNELS, node("GroupNormalization", ["c", "scale", "bias"], ["y"], num_groups=3)],
        {"scale": random(6), "bias": random(6) + 1}, 21,
    ),
    "group normalization, scales of groups": on_features(
        [CHANNELS, node("GroupNormalization", ["c", "scale", "bias"], ["y"], num_groups=3)],
        {"scale": random(3), "bias": random(3) + 1}, 18,
    ),
    "layer normalization over time": on_features(
        [node("LayerNormalization", ["x", "scale", "bias"], ["y"], axis=1)],
        {"scale": random(STEPS, 6), "bias": random(STEPS, 6)},
    ),
    "local response normalization": on_features(
        [node("Unsqueeze", ["x", "one"], ["image"]), node("Transpose", ["image"], ["c"], perm=[0, 3, 2, 1]),
         node("LRN", ["c"], ["n"], size=3, alpha=0.2, beta=0.6, bias=1.5),
         node("CumSum", ["n", "axis"], ["y"], reverse=1)],
        {"one": integers(1), "axis": np.array(2)},
    ),
    "product over time": on_features([node("ReduceProd", ["x"], ["y"], axes=[1], keepdims=0)]),
    "logarithm of summed exponentials over time": on_features([node("ReduceLogSumExp", ["x"], ["y"], axes=[1])]),
    "arg max over time": on_features([node("ArgMax", ["x"], ["i"], axis=1), node("Cast", ["i"], ["y"], to=1)]),
    "top k over time": on_features([node("TopK", ["x", "k"], ["y", "i"], axis=1)], {"k": integers(2)}),
    "reversed sequences": on_features(
        [node("ReverseSequence", ["x", "lengths"], ["y"], time_axis=1, batch_axis=0)],
        {"lengths": np.full(BATCH, STEPS)},
    ),
    "every frame beside its repetition": on_features(
        [node("Tile", ["x", "repeats"], ["y"])], {"repeats": integers(1, 2, 1)}
    ),
    "scattered frames": on_features(
        [node("Transpose", ["x"], ["t"], perm=[1, 2, 0]), node("Tanh", ["t"], ["tanh"]),
         node("Slice", ["tanh", "zero", "two"], ["few"]), node("ScatterND", ["t", "places", "few"], ["s"]),
         node("Transpose", ["s"], ["y"], perm=[2, 0, 1])],
        {"zero": integers(0), "two": integers(2), "places": integers(4, 1).reshape(2, 1)},
    ),
    "triangle of scores": on_features(
        [node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), node("MatMul", ["x", "t"], ["scores"]),
         node("Trilu", ["scores"], ["y"], upper=0)],
    ),
    "frames by position, of each sample": on_features(
        [node("GatherND", ["x", "places"], ["y"], batch_dims=1)],
        {"places": np.broadcast_to(integers(3, 0, 4).reshape(3, 1), (BATCH, 3, 1))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_operator_that_needs_a_window(name: str) -> None:
    nodes, weights, opset = WINDOWS[name]
    model = make_model(nodes, {"x": [BATCH, STEPS, WIDTH]}, ["y"], weights, opset=opset)
    imported = import_model(model)
    assert imported.program.mode == "windowed"
    expected = run_original(model, {"x": signal()})
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(imported, {"x": signal()}, expected, runner) < 1e-5


# nodes from x (batch, time, 6) to y, what the message must say
REFUSED: dict[str, tuple[Case, str]] = {
    "test for NaN": (
        on_features([node("IsNaN", ["x"], ["b"]), node("Cast", ["b"], ["y"], to=1)]),
        r"IsNaN_b \(IsNaN\).*no input of a stream is NaN",
    ),
    "infinite constant that is no mask": (
        on_features([node("Max", ["x", "low"], ["y"])], {"low": floats(-np.inf)}),
        "only a mask before a Softmax may be minus infinity",
    ),
    "narrow integers": (
        on_features([node("Cast", ["x"], ["i"], to=3), node("Cast", ["i"], ["y"], to=1)]),
        "casts a signal to int8, in which numbers may overflow",
    ),
    "diagonal": (on_pairs([node("Einsum", ["p"], ["q"], equation="btii->bti")]), "diagonal"),
    "three operands": (
        on_features([node("Einsum", ["x", "x", "x"], ["y"], equation="btd,btd,btd->btd")]),
        "only one or two",
    ),
    "mean of a normalisation": (
        on_features(
            [node("LayerNormalization", ["x", "scale"], ["n", "m"]), node("Add", ["n", "m"], ["y"])],
            {"scale": random(6)},
        ),
        "mean or deviation",
    ),
    "sum over the batch": (on_features([node("ReduceSum", ["x", "axes"], ["y"])], {"axes": integers(0)}), "batch"),
    "added where it is scattered": (
        on_features(
            [node("ScatterElements", ["x", "places", "x"], ["y"], axis=2, reduction="add")],
            {"places": np.zeros((BATCH, STEPS, 6), np.int64)},
            18,
        ),
        "only plain writing",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_an_operator_cannot_do_is_refused_by_name(name: str) -> None:
    (nodes, weights, opset), words = REFUSED[name]
    model = make_model(nodes, {"x": [BATCH, STEPS, WIDTH]}, ["y"], weights, opset=opset)
    with pytest.raises(edgernn.UnsupportedModelError, match=words):
        import_model(model)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", ["RNN", "GRU", "LSTM"])
def test_recurrence_over_less_than_the_window(operator: str, direction: str) -> None:
    """Y is zero behind the length, and the last state is that at the length."""
    sides, rows = 1 + (direction == "bidirectional"), {"RNN": 1, "GRU": 3, "LSTM": 4}[operator] * 3
    weights = {"W": random(sides, rows, WIDTH), "R": random(sides, rows, 3), "lengths": np.array([3], np.int32)}
    cell = node(operator, ["x", "W", "R", "", "lengths"], ["y", "y_h"], hidden_size=3, direction=direction)
    model = make_model([cell], {"x": [STEPS, 1, WIDTH]}, ["y", "y_h"], weights)
    feeds = {"x": signal()[:1].transpose(1, 0, 2)}
    expected = run_original(model, feeds)
    imported = import_model(model)
    assert imported.program.mode == "windowed"
    for runner in (ReferenceRunner, edgernn.Runner):
        assert largest_difference(imported, feeds, expected, runner) < 1e-5
