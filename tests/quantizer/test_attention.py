"""Attention in integers: masks and frames before the sequence have no share, whatever the scores are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from sequence_models import make_model
from unquantized_programs import convolutions, recording

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import DelayLine
from edgernn.program.program import Program
from edgernn.quantizer import rings
from edgernn.reference.runner import ReferenceRunner

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


def test_rings_that_are_read_in_8_bits_hold_8_bits_and_the_same_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    program = edgernn.load(MODELS / "attention_band_multihead_dynamo.onnx")
    X = np.random.default_rng(0).standard_normal((200, *program.inputs[0].shape)).astype("f")
    narrow = edgernn.quantize(program, X)
    with monkeypatch.context() as patched:
        patched.setattr(rings, "store_rings_in_int8", lambda converter: None)
        wide = edgernn.quantize(program, X)
    kept = {operation.name: operation for operation in narrow.operations if isinstance(operation, DelayLine)}
    assert kept
    for name, operation in kept.items():
        slots = {each.name: each for each in narrow.state}
        assert (slots[operation.ring.slot].dtype == "int8") == operation.int8_storage, name
    assert sum(operation.int8_storage for operation in kept.values()) >= 2  # keys and values
    assert narrow.state_bytes < 0.7 * wide.state_bytes
    for kind in (ReferenceRunner, edgernn.Runner):
        np.testing.assert_array_equal(kind(narrow).run(X), kind(wide).run(X))


def test_a_ring_that_is_read_in_16_bits_too_keeps_them() -> None:
    int8 = edgernn.quantize(convolutions(), recording(200), operands="w8a8")
    narrow = {
        operation.name: operation.int8_storage for operation in int8.operations if isinstance(operation, DelayLine)
    }
    assert narrow == {"h1": True, "h2": True, "h3": False}  # the largest of h3 is taken in 16 bits


def test_frames_before_the_sequence_have_no_share_where_scores_are_small() -> None:
    program = edgernn.load(MODELS / "attention_band_single_legacy.onnx")
    queries = {"/attentions.0/q/MatMul.W", "/attentions.0/q/Add.constant"}
    assert queries <= program.weights.keys()
    weights = {name: array * np.float32(1e-3) if name in queries else array for name, array in program.weights.items()}
    assert largest_error(Program(program.description, weights)) < 0.01


@pytest.mark.parametrize("says", ["what is forbidden", "what is allowed"])
def test_computed_masks_forbid(says: str) -> None:
    """Truth times -1e9, added to scores."""
    node, allowed = helper.make_node, says == "what is allowed"
    nodes = [
        node("Slice", ["x", "0", "4", "-1"], ["scores"]),
        node("Slice", ["x", "4", "8", "-1"], ["switches"]),
        node("Less" if allowed else "Greater", ["switches", "none"], ["truth"]),
        node("Cast", ["truth"], ["number"], to=1),
        *([node("Sub", ["one", "number"], ["forbidden"])] if allowed else []),
        node("Mul", ["forbidden" if allowed else "number", "large"], ["mask"]),
        node("Add", ["scores", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["y"], axis=-1),
    ]
    numbers = {str(number): np.array([number]) for number in (0, 4, 8, -1)}
    numbers |= {name: np.float32(number) for name, number in (("none", 0), ("one", 1), ("large", -1e9))}
    program = import_model(make_model(nodes, {"x": (1, "time", 8)}, ["y"], numbers)).program
    rng = np.random.default_rng(0)
    x = np.hstack([20 * rng.standard_normal((500, 4)), rng.choice([-1.0, 1.0], (500, 4))]).astype(np.float32)
    x[:, 4] = -1  # the first score always counts
    y = edgernn.Runner(program).run(x)
    got = edgernn.Runner(edgernn.quantize(program, x)).run(x)
    assert (y[x[:, 4:] > 0] == 0).all()
    assert (got[x[:, 4:] > 0] == 0).all()
    np.testing.assert_allclose(got, y, atol=0.005)
