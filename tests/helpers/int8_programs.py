"""Int8 programs with random integers, made without the quantizer: everything that a program file may hold."""

from typing import Any

import numpy as np

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import (
    Dequantize,
    Int8Dense,
    Int8Gru,
    Int8Lstm,
    Int8RecurrentOperation,
    Int8Rnn,
    IntegerFunction,
    Quantize,
    StateRegion,
)
from edgernn.program.program import Program
from edgernn.reference import int8

SIGMOID, TANH = IntegerFunction("Sigmoid"), IntegerFunction("Tanh")
HARD_GATE = IntegerFunction("Clip", 0, 32767)
TABLE = IntegerFunction("Table", table="table")
UNIT = 2.0**-15
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": Int8Rnn, "activations": (TANH,)},
    "rnn clipped": {"cell": Int8Rnn, "activations": (IntegerFunction("Clip", -300, 20000),), "clip": 30000},
    "gru": {"cell": Int8Gru, "activations": (SIGMOID, TANH), "linear_before_reset": True},
    "gru wide": {"cell": Int8Gru, "activations": (SIGMOID, TANH), "linear_before_reset": True, "int32_state": True},
    "gru reset first": {"cell": Int8Gru, "activations": (HARD_GATE, TABLE), "linear_before_reset": False},
    "gru reset first wide": {
        "cell": Int8Gru,
        "activations": (SIGMOID, TANH),
        "linear_before_reset": False,
        "int32_state": True,
        "clip": 9000,
    },
    "lstm": {"cell": Int8Lstm, "activations": (SIGMOID, TANH, TANH), "cell_scale": 2.0**-11},
    "lstm wide": {"cell": Int8Lstm, "activations": (SIGMOID, TANH, TANH), "cell_scale": 2.0**-15, "int32_state": True},
    "lstm coupled": {
        "cell": Int8Lstm,
        "activations": (SIGMOID, TABLE, TANH),
        "cell_scale": 2.0**-13,
        "input_forget": True,
        "peepholes": True,
    },
    "lstm coupled wide": {
        "cell": Int8Lstm,
        "activations": (SIGMOID, TANH, TABLE),
        "cell_scale": 2.0**-12,
        "input_forget": True,
        "peepholes": True,
        "int32_state": True,
    },
    "lstm wide peepholes": {
        "cell": Int8Lstm,
        "activations": (SIGMOID, TANH, TANH),
        "cell_scale": 2.0**-14,
        "peepholes": True,
        "int32_state": True,
    },
}


def int8_weights(random: np.random.Generator, shape: tuple[int, int], fill: str) -> np.ndarray:
    """Weights that are "random", or all the "lowest" or "highest" of int8."""
    if fill == "random":
        return random.integers(-128, 128, shape).astype(np.int8)
    return np.full(shape, -128 if fill == "lowest" else 127, np.int8)


def matrix(random: np.random.Generator, name: str, shape: tuple[int, int], bits: int, fill: str) -> dict[str, Any]:
    """A matrix with multipliers and shifts, proved as `Program` wants it; some shifts are the smallest possible."""
    W = int8_weights(random, shape, fill)
    shift = random.integers(bits + 1, 31, shape[0]).astype(np.int8)
    shift[random.random(shape[0]) < 0.3] = 2
    multiplier = random.integers(1 << 14, 1 << 15, shape[0]).astype(np.int16)
    multiplier[random.random(shape[0]) < 0.05] = 0
    return {name: W, f"{name}_multiplier": multiplier, f"{name}_shift": shift}


