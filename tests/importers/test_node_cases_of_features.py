"""ONNX's own test cases of operators over features: each runs inside one frame, into which all its inputs are laid."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import made_cases

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.rules import RULES
from edgernn.reference.runner import ReferenceRunner

# of other files
ELSEWHERE = {"GRU", "LSTM", "RNN", "Scan", "Loop", "If", "CausalConvWithState", "LinearAttention"} | {
    *("QuantizeLinear", "DequantizeLinear", "QLinearMatMul", "QLinearConv"),
    "Upsample",  # of operator sets in which the frame around it cannot be written
}
# without a case of one node that takes floats first; other files test them
WITHOUT_CASES = {
    *("And", "Cast", "CastLike", "ConcatFromSequence", "ConvInteger", "CumSum", "DynamicQuantizeLinear", "Equal"),
    *("IsNaN", "MatMulInteger", "Not", "OneHot", "Or", "Pad", "SequenceEmpty", "SequenceInsert"),
    *("SimplifiedLayerNormalization", "Trilu", "Xor"),
}
# the default domain's; cases of others are no part of the package onnx
OPERATORS = sorted({name for name in RULES if "." not in name} - ELSEWHERE - WITHOUT_CASES)
# onnxruntime and the frameworks align with the last number that there is, the case with one between two numbers
OTHERWISE_IN_ONNXRUNTIME = {"test_resize_downsample_scales_linear_align_corners"}


@cache
def cases() -> dict[str, list[Any]]:
    """The cases of single operators with a rule, by operator."""
    chosen: dict[str, list[Any]] = {}
    for case in made_cases():
        (node, *others) = case.model.graph.node
        arrays = [array for part in case.data_sets[0] for array in part] if case.data_sets else [None]
        floats = [array for array in case.data_sets[0][0] if getattr(array, "dtype", None) in (np.float32, np.float64)]
        fits = all(isinstance(array, np.ndarray) and array.size for array in arrays)
        if (
            not others
            and not node.domain
            and node.op_type in set(RULES) - ELSEWHERE
            and fits
            and floats
            and np.isfinite(floats[0]).all()
            and case.name not in OTHERWISE_IN_ONNXRUNTIME
        ):
            chosen.setdefault(node.op_type, []).append(case)
    return chosen


def in_one_frame(case: Any, varying: int) -> tuple[onnx.ModelProto, np.ndarray[Any, Any]]:
    """The case behind a frame (1, 1, numbers), and that frame; integers, and inputs behind `varying`, are constant."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    named = list(zip([name for name in graph.node[0].input if name], case.data_sets[0][0], strict=True))
    nodes, parts = [], []
    for place, (name, array) in enumerate(named):
        if array.dtype.kind != "f" or place >= varying:
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
            continue
        start = sum(part.size for part in parts)
        parts.append(array)
        for what, numbers in (("from", [start]), ("to", [start + array.size]), ("shape", array.shape)):
            graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), f"{name}_{what}"))
        nodes.append(helper.make_node("Slice", ["frame", f"{name}_from", f"{name}_to", "axis"], [f"{name}_flat"]))
        nodes.append(helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name]))
    graph.initializer.append(numpy_helper.from_array(np.array([2]), "axis"))
    frame = np.concatenate([part.ravel() for part in parts])
    graph.node[0].output[:] = [
        name if i < 1 or graph.node[0].op_type in {"TopK", "Split"} else ""
        for i, name in enumerate(graph.node[0].output)
    ]
    del graph.output[len([name for name in graph.node[0].output if name]) :]
    whole = [*nodes, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(whole)
    graph.input.append(helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 1, frame.size]))
    return model, frame


def outputs_of(case: Any) -> dict[str, np.ndarray[Any, Any]] | str:
    """What the case gives in one step, or why it is refused; as many inputs vary as the rule allows."""
    reason = ""
    for varying in (9, 3, 1):
        model, frame = in_one_frame(case, varying)
        try:
            program = import_model(model).program
        except edgernn.UnsupportedModelError as error:
            reason = str(error)
            continue
        result = ReferenceRunner(program).step(frame)
        return result if isinstance(result, dict) else {program.outputs[0].name: result}
    return reason


# name of a case -> what the refusal says
REFUSED = {
    "attention.*(past|ext_cache|nonpad|padded_kv)": "has past keys and values, or lengths",
    "averagepool.*ceil": "counts padding and has ceil_mode",
    "batchnorm.*training": "is in training mode",
    "convtranspose_(output_shape|kernel_shape|autopad)": "has output_shape or auto_pad",
    "einsum_batch_diagonal": "takes a diagonal",
    "lppool": "only 1 and 2 are supported",
    "resize.*(antialias|not_larger|not_smaller)": "has antialias or keep_aspect_ratio_policy",
    "resize.*(cubic|tf_crop)": "resize by the nearest numbers, or linearly",
    "scatter.*(add|multiply|mul|max|min|duplicate)": "adds or multiplies what it scatters",
    "test_(shape|size)": "does not depend on the model's inputs",
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_cases_of(operator: str, subtests: pytest.Subtests) -> None:
    assert operator in cases(), "ONNX has no case of it: a test must be elsewhere, and its name in WITHOUT_CASES"
    for case in cases()[operator]:
        with subtests.test(case.name):
            check(case)


def check(case: Any) -> None:
    """The importer's program gives what the case says, or is refused for a reason in the list."""
    got = outputs_of(case)
    if isinstance(got, str):
        assert [words for pattern, words in REFUSED.items() if re.search(pattern, case.name) and words in got], got
        return
    expected = dict(zip([output.name for output in case.model.graph.output], case.data_sets[0][1], strict=True))
    for output, array in got.items():
        np.testing.assert_allclose(np.ravel(array), np.ravel(expected[output]), rtol=1e-4, atol=1e-4)


def test_operators_without_cases_have_none() -> None:
    assert not WITHOUT_CASES & set(cases())
    assert len(cases()) > 100
