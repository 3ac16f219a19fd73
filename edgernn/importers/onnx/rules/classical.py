"""Scaling and linear models as skl2onnx writes them.

Source: ai.onnx.ml Scaler, Normalizer, Binarizer, LinearRegressor, LinearClassifier, ZipMap, FeatureVectorizer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import emit_dense
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary, number
from edgernn.importers.onnx.rules.ids import chosen_entries, warn_of_index
from edgernn.importers.onnx.rules.layer_norms import divided_by_norm
from edgernn.importers.onnx.rules.normalization import emit_softmax
from edgernn.importers.onnx.rules.reductions import emit_arg_max, require_features
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor, width_of
from edgernn.program.operations import Softmax

Array = NDArray[Any]


def scaler(call: Call) -> Results:
    """Scaler: ``(x - offset) * scale``, for all features or each."""
    offset, scale = (Constant.of(_vector(call, name)) for name in ("offset", "scale"))
    centred = emit_pair(call, "Sub", call.stream(0), offset, call.inner("centred"))
    return (emit_pair(call, "Mul", centred, scale, call.output),)


def _vector(call: Call, name: str) -> Array:
    numbers = call.node.numbers(name)
    if not numbers:
        raise call.node.malformed(f"lacks its attribute {name}")
    return np.array(numbers, np.float32)


def binarizer(call: Call) -> Results:
    """Binarizer: 1 above the threshold."""
    threshold = call.node.number("threshold", 0.0) or 0.0
    return (emit_pair(call, "Greater", call.stream(0), number(threshold), call.output),)


def normalizer(call: Call) -> Results:
    """Normalizer: each row divided by its largest number, by its sum of magnitudes or by its length."""
    x, norm = call.stream(0), call.node.word("norm", "MAX")
    if norm == "L1" and _are_probabilities(call, x):
        return (x,)
    if norm in ("L1", "L2"):
        return (divided_by_norm(call, x, x.rank - 1, int(norm[1])),)
    if norm != "MAX":
        raise call.node.malformed(f"has norm = {norm!r}")
    raise call.node.unsupported("divides by the largest number of a row, on whose sign runtimes differ: use L1 or L2")


def _are_probabilities(call: Call, x: Signal) -> bool:
    """Whether rows are what a softmax gives: none is negative, and their sum is 1 already."""
    writer = next((operation for operation in call.builder.operations if operation.outputs == x.bases), None)
    in_order = x.elements.size == width_of(x.axes[-1]) and (np.diff(x.elements.ravel()) == 1).all()
    return isinstance(writer, Softmax) and not writer.logarithm and bool(in_order)


def linear_regressor(call: Call) -> Results:
    """LinearRegressor: a matrix product."""
    targets = call.node.integer("targets", 1)
    scores = _scores(call, call.stream(0), targets, call.output)
    if call.node.word("post_transform", "NONE") != "NONE":
        raise call.node.unsupported("transforms the results of a regression: use post_transform = NONE")
    return (scores,)


def _scores(call: Call, x: Signal, count: int, output: str) -> Signal:
    """``x @ coefficients.T + intercepts``."""
    require_features(call, x, [x.rank - 1])
    coefficients = _vector(call, "coefficients")
    width = width_of(x.axes[-1])
    if count < 1 or coefficients.size != count * width:
        raise call.node.malformed(f"has {coefficients.size} coefficients for {width} features and {count} results")
    intercepts = call.node.numbers("intercepts")
    if intercepts and len(intercepts) != count:
        raise call.node.malformed(f"has {len(intercepts)} intercepts for {count} results")
    bias = np.array(intercepts, np.float32) if intercepts else None
    return emit_dense(call, x, coefficients.reshape(count, width), bias, output)


def linear_classifier(call: Call) -> Results:
    """LinearClassifier: the label's number and the scores. Texts of labels are left to the code behind the model."""
    node, x = call.node, call.stream(0)
    node.ignore("multi_class")
    texts, numbers = node.words("classlabels_strings"), node.integers("classlabels_ints")
    count = len(texts or numbers or ())
    if not call.node.has("coefficients") or count < 2:
        raise node.malformed(f"has {count} labels")
    rows = len(_vector(call, "coefficients")) // width_of(x.axes[-1])
    if rows != count:
        raise node.unsupported(f"has {rows} rows of coefficients for {count} labels: export it with a row for each")
    names = [*node.outputs, "", ""][:2]
    scores_name = names[1] or call.inner("scores")
    transform = node.word("post_transform", "NONE")
    raw = _scores(call, x, count, scores_name if transform == "NONE" else call.inner("raw"))
    if transform == "NONE":
        scores: Tensor = raw
    elif transform == "SOFTMAX":
        scores = emit_softmax(call, raw, scores_name)
    elif transform == "LOGISTIC":
        scores = emit_unary(call, raw, scores_name, "Sigmoid")
    else:
        raise node.unsupported(f"has post_transform = {transform}: use NONE, SOFTMAX or LOGISTIC")
    if not names[0] or not call.graph.reads(names[0]):
        return (scores, scores)
    index = emit_arg_max(call, raw, call.inner("index"))
    index = index.moved(index.axes[:-1], index.elements[..., 0])
    if texts:
        warn_of_index(call, texts)
        return (index, scores)
    return (chosen_entries(call, np.array(numbers), index, names[0]), scores)


def zip_map(call: Call) -> Results:
    """ZipMap: the scores as they are, in the order of the labels."""
    call.node.ignore("classlabels_int64s", "classlabels_strings")
    return (call.tensor(0),)