def int8_program(kind: str, K: int, H: int, bits: int = 16, fill: str = "random", seed: int = 0) -> Program:
    """Input in counts of int16, a cell by its name in CELLS, a dense layer to 5 integers; outputs y and h."""
    random = np.random.default_rng(seed)
    settings = dict(CELLS[kind])
    cell: type[Int8RecurrentOperation] = settings.pop("cell")
    rows, biases = cell.gates * H, cell.gates + (1 if settings.get("linear_before_reset") else 0)
    weights = matrix(random, "W", (rows, K), bits, fill) | matrix(random, "R", (rows, H), bits, fill)
    weights |= matrix(random, "D", (5, H), bits, fill)
    weights |= {
        "B": random.integers(-(1 << 14), 1 << 14, biases * H).astype(np.int32),
        "DB": random.integers(-(1 << 28), 1 << 28, 5).astype(np.int32),
        "table": np.sort(random.integers(0, 1 << 15, 513)).astype(np.int16),
        "mean": np.zeros(K, np.float32),
        "inverse": np.ones(K, np.float32),
        "counts": np.repeat(np.array([[0], [0], [16384], [1 << 13], [14]], np.int32), K, axis=1),
    }
    if settings.pop("peepholes", False):
        sign = random.choice([-1, 1], 3 * H)
        weights["P_multiplier"] = (sign * random.integers(1 << 14, 1 << 15, 3 * H)).astype(np.int16)
        weights["P_shift"] = random.integers(2, 31, 3 * H).astype(np.int8)
        settings |= {"P_multiplier": "P_multiplier", "P_shift": "P_shift"}
    wide = settings.get("int32_state", False)
    is_int32_h = wide and cell is Int8Gru
    state = [StateSlot("h", (H,), "int32" if is_int32_h else "int16", scale=UNIT / 65536 if is_int32_h else UNIT)]
    if cell is Int8Lstm:
        settings["c"] = StateRegion("c")
        scale = settings["cell_scale"]
        state.append(StateSlot("c", (H,), "int32" if wide else "int16", scale=scale / 65536 if wide else scale))
    names = {f"{field}{end}": f"{field}{end}" for field in "WR" for end in ("", "_multiplier", "_shift")}
    operations = (
        Quantize(name="in", inputs=("x",), outputs=("q",), mean="mean", inverse="inverse", counts="counts", scale=UNIT),
        cell(
            name="cell",
            inputs=("q",),
            outputs=("h_new",),
            B="B",
            h=StateRegion("h"),
            operand_bits=bits,
            **names,
            **settings,
        ),
        Int8Dense(
            name="dense",
            inputs=("h_new",),
            outputs=("d",),
            W="D",
            W_multiplier="D_multiplier",
            W_shift="D_shift",
            B="DB",
            operand_bits=bits,
            scale=1.0,
        ),
        Dequantize(name="out", inputs=("d",), outputs=("y",)),
        Dequantize(name="out_h", inputs=("h_new",), outputs=("h_out",)),
    )
    description = ProgramDescription(
        inputs=(InputDescription("x", (K,)),),
        outputs=(OutputDescription("y", "y", per_frame=True), OutputDescription("h", "h_out", per_frame=True)),
        operations=operations,
        state=tuple(state),
        arithmetic="int8",
    )
    return Program(description, weights)


def step_many(program: Program, x: np.ndarray, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One step of many independent streams of an `int8_program`: the reference's functions take leading axes.

    x is (streams, K), the arrays of `state` are (streams, H) int64 and become the new states; outputs (streams, n).
    """
    weights = {
        name: array if array.dtype.kind == "f" else array.astype(np.int64) for name, array in program.weights.items()
    }
    cell, dense = (
        operation for operation in program.operations if type(operation) in (Int8Rnn, Int8Gru, Int8Lstm, Int8Dense)
    )
    W, R, D = (int8.Rows(*(weights[name + end] for end in ("", "_multiplier", "_shift"))) for name in "WRD")
    functions = [
        int8.Function(function.function, function.low, function.high, weights["table"] if function.table else None)
        for function in cell.activations
    ]
    q, h, B = int8.quantize(x, weights["mean"], weights["inverse"]), state["h"], weights["B"]
    wide = getattr(cell, "int32_state", False)
    if isinstance(cell, Int8Gru):
        reset = cell.linear_before_reset
        state["h"] = int8.gru(q, h, W, R, B, functions, reset, cell.clip, cell.operand_bits, wide)
    elif isinstance(cell, Int8Lstm):
        P = (weights["P_multiplier"], weights["P_shift"]) if cell.P_multiplier else None
        shifts = (cell.candidate_shift, cell.cell_shift)
        state["h"], state["c"] = int8.lstm(
            q, h, state["c"], W, R, B, P, functions, cell.input_forget, cell.clip, cell.operand_bits, *shifts, wide
        )
    else:
        state["h"] = int8.rnn(q, h, W, R, B, functions[0], cell.clip, cell.operand_bits)
    h = state["h"] >> 16 if wide and isinstance(cell, Int8Gru) else state["h"]
    y = int8.dense(h, D, weights["DB"], dense.operand_bits)
    return {"y": int8.dequantize(y, dense.scale), "h": int8.dequantize(h, cell.scale)}
