"""Tables of int8 weights: every weight as it was, gates in ONNX's order, the exact field named where it is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import edgernn
from edgernn.errors import ProgramFileError
from edgernn.reference import float32
from edgernn.runtime.runner import Runner

DOCUMENT = Path(edgernn.__file__).parent / "docs" / "weight-tables.md"
K, H = 4, 6
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# where each gate of the framework stands among ONNX's: GRU z r h, LSTM i o f c
FRAMEWORKS = [
    ("rnn", "onnx", [0]),
    ("gru", "onnx", [0, 1, 2]),
    ("gru", "torch", [1, 0, 2]),
    ("gru", "keras", [0, 1, 2]),
    ("lstm", "onnx", [0, 1, 2, 3]),
    ("lstm", "torch", [0, 2, 3, 1]),
    ("lstm", "keras", [0, 2, 3, 1]),
    ("lstm", "tflite", [0, 2, 3, 1]),
]
TANH, SIGMOID = ("Tanh", None, None), ("Sigmoid", None, None)


def onnx_arrays(kind: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights in ONNX's order."""
    random = np.random.default_rng(seed)
    rows = GATES[kind] * H
    return {
        "W": random.integers(-127, 128, (rows, K)).astype(np.int8),
        "R": random.integers(-127, 128, (rows, H)).astype(np.int8),
        "W_scale": random.uniform(0.002, 0.006, rows).astype(np.float32),
        "R_scale": random.uniform(0.002, 0.006, rows).astype(np.float32),
        "W_bias": random.uniform(-0.5, 0.5, rows).astype(np.float32),
        "R_bias": random.uniform(-0.5, 0.5, rows).astype(np.float32),
    }


def layer(kind: str, order: str, **more: Any) -> dict[str, Any]:
    fields = {"kind": kind, "name": "cell"} | {
        name: name for name in ("W", "R", "W_scale", "R_scale", "W_bias", "R_bias")
    }
    if kind != "rnn":
        fields["gate_order"] = order
    extra = {"gru": {"reset_after": True}, "lstm": {"cell_range": 4.0}}.get(kind, {})
    return fields | extra | more


def description(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": 1, "input": {"range": 3.0}, "layers": list(layers)} | more


def write(path: Path, text: str, arrays: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, description=text, **arrays)
    else:
        save_file(arrays, path, {"edgernn.weights": text})
    return path


def expected_states(kind: str, arrays: dict[str, np.ndarray], X: np.ndarray, reset_after: bool) -> np.ndarray:
    """h after each step in float64, of weights in ONNX's order."""
    W, R = (arrays[name] * arrays[f"{name}_scale"][:, None].astype(np.float64) for name in "WR")
    B = np.concatenate([arrays["W_bias"], arrays["R_bias"]]).astype(np.float64)
    h = c = np.zeros(H)
    rows = []
    for x in X.astype(np.float64):
        if kind == "rnn":
            h = float32.rnn(x, h, W, R, B, [TANH], None)
        elif kind == "gru":
            h = float32.gru(x, h, W, R, B, [SIGMOID, TANH], reset_after, None)
        else:
            h, c = float32.lstm(x, h, c, W, R, B, None, [SIGMOID, TANH, TANH], None, False)
        rows.append(h)
    return np.array(rows)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(("kind", "framework", "gates"), FRAMEWORKS)
def test_gate_orders(tmp_path: Path, kind: str, framework: str, gates: list[int], suffix: str) -> None:
    arrays = onnx_arrays(kind)
    stored = {
        name: np.concatenate([np.split(array, GATES[kind])[gate] for gate in gates]) for name, array in arrays.items()
    }
    path = write(tmp_path / f"table{suffix}", json.dumps(description(layer(kind, framework))), stored)
    program = edgernn.load(path)
    np.testing.assert_array_equal(program.weights["cell/W"], arrays["W"])
    np.testing.assert_array_equal(program.weights["cell/R"], arrays["R"])
    X = np.random.default_rng(1).uniform(-2.5, 2.5, (60, K)).astype(np.float32)
    assert np.abs(Runner(program).run(X) - expected_states(kind, arrays, X, True)).max() < 4e-3


def test_reset_first_transposed_matrices_and_wide_states(tmp_path: Path) -> None:
    arrays = onnx_arrays("gru")
    stored = arrays | {"W": arrays["W"].T.copy(), "R": arrays["R"].T.copy()}
    fields = layer("gru", "keras", reset_after=False, transposed=True, state_bits=32)
    program = edgernn.load(write(tmp_path / "table.npz", json.dumps(description(fields)), stored))
    assert program.state[0].dtype == "int32"
    X = np.random.default_rng(1).uniform(-2.5, 2.5, (60, K)).astype(np.float32)
    assert np.abs(Runner(program).run(X) - expected_states("gru", arrays, X, False)).max() < 4e-3


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh", "softmax"])
def test_dense_layers(tmp_path: Path, activation: str) -> None:
    random = np.random.default_rng(3)
    arrays = {"D": random.integers(-128, 128, (5, K)).astype(np.int8), "d": np.linspace(-1, 1, 5).astype(np.float32)}
    fields = {"kind": "dense", "name": "d", "W": "D", "W_scale": 0.005, "bias": "d", "activation": activation}
    if activation not in ("sigmoid", "tanh"):
        fields["range"] = 8.0
    program = edgernn.load(write(tmp_path / "table.npz", json.dumps(description(fields)), arrays))
    X = random.uniform(-2, 2, (20, K)).astype(np.float32)
    sums = X @ (arrays["D"].T * 0.005) + arrays["d"]
    meaning: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "linear": lambda y: y,
        "relu": lambda y: np.maximum(y, 0),
        "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
        "tanh": np.tanh,
        "softmax": lambda y: np.exp(y) / np.exp(y).sum(axis=1, keepdims=True),
    }
    assert np.abs(Runner(program).run(X) - meaning[activation](sums)).max() < 2e-3


