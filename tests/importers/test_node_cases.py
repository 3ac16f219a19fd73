"""ONNX's own test cases for RNN, GRU and LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_cases import made_cases
from sequence_models import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model

CASES_OF_EACH = 6


def cases_of(operator: str) -> dict[str, Any]:
    """An operator's cases by name."""
    cases = made_cases(operator.lower())
    return {case.name: case for case in cases if operator in {entry.op_type for entry in case.model.graph.node}}


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


@pytest.mark.parametrize("operator", ["GRU", "LSTM", "RNN"])
def test_node_cases(operator: str, subtests: pytest.Subtests) -> None:
    cases = cases_of(operator)
    assert len(cases) == CASES_OF_EACH
    for name, case in cases.items():
        with subtests.test(name):
            model, feeds, expected = with_stored_weights(case)
            assert largest_difference(import_model(model), feeds, expected) < 1e-5


def test_weights_that_are_inputs_are_refused() -> None:
    with pytest.raises(edgernn.ModelError):
        import_model(cases_of("GRU")["test_gru_defaults"].model)
