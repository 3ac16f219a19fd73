"""Attention in integers: masks and frames before the sequence have no share, whatever the scores are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.program import Program
from edgernn.reference import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models" / "made"
NAMES = [
    "attention_band_single_legacy",
    "attention_band_alibi_legacy",
    "attention_band_multihead_dynamo",
    "attention_causal_learned_legacy",
    "attention_causal_rotary_dynamo",
]


def largest_error(program: Program) -> float:
    """Of the int8 program, relative to the largest number of the float program; from the first step on."""
    rng = np.random.default_rng(0)
    calibration, X = (rng.standard_normal((steps, *program.inputs[0].shape)).astype("f") for steps in (400, 60))
    int8 = edgernn.quantize(program, [calibration])
    y = edgernn.Runner(program).run(X)
    got = edgernn.Runner(int8).run(X)
    np.testing.assert_array_equal(got, ReferenceRunner(int8).run(X))
    return float(np.abs(got - y).max() / np.abs(y).max())


@pytest.mark.parametrize("name", NAMES)
def test_attention_in_integers(name: str) -> None:
    assert largest_error(edgernn.load(MODELS / f"{name}.onnx")) < 0.01


def test_frames_before_the_sequence_have_no_share_where_scores_are_small() -> None:
    program = edgernn.load(MODELS / "attention_band_single_legacy.onnx")
    queries = {"/attentions.0/q/MatMul.W", "/attentions.0/q/Add.constant"}
    assert queries <= program.weights.keys()
    weights = {name: array * np.float32(1e-3) if name in queries else array for name, array in program.weights.items()}
    assert largest_error(Program(program.description, weights)) < 0.01
