"""Programs for the firmware tests: every integer operation, with weights from a quantizer and with wild ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
from programs import Programs
from small_programs import CELLS, cell_program, feedforward_program, recording

from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.operations import Int8Dense, Int8Lstm, Int8RecurrentOperation
from edgernn.program.operations.int8.base import accumulator_bound
from edgernn.program.program import Program
from edgernn.quantizer import quantize

OPERANDS = ("w8a16", "w8a8")
WIDE = ("gru", "gru_reset_first", "lstm", "lstm_peephole", "lstm_coupled")  # cells that may have 32-bit states
LABELS = ("rest", 'wa"ve', "sh\\ake", "*/ int x;")


def int8_cell(kind: str, operands: str, *, states: str = "s16", K: int = 3, H: int = 8, seed: int = 0) -> Program:
    """A quantized cell with a dense layer and a softmax, fed with counts of 1/100."""
    program = cell_program(kind, K, H, seed=seed)
    return quantize(program, recording(K), operands=operands, states=states, count_size=0.01)


def int8_feedforward(operands: str) -> Program:
    """All integer operations without a state."""
    calibration = recording(3) * np.array([3.0, 2.0, 0.1], np.float32) + np.array([10.0, -5.0, 0.5], np.float32)
    return quantize(feedforward_program(), calibration, operands=operands, count_size=0.001)


def with_decisions(program: Program) -> Program:
    """The program with labels that C and its comments must bear, and a decision."""
    decision = DecisionSettings(smoothing_steps=5, threshold=0.3, release=0.2, nothing="rest")
    return program.with_metadata(Metadata(labels=LABELS, mean=(0.5,) * 3, std=(2.0,) * 3, decision=decision))


def wild(program: Program, seed: int) -> Program:
    """The same operations with integers from the whole range that their proofs allow."""
    rng = np.random.default_rng(seed)
    weights = {name: array.copy() for name, array in program.weights.items()}
    for operation in program.operations:
        if not isinstance(operation, Int8Dense | Int8RecurrentOperation):
            continue
        for field in "WR" if isinstance(operation, Int8RecurrentOperation) else "W":
            name = getattr(operation, field)
            weights[name] = rng.integers(-128, 128, weights[name].shape).astype(np.int8)
            weights[name][0] = rng.choice([-128, 127])
            rows = len(weights[name])
            multiplier, shift = getattr(operation, f"{field}_multiplier"), getattr(operation, f"{field}_shift")
            weights[multiplier] = rng.integers(1 << 14, 1 << 15, rows).astype(np.int16)
            shifts = rng.integers(12, 27, rows).astype(np.int8)
            while (
                over := accumulator_bound(weights[name], operation.operand_bits)
                << np.maximum(0, 17 - shifts.astype(int))
                >= 1 << 31
            ).any():
                shifts[over] += 1  # AVR limits no sums
            weights[shift] = shifts
        biases = weights[operation.B].shape
        weights[operation.B] = rng.integers(-(1 << 15), 1 << 15, biases).astype(np.int32)
        weights[operation.B].flat[0] = 1 << 28
        if isinstance(operation, Int8Lstm) and operation.P_multiplier and operation.P_shift:
            count = len(weights[operation.P_shift])
            sign = rng.choice([-1, 1], count)
            weights[operation.P_multiplier] = (sign * rng.integers(1 << 14, 1 << 15, count)).astype(np.int16)
            weights[operation.P_shift] = rng.integers(2, 31, count).astype(np.int8)
    return Program(program.description, weights)


def wild_cell(kind: str, operands: str, *, states: str = "s16", seed: int) -> Program:
    """A cell of another size, with wild integers."""
    return wild(int8_cell(kind, operands, states=states, H=7), seed)


def bare_cell(program: Program) -> Program:
    """Only the cell of an int8 program: its input is quantized already, its output is the new state."""
    cell = next(operation for operation in program.operations if isinstance(operation, Int8RecurrentOperation))
    index = program.operations.index(cell)
    dequantize = next(o for o in program.operations if type(o).__name__ == "Dequantize")
    last = msgspec.structs.replace(dequantize, inputs=cell.outputs)
    description = msgspec.structs.replace(program.description, operations=(*program.operations[: index + 1], last))
    names = {name for operation in description.operations for name in operation.weight_names()}
    return Program(description, {name: program.weights[name] for name in names})


def cell_from_integers(program: Program) -> Program:
    """The cell alone, its input quantized already."""
    bare = bare_cell(program)
    quantize, cell, dequantize = bare.operations
    (port,) = bare.description.inputs
    description = msgspec.structs.replace(
        bare.description,
        inputs=(msgspec.structs.replace(port, dtype="int16"),),
        operations=(msgspec.structs.replace(cell, inputs=quantize.inputs), dequantize),
    )
    return Program(description, {name: bare.weights[name] for name in cell.weight_names()})


def _every_maker() -> dict[str, Callable[[], Program]]:
    makers: dict[str, Callable[[], Program]] = {}
    for kind in CELLS:
        for operands in OPERANDS:
            makers[f"{kind}-{operands}"] = partial(int8_cell, kind, operands)
            makers[f"wild-{kind}-{operands}"] = partial(wild_cell, kind, operands, seed=3)
    for kind in WIDE:
        makers[f"{kind}-wide"] = partial(int8_cell, kind, "w8a16", states="s32")
        makers[f"wild-{kind}-wide"] = partial(wild_cell, kind, "w8a8", states="s32", seed=4)
    makers |= {f"feedforward-{operands}": partial(int8_feedforward, operands) for operands in OPERANDS}
    makers["window"] = lambda: int8_cell("gru", "w8a16").with_window(10, 3)
    makers["wild-window"] = lambda: wild(int8_cell("lstm", "w8a8"), 5).with_window(9, 20)
    return makers


INT8_PROGRAMS = Programs(_every_maker())  # one for every integer operation and form