def test_counts_are_normalised(tmp_path: Path) -> None:
    fields = {"kind": "dense", "name": "d", "W": "D", "W_scale": 1 / 64, "range": 8.0}
    text = description(fields, input={"range": 4.0, "count_size": 0.01}, metadata={"mean": [9.8], "std": [2.0]})
    path = write(tmp_path / "table.npz", json.dumps(text), {"D": np.full((1, 1), 64, np.int8)})
    program = edgernn.load(path)
    (answer,) = Runner(program).step_raw([1380])
    assert abs(answer * program.values["d"].scale - (13.8 - 9.8) / 2) < 1e-3


def test_a_saved_table_is_the_same_program(tmp_path: Path) -> None:
    text = description(layer("gru", "torch"), metadata={"labels": ["a"], "rate_hz": 50})
    program = edgernn.load(write(tmp_path / "table.npz", json.dumps(text), onnx_arrays("gru")))
    edgernn.save(program, tmp_path / "program.safetensors")
    saved = edgernn.load(tmp_path / "program.safetensors")
    assert saved.hash == program.hash
    assert saved.metadata.labels == ("a",)


def test_the_documents_example_prints_what_it_says(run_python: Callable[..., str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert f"It prints `{run_python(code).strip()}`." in DOCUMENT.read_text("utf-8")


def changed(**fields: Any) -> dict[str, Any]:
    return description(layer("gru", "torch") | fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            changed(gate_order="caffe"),
            r"layers\[0\].gate_order is 'caffe'; of a gru it must be one of onnx, keras, torch",
        ),
        (changed(gate_order="tflite"), r"layers\[0\].gate_order is 'tflite'"),
        (changed(W_scale=0.0), r"layers\[0\].W_scale holds 0.0; a scale must be above 0 and finite"),
        (changed(W_scale="zeros"), r"layers\[0\].W_scale holds 0.0"),
        (changed(R_scale="infinite"), r"layers\[0\].R_scale holds inf"),
        (changed(R_scale="nan"), r"layers\[0\].R_scale holds nan"),
        (changed(R_scale="short"), r"layers\[0\].R_scale has 2 numbers for 18 rows"),
        (changed(R_scale=1e9), r"layers\[0\].R_scale is too large"),
        (changed(W="missing"), r"layers\[0\].W names the array 'missing'"),
        (changed(R="W_scale"), r"layers\[0\].R is float32"),
        (changed(R="W"), r"layers\[0\].R has 18 rows, 4 units need 12"),
        (changed(transposed=True), r"layers\[0\].R has 6 rows, 18 units need 54"),
        (changed(W_bias="short"), r"layers\[0\].W_bias has 2 numbers"),
        (changed(W_bias="huge"), r"layers\[0\] has a bias of 1e\+12"),
        (changed(operands="w4a4"), r"w4a4.*layers\[0\].operands"),
        (changed(state_bits=8), r"layers\[0\].state_bits"),
        (changed(color="red"), r"color.*layers\[0\]"),
        (changed(kind="conv"), r"conv.*layers\[0\]"),
        (description(), "layers has 0 entries"),
        (description(layer("gru", "onnx"), input={"range": 0.0}), "input.range is 0.0"),
        (description(layer("gru", "onnx"), input={"range": 1.0, "count_size": -1.0}), "input.count_size is -1.0"),
        (description(layer("gru", "onnx"), format=2), "format"),
        (description(layer("lstm", "onnx", cell_range=0.0)), r"layers\[0\].R has 18 rows, 6 units need 24"),
        (
            description({"kind": "dense", "name": "d", "W": "W", "W_scale": 0.01}),
            r"layers\[0\].range is None, but activation linear needs one",
        ),
        (
            description({"kind": "dense", "name": "d", "W": "W", "W_scale": 0.01, "activation": "tanh", "range": 1.0}),
            "takes none",
        ),
        (
            description(layer("gru", "onnx"), {"kind": "dense", "name": "d", "W": "W", "W_scale": 0.01, "range": 1.0}),
            r"layers\[1\].W has 4 columns, what it reads has 6",
        ),
        (description(layer("gru", "onnx"), layer("gru", "onnx", W="W6")), "two states are called|two operations are"),
    ],
)
def test_the_wrong_field_is_named(tmp_path: Path, text: dict[str, Any], message: str) -> None:
    arrays = onnx_arrays("gru") | {
        "zeros": np.zeros(18, np.float32),
        "infinite": np.full(18, np.inf, np.float32),
        "nan": np.full(18, np.nan, np.float32),
        "short": np.ones(2, np.float32),
        "huge": np.full(18, 1e12, np.float32),
        "W6": np.ones((18, 6), np.int8),
    }
    path = write(tmp_path / "table.npz", json.dumps(text), arrays)
    with pytest.raises(ProgramFileError, match=message) as caught:
        edgernn.load(path)
    assert str(path) in str(caught.value)


