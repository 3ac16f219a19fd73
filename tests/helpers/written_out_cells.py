"""Cells written out in elementwise operations around one state, as step graphs have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import AnyOperation, Binary, Dense, ReadState, StateRegion, Unary, WriteState
from edgernn.program.program import Program

KINDS = ("linear", "minimal", "lerp", "fastgrnn")


def binary(name: str, function: Any, *inputs: str, constant: str | None = None, side: Any = "right") -> Binary:
    return Binary(name=name, inputs=inputs, outputs=(name,), function=function, constant=constant, constant_side=side)


def unary(name: str, function: str, source: str) -> Unary:
    return Unary(name=name, inputs=(source,), outputs=(name,), function=function)


def dense(name: str, source: str, bias: bool = True) -> Dense:
    return Dense(name=name, inputs=(source,), outputs=(name,), W=f"{name}.W", B=f"{name}.B" if bias else None)


def written_out(kind: str, K: int = 2, H: int = 6, slowness: float = 1e-4, seed: int = 0) -> Program:
    """A cell of inputs (K,) and units (H,); the first unit lets go of `slowness` of its state in a step."""
    rng = np.random.default_rng(seed)
    decays = np.geomspace(slowness, 0.5, H)

    def weight(rows: int, columns: int, spread: float) -> np.ndarray:
        return rng.uniform(-spread, spread, (rows, columns)).astype(np.float32)

    weights = {
        "a": (1 - decays).astype(np.float32),
        "one": np.ones(1, np.float32),
        "b": decays.astype(np.float32),
        "from x.W": weight(H, K, 1.0),
        "from x.B": np.zeros(H, np.float32),
        "gate.W": weight(H, K, 0.05),
        "gate.B": np.log(decays / (1 - decays)).astype(np.float32),  # sigmoid of it is what is let go of
        "p.W": weight(H, K, 0.5),
        "u.W": weight(H, H, 0.01),
        "keep": (-np.log(decays / (1 - decays))).astype(np.float32),
        "zeta": np.full(1, 0.9, np.float32),
        "nu": np.full(1, 1e-4, np.float32),
    }
    read = ReadState(name="h", inputs=(), outputs=("h",), region=StateRegion("h"), shape=(H,))
    write = WriteState(name="write", inputs=("new",), outputs=(), region=StateRegion("h"), size=H)
    candidate = (dense("from x", "x"), unary("n", "Tanh", "from x"))
    gate = (dense("gate", "x"), unary("z", "Sigmoid", "gate"))
    cells: dict[str, tuple[AnyOperation, ...]] = {
        "linear": (
            *candidate,
            binary("kept", "Mul", "h", constant="a"),
            binary("added", "Mul", "n", constant="b"),
            binary("new", "Add", "kept", "added"),
        ),
        "minimal": (
            *candidate,
            *gate,
            binary("1-z", "Sub", "z", constant="one", side="left"),
            binary("kept", "Mul", "1-z", "h"),
            binary("added", "Mul", "z", "n"),
            binary("new", "Add", "kept", "added"),
        ),
        "lerp": (
            *candidate,
            *gate,
            binary("way", "Sub", "n", "h"),
            binary("moved", "Mul", "z", "way"),
            binary("new", "Add", "h", "moved"),
        ),
        "fastgrnn": (
            dense("p", "x", bias=False),
            dense("u", "h", bias=False),
            binary("sum", "Add", "p", "u"),
            binary("p_z", "Add", "sum", constant="keep"),
            unary("z", "Sigmoid", "p_z"),
            unary("n", "Tanh", "sum"),
            binary("1-z", "Sub", "z", constant="one", side="left"),
            binary("scaled", "Mul", "1-z", constant="zeta"),
            binary("weight", "Add", "scaled", constant="nu"),
            binary("added", "Mul", "weight", "n"),
            binary("kept", "Mul", "z", "h"),
            binary("new", "Add", "added", "kept"),
        ),
    }
    operations = (read, *cells[kind], write)
    names = {name for operation in operations for name in operation.weight_names()}
    description = ProgramDescription(
        inputs=(InputDescription("x", (K,)),),
        outputs=(OutputDescription("y", "new", per_frame=True),),
        operations=operations,
        state=(StateSlot("h", (H,)),),
    )
    return Program(description, {name: weights[name] for name in names})
