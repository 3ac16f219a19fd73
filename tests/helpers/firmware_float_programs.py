"""Float programs for the firmware tests: every operation and every function."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Any

import numpy as np
from programs import Programs
from small_programs import CELLS, cell_program, feedforward_program, make, uniform

from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    DOMAINS,
    UNARY_FUNCTIONS,
    Binary,
    Dense,
    GateFunction,
    Gru,
    Lstm,
    Rnn,
    Softmax,
    StateRegion,
    Unary,
)
from edgernn.program.program import Program

# where the values lie on which a function of such a domain is tried
SOURCES = {(0.0, inf): "positive", (-1.0, 1.0): "inside", (1.0, inf): "above one"}


def unary_program() -> Program:
    """Every function of one number, on values of its domain."""
    rng = np.random.default_rng(0)
    weights = {"W": uniform(rng, (6, 3), 1.0), "little": np.array(0.05, np.float32), "five": np.array(5.0, np.float32)}
    weights |= {"most": np.array(0.95, np.float32), "one": np.array(1.0, np.float32)}
    operations: list[Any] = [
        Dense(name="mix", inputs=("x",), outputs=("mixed",), W="W"),
        Unary(name="bounded", inputs=("mixed",), outputs=("tanh",), function="Tanh"),
        Binary(name="larger", inputs=("tanh",), outputs=("signed",), function="Mul", constant="five"),
        Unary(name="sigmoid", inputs=("mixed",), outputs=("unit",), function="Sigmoid"),
        Binary(name="above", inputs=("unit",), outputs=("positive",), function="Add", constant="little"),
        Binary(name="inside", inputs=("tanh",), outputs=("inside",), function="Mul", constant="most"),
        Binary(name="above one", inputs=("positive",), outputs=("above one",), function="Add", constant="one"),
    ]
    total = "positive"
    for name in UNARY_FUNCTIONS:
        source = "positive" if name == "Reciprocal" else SOURCES.get(DOMAINS.get(name, ()), "signed")
        bounds = {"alpha": -1.5, "beta": 2.5} if name == "Clip" else {}
        operations.append(Unary(name=name, inputs=(source,), outputs=(f"{name}.y",), function=name, **bounds))
        operations.append(Unary(name=f"{name}.b", inputs=(f"{name}.y",), outputs=(f"{name}.s",), function="Softsign"))
        operations.append(
            Binary(name=f"{name}.sum", inputs=(total, f"{name}.s"), outputs=(f"{name}.t",), function="Add")
        )
        total = f"{name}.t"
    return make(tuple(operations), weights, total, 3, [])


def binary_program() -> Program:
    """Every function of two numbers, with broadcasting, both sides of a constant, powers, logarithm of softmax."""
    rng = np.random.default_rng(1)
    weights = {
        "W": uniform(rng, (4, 3), 1.0),
        "column": uniform(rng, (3, 1), 2.0),
        "row": uniform(rng, (4,), 2.0) + 3,
        "two": np.array(2.0, np.float32),
        "odd": np.array([1.5, 0.5, 3.0, -1.0], np.float32),
    }
    operations = (
        Dense(name="mix", inputs=("x",), outputs=("a",), W="W"),
        Unary(name="tanh", inputs=("a",), outputs=("b",), function="Tanh"),
        Binary(name="outer", inputs=("b",), outputs=("o",), function="Mul", constant="column"),
        Binary(name="left", inputs=("o",), outputs=("l",), function="Sub", constant="row", constant_side="left"),
        Binary(name="divide", inputs=("o", "l"), outputs=("d",), function="Div"),
        Binary(name="square", inputs=("d",), outputs=("q",), function="Pow", constant="two"),
        Unary(name="unit", inputs=("l",), outputs=("u",), function="Sigmoid"),
        Binary(name="power", inputs=("u",), outputs=("p",), function="Pow", constant="odd"),
        Binary(name="low", inputs=("q", "p"), outputs=("m",), function="Min"),
        Binary(name="high", inputs=("m", "b"), outputs=("h",), function="Max"),
        Softmax(name="logs", inputs=("h",), outputs=("y",), logarithm=True),
    )
    return make(operations, weights, "y", 3, [])


def clipped_program() -> Program:
    """Cells whose gates are clipped and have activations with constants."""
    rng = np.random.default_rng(2)
    H = 5
    weights = {
        f"{n}{m}": uniform(rng, (g * H, k), 0.8)
        for n, g, k in (("a", 3, 3), ("b", 4, H), ("c", 1, H))
        for m, k in (("W", k), ("R", H))
    }
    operations = (
        Gru(
            name="gru",
            inputs=("x",),
            outputs=("g",),
            W="aW",
            R="aR",
            h=StateRegion("h1"),
            linear_before_reset=True,
            clip=0.7,
            activations=(GateFunction("HardSigmoid", 0.3, 0.4), GateFunction("ScaledTanh", 1.2, 0.9)),
        ),
        Lstm(
            name="lstm",
            inputs=("g",),
            outputs=("l",),
            W="bW",
            R="bR",
            h=StateRegion("h2"),
            c=StateRegion("c2"),
            clip=0.5,
            activations=(GateFunction("Sigmoid"), GateFunction("Affine", 0.8, 0.1), GateFunction("Softsign")),
        ),
        Rnn(
            name="rnn",
            inputs=("l",),
            outputs=("y",),
            W="cW",
            R="cR",
            h=StateRegion("h3"),
            activations=(GateFunction("Elu", 0.5),),
        ),
    )
    slots = [StateSlot(name, (H,)) for name in ("h1", "h2", "c2", "h3")]
    return make(operations, weights, "y", 3, slots)


PROGRAMS = Programs(
    {kind: partial(cell_program, kind) for kind in CELLS}
    | {
        "feedforward": feedforward_program,
        "unary": unary_program,
        "binary": binary_program,
        "clipped": clipped_program,
        "window": lambda: cell_program("lstm").with_window(8, 3),
    }
)
