"""Small float programs with random weights, one for every kind of operation that can be quantized."""

from typing import Any

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import (
    AnyOperation,
    Binary,
    Dense,
    GateFunction,
    Gru,
    Lstm,
    Rearrange,
    Rnn,
    Softmax,
    StateRegion,
    Unary,
)
from edgernn.program.program import Program

CELLS = ("rnn", "rnn_relu", "gru", "gru_reset_first", "lstm", "lstm_peephole", "lstm_coupled", "gru_hard_sigmoid")
KINDS = {"rnn": Rnn, "gru": Gru, "lstm": Lstm}


def uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: float) -> np.ndarray:
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def cell_parts(
    kind: str, name: str, source: str, K: int, H: int, rng: np.random.Generator
) -> tuple[AnyOperation, dict[str, np.ndarray], list[StateSlot]]:
    """An operation, its weights and its states, by one of the names in CELLS."""
    cell = KINDS[kind.partition("_")[0]]
    limit = 1 / np.sqrt(H)
    rows = cell.gates * H
    weights = {
        f"{name}.W": uniform(rng, (rows, K), limit),
        f"{name}.R": uniform(rng, (rows, H), limit),
        f"{name}.B": uniform(rng, (2 * rows,), limit),
    }
    fields: dict[str, Any] = {field: f"{name}.{field}" for field in "WRB"}
    slots = [StateSlot(f"{name}.h", (H,))]
    if cell is Gru:
        fields["linear_before_reset"] = kind != "gru_reset_first"
    if kind == "gru_hard_sigmoid":
        fields["activations"] = (GateFunction("HardSigmoid"), GateFunction("Tanh"))
    if kind == "rnn_relu":
        fields["activations"] = (GateFunction("Relu"),)
    if cell is Lstm:
        slots.append(StateSlot(f"{name}.c", (H,)))
        fields |= {"c": StateRegion(f"{name}.c"), "input_forget": kind == "lstm_coupled"}
    if kind == "lstm_peephole":
        weights[f"{name}.P"] = uniform(rng, (3 * H,), limit)
        fields["P"] = f"{name}.P"
    operation = cell(name=name, inputs=(source,), outputs=(f"{name}.y",), h=StateRegion(f"{name}.h"), **fields)
    return operation, weights, slots


def cell_program(kind: str, K: int = 3, H: int = 8, classes: int = 4, seed: int = 0) -> Program:
    """A cell, a dense layer and a softmax."""
    rng = np.random.default_rng(seed)
    operation, weights, slots = cell_parts(kind, "cell", "x", K, H, rng)
    weights |= {"D": uniform(rng, (classes, H), 1.0), "DB": uniform(rng, (classes,), 1.0)}
    operations = (
        operation,
        Dense(name="head", inputs=("cell.y",), outputs=("logits",), W="D", B="DB"),
        Softmax(name="softmax", inputs=("logits",), outputs=("scores",)),
    )
    return make(operations, weights, "scores", K, slots)


def feedforward_program(seed: int = 0) -> Program:
    """Normalisation, dense layers with every kind of activation, arithmetic of values, rearrangement; no state."""
    rng = np.random.default_rng(seed)
    weights = {
        "mean": np.array([10.0, -5.0, 0.5], np.float32),
        "std": np.array([3.0, 2.0, 0.1], np.float32),
        "W1": uniform(rng, (6, 3), 0.8),
        "B1": uniform(rng, (6,), 0.5),
        "W2": uniform(rng, (5, 12), 0.5),
        "gain": uniform(rng, (5,), 2.0),
        "order": np.array([3, 2, 1, 0, 4], np.int32),
    }
    operations: tuple[AnyOperation, ...] = (
        Binary(name="centre", inputs=("x",), outputs=("centred",), function="Sub", constant="mean"),
        Binary(name="scale", inputs=("centred",), outputs=("normal",), function="Div", constant="std"),
        Dense(name="first", inputs=("normal",), outputs=("a",), W="W1", B="B1"),
        Unary(name="tanh", inputs=("a",), outputs=("b",), function="Tanh"),
        Unary(name="elu", inputs=("a",), outputs=("c",), function="Elu"),
        Rearrange(name="join", inputs=("b", "c"), outputs=("d",), shape=(12,)),
        Dense(name="second", inputs=("d",), outputs=("e",), W="W2"),
        Unary(name="relu", inputs=("e",), outputs=("f",), function="Relu"),
        Binary(name="gain", inputs=("f",), outputs=("g",), function="Mul", constant="gain"),
        Binary(name="sum", inputs=("e", "g"), outputs=("s",), function="Add"),
        Binary(name="product", inputs=("s", "f"), outputs=("p",), function="Mul"),
        Binary(name="larger", inputs=("p", "e"), outputs=("l",), function="Max"),
        Rearrange(name="reverse", inputs=("l",), outputs=("r",), shape=(5,), indices="order"),
    )
    return make(operations, weights, "r", 3, [])


def make(
    operations: tuple[AnyOperation, ...],
    weights: dict[str, np.ndarray],
    output: str,
    K: int,
    slots: list[StateSlot],
    per_frame: bool = True,
) -> Program:
    description = ProgramDescription(
        inputs=(InputDescription("x", (K,)),),
        outputs=(OutputDescription("y", output, per_frame=per_frame),),
        state=tuple(slots),
        operations=operations,
    )
    return Program(description, weights)


def recording(K: int, steps: int = 400, seed: int = 1) -> np.ndarray:
    """Slow and fast motion with noise, (steps, K)."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)[:, None]
    rates = rng.uniform(0.01, 0.4, K)
    return (np.sin(rates * t) * rng.uniform(0.5, 2.0, K) + rng.normal(0, 0.2, (steps, K))).astype(np.float32)
