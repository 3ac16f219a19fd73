"""Linear recurrences with eigenvalues near 1: dense, and in real and imaginary parts."""

from __future__ import annotations

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import Binary, Dense, ReadState, StateRegion, WriteState
from edgernn.program.program import Program


def rotations(rng: np.random.Generator, pairs: int, radius: float) -> np.ndarray:
    """A block for each pair of eigenvalues of a magnitude, (2 * pairs, 2 * pairs)."""
    D = np.zeros((2 * pairs, 2 * pairs))
    for pair, angle in enumerate(rng.uniform(0.0, np.pi, pairs)):
        rows = slice(2 * pair, 2 * pair + 2)
        D[rows, rows] = radius * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return D


def dense_recurrence(seed: int, radius: float, pairs: int = 3) -> Program:
    """``h' = A h + V x``, ``y = C h'``."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(2 * pairs, 2 * pairs)))[0]
    weights = {
        "A": Q @ rotations(rng, pairs, radius) @ Q.T,
        "V": rng.normal(size=(2 * pairs, 1)),
        "C": rng.normal(size=(2, 2 * pairs)),
    }
    operations = (
        ReadState(name="read", inputs=(), outputs=("h",), region=StateRegion("s"), shape=(2 * pairs,)),
        Dense(name="own", inputs=("h",), outputs=("a",), W="A"),
        Dense(name="in", inputs=("x",), outputs=("v",), W="V"),
        Binary(name="sum", inputs=("a", "v"), outputs=("new",), function="Add"),
        WriteState(name="write", inputs=("new",), outputs=(), region=StateRegion("s"), size=2 * pairs),
        Dense(name="out", inputs=("new",), outputs=("y",), W="C"),
    )
    return _program(operations, weights, [StateSlot("s", (2 * pairs,))])


def complex_recurrence(seed: int, radius: float, units: int = 4) -> Program:
    """A linear recurrent unit: states of real and imaginary parts, multiplied unit by unit."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.0, np.pi, units)
    weights = {"c": radius * np.cos(angle), "s": radius * np.sin(angle)}
    weights |= {name: rng.normal(size=(units, 1)) for name in ("V_re", "V_im")} | {"C": rng.normal(size=(2, units))}
    operations = [
        ReadState(name=f"read {part}", inputs=(), outputs=(part,), region=StateRegion(part), shape=(units,))
        for part in ("re", "im")
    ]
    operations += [
        Binary(name=f"{part}*{factor}", inputs=(part,), outputs=(part + factor,), function="Mul", constant=factor)
        for part in ("re", "im")
        for factor in ("c", "s")
    ]
    operations += [
        Binary(name="turn re", inputs=("rec", "ims"), outputs=("turned re",), function="Sub"),
        Binary(name="turn im", inputs=("res", "imc"), outputs=("turned im",), function="Add"),
    ]
    for part in ("re", "im"):
        operations += [
            Dense(name=f"in {part}", inputs=("x",), outputs=(f"v {part}",), W=f"V_{part}"),
            Binary(
                name=f"sum {part}", inputs=(f"turned {part}", f"v {part}"), outputs=(f"new {part}",), function="Add"
            ),
            WriteState(name=f"write {part}", inputs=(f"new {part}",), outputs=(), region=StateRegion(part), size=units),
        ]
    operations.append(Dense(name="out", inputs=("new re",), outputs=("y",), W="C"))
    return _program(operations, weights, [StateSlot(part, (units,)) for part in ("re", "im")])


def _program(operations, weights, slots) -> Program:  # type: ignore[no-untyped-def]
    description = ProgramDescription(
        inputs=(InputDescription("x", (1,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=tuple(operations),
        state=tuple(slots),
    )
    return Program(description, {name: array.astype(np.float32) for name, array in weights.items()})
