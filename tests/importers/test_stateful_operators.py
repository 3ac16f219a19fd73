"""Operators that keep a state of their own: ONNX's cases of them, streamed frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx_cases import made_cases
from sequence_models import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

SIGNALS = {"input", "query", "key", "value", "decay", "beta", "past_state"}
OPERATORS = ("causal_conv_with_state", "linear_attention")
PAIRS = {"past_state": "present_state"}
# name, without its "expanded" -> why it does not stream
REFUSED = {
    "test_causal_conv_with_state_kernel_size_one": "optional output|joins tensors",  # a state of no frames
}
# Its sequence is shorter than the state, so the state is a slice that begins behind the second frame.
COUNTED_FROM_THE_FRONT = {"test_causal_conv_with_state_short_input_no_past_state_expanded"}


def with_stored_weights(case: Any) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """The model of a case with all but its signals as initializers, and the signals."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    feeds = {}
    for entry, array in zip(list(model.graph.input), case.data_sets[0][0], strict=True):
        if entry.name in SIGNALS:
            feeds[entry.name] = np.asarray(array)
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), entry.name))
            model.graph.input.remove(entry)
    return model, feeds


@pytest.mark.parametrize("operator", OPERATORS)
def test_cases_of(operator: str, subtests: pytest.Subtests) -> None:
    cases = [case for case in made_cases(operator) if case.name.startswith(f"test_{operator}")]
    assert len(cases) > 10
    for case in cases:
        with subtests.test(case.name):
            check(case.name, case)


def check(name: str, case: Any) -> None:
    """The case streams frame by frame as it says, or is refused for the reason in the list."""
    model, feeds = with_stored_weights(case)
    has_state = "past_state" in feeds
    length = feeds["input"].shape[2] if "input" in feeds else feeds["query"].shape[1]
    states = PAIRS if has_state else {} if length == 1 else None
    reason = REFUSED.get(name.removesuffix("_expanded"))
    if reason is not None:
        with pytest.raises(edgernn.UnsupportedModelError, match=reason):
            import_model(model, states=states, time_axis=2 if "input" in feeds else 1)
        return
    imported = import_model(model, states=states, time_axis=2 if "input" in feeds else 1)
    assert imported.program.mode == ("delayed" if name in COUNTED_FROM_THE_FRONT else "continuous")
    names = [output.name for output in model.graph.output]
    expected = {key: np.asarray(array) for key, array in zip(names, case.data_sets[0][1], strict=True)}
    assert largest_difference(imported, feeds, expected, ReferenceRunner) < (1e-3 if "fp16" in name else 1e-5)
