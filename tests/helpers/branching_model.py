"""A model whose scalar input chooses the branch of an If."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def branching_model() -> onnx.ModelProto:
    """A running sum times 2, or with a rate of 16000 times 3: the scalar input sr chooses the branch of an If."""

    def branch(name: str, factor: float) -> onnx.GraphProto:
        constant = helper.make_node("Constant", [], ["f"], value=numpy_helper.from_array(np.float32([factor]), "f"))
        nodes = [constant, helper.make_node("Mul", ["sum", "f"], ["out"])]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])

    nodes = [
        helper.make_node("CumSum", ["x", "time"], ["sum"]),
        helper.make_node("Equal", ["sr", "wide"], ["is_wide"]),
        helper.make_node("If", ["is_wide"], ["y"], then_branch=branch("a", 3.0), else_branch=branch("b", 2.0)),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "time", 2]),
            helper.make_tensor_value_info("sr", TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "time", 2])],
        [numpy_helper.from_array(np.array(16000), "wide"), numpy_helper.from_array(np.array(1), "time")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