def test_a_lstm_without_a_cell_range(tmp_path: Path) -> None:
    path = write(
        tmp_path / "table.npz", json.dumps(description(layer("lstm", "onnx", cell_range=0.0))), onnx_arrays("lstm")
    )
    with pytest.raises(ProgramFileError, match=r"layers\[0\].cell_range is 0.0"):
        edgernn.load(path)


def test_a_row_that_could_overflow_is_refused(tmp_path: Path) -> None:
    fields = {"kind": "dense", "name": "d", "W": "D", "W_scale": 1.0, "range": 1.0}
    path = write(tmp_path / "table.npz", json.dumps(description(fields)), {"D": np.full((1, 600), 127, np.int8)})
    with pytest.raises(ProgramFileError, match=r"operation d \(Int8Dense\): row 0 of W could overflow 32 bits"):
        edgernn.load(path)


def test_damaged_archives(tmp_path: Path) -> None:
    path = write(tmp_path / "table.npz", json.dumps(description(layer("gru", "onnx"))), onnx_arrays("gru"))
    blob = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(blob[: random.integers(1, len(blob))] if random.random() < 0.3 else blob)
        for place in random.integers(0, len(damaged), random.integers(1, 4)):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(bytes(damaged))
        with suppress(ProgramFileError):
            edgernn.load(path)


@pytest.mark.parametrize("value", [np.array([{"a": 1}], object), np.array(3), np.array(["x"])])
def test_an_archive_without_a_description(tmp_path: Path, value: np.ndarray) -> None:
    np.savez(tmp_path / "table.npz", description=value)
    with pytest.raises(ProgramFileError, match=r"description|archive"):
        edgernn.load(tmp_path / "table.npz")
