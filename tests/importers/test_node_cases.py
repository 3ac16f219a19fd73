"""ONNX's own test cases for RNN, GRU and LSTM."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case import node
from sequence_models import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model


def node_cases() -> dict[str, Any]:
    """The cases by name. Each operator's module adds its own when it is imported; all of them would take long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for operator in ("gru", "lstm", "rnn"):
            import_module(f"onnx.backend.test.case.node.{operator}")
    operators = {"RNN", "GRU", "LSTM"}
    cases = node._NodeTestCases
    return {case.name: case for case in cases if operators & {entry.op_type for entry in case.model.graph.node}}


CASES = node_cases()


def with_stored_weights(case: Any) -> tuple[onnx.ModelProto, dict[str, Any], dict[str, Any]]:
    """The case's model, whose weights are inputs, with them as initializers; and what goes in and comes out."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    (arrays, expected) = case.data_sets[0]
    for entry, array in zip(list(graph.input)[1:], arrays[1:], strict=True):
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), entry.name))
    outputs = dict(zip([entry.name for entry in graph.output], expected, strict=True))
    return model, {graph.input[0].name: arrays[0]}, outputs


@pytest.mark.parametrize("name", sorted(CASES))
def test_node_case(name: str) -> None:
    model, feeds, expected = with_stored_weights(CASES[name])
    assert largest_difference(import_model(model), feeds, expected) < 1e-5


def test_all_cells_have_cases() -> None:
    assert len(CASES) == 18


def test_weights_that_are_inputs_are_refused() -> None:
    with pytest.raises(edgernn.ModelError):
        import_model(CASES["test_gru_defaults"].model)
