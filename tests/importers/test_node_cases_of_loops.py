"""ONNX's own test cases for Scan and Loop, as far as they have a meaning frame by frame."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx_cases import made_cases
from sequence_models import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model

STATES = {
    "test_scan9_sum": {"initial": "y"},
    "test_scan9_scalar": {"initial": "y"},
    "test_scan9_multi_state": {"initial_sum": "y_sum", "initial_prod": "y_prod"},
}
# why the others do not stream
REFUSED = {
    "test_scan_sum": "operator set 8",  # with a batch of its own, gone since operator set 9
    "test_loop11": "input cond has number type bool",  # it takes when to stop from its caller, and no sequence
    "test_loop13_seq": "input cond has number type bool",
    "test_loop16_seq_none": "input cond has number type bool",
}


@cache
def cases() -> dict[str, Any]:
    """The cases by name."""
    return {case.name: case for case in made_cases("loop", "scan") if case.name.startswith(("test_scan", "test_loop"))}


def test_each_case_streams_or_is_listed() -> None:
    assert set(cases()) == {*STATES, *REFUSED}


@pytest.mark.parametrize("name", STATES)
def test_case(name: str) -> None:
    model, (arrays, results) = cases()[name].model, cases()[name].data_sets[0]
    feeds = {entry.name: np.asarray(array) for entry, array in zip(model.graph.input, arrays, strict=True)}
    expected = {entry.name: np.asarray(array) for entry, array in zip(model.graph.output, results, strict=True)}
    imported = import_model(model, states=STATES[name], time_axis=0)
    assert imported.program.mode == "continuous"
    assert largest_difference(imported, feeds, expected) < 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_case_is_refused(name: str) -> None:
    with pytest.raises(edgernn.UnsupportedModelError, match=REFUSED[name]):
        import_model(cases()[name].model)
