"""Cells in loops inside a step, which go on from a state that another operation kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.quantizer import compare, quantize
from edgernn.quantizer.settings import States
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

MADE = Path(__file__).parents[1] / "models" / "made"


@pytest.mark.parametrize("states", ["auto", "s32"])
@pytest.mark.parametrize("name", ["keras_gru_step", "loop_lstm_legacy", "step_packed_lstm_dynamo"])
def test_states_carried_into_a_loop_have_16_bits(name: str, states: States) -> None:
    """Asked for 32 bits, they had no value of 32 bits to go on from."""
    program = edgernn.load(MADE / f"{name}.onnx")
    (port,) = program.inputs
    X = np.random.default_rng(0).normal(size=(150, *port.shape)).astype(np.float32)
    int8 = quantize(program, X, states=states)
    assert compare(program, int8, X).signal_to_noise_db > 30
    expected, actual = ReferenceRunner(int8), Runner(int8)
    for x in X[:40]:
        found = actual.step(x)
        wanted = expected.step({port.name: x})
        pairs = zip(found.values(), wanted.values(), strict=True) if isinstance(found, dict) else [(found, wanted)]
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)
