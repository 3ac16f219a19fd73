"""Exported models whose operators are found nowhere else in these tests: whole in integers, and close to float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.program.operations import Lookup
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models"
NAMES = [
    "made/characters_step_legacy",  # logarithm of a softmax
    "made/keras_gru_hard",  # gates that are clipped lines
    "made/keras_lstm_hard",
    "made/norms_gru_dynamo",  # group and root-mean-square normalisation
    "made/pool_statistics_dynamo",  # the root of a variance over time
    "made/step_mamba_legacy",
    "made/step_stacked_states_dynamo",
    "made/tf_keras_causal_attention",  # layer normalisation that is written out
    "made/wavenet_dynamo",
    "keras2/gru_layernorm_td_tf2onnx",
]


def columns(program: Program, steps: int, seed: int) -> dict[str, Any]:
    """Waves and noise for every input; ids of rows that all tables have."""
    rng = np.random.default_rng(seed)
    rows = min((len(program.weights[op.table]) for op in program.operations if isinstance(op, Lookup)), default=1)
    made: dict[str, Any] = {}
    for port in program.inputs:
        if port.dtype != "float32":
            made[port.name] = rng.integers(0, rows, (steps, *port.shape))
            continue
        waves = np.sin(np.arange(steps)[:, np.newaxis] * rng.uniform(0.02, 0.4, port.size))
        noisy = waves * rng.uniform(0.5, 1.5, port.size) + rng.normal(0, 0.3, (steps, port.size))
        made[port.name] = noisy.reshape(steps, *port.shape).astype(np.float32)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_exported_models_in_integers(name: str) -> None:
    program = edgernn.load(MODELS / f"{name}.onnx")
    int8 = edgernn.quantize(program, columns(program, 300, 0))
    assert not any("float" in slot.dtype for slot in int8.state)
    X = columns(program, 200, 1)
    expected, found = _numbers(program, X), _numbers(int8, X)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.03 * np.sqrt(np.mean(expected**2))
    compiled = edgernn.Runner(int8).run(X)
    assert np.array_equal(found, np.concatenate([np.ravel(y) for y in _by_name(compiled)]))


def _by_name(outputs: Any) -> list[Any]:
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


def _numbers(program: Program, X: dict[str, Any]) -> Any:
    """All numbers of all outputs, by the reference."""
    reference = ReferenceRunner(program, np.float32 if program.arithmetic == "int8" else np.float64)
    return np.concatenate([np.ravel(y) for y in _by_name(reference.run(X))]).astype(np.float32)
