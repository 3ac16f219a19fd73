"""Proves that an export computes what the desk computes: compiles it, runs it on emulated chips, compares bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from firmware_export.emulators import EMULATORS, Emulator, build, run
from firmware_export.emulators.emulator import HERE, sizes
from firmware_export.generate import CModel
from firmware_export.literals import float_literal

Array: TypeAlias = NDArray[Any]


class Noise(NamedTuple):
    """How an input of the harness is made of 16-bit noise: times `unit` if it is float, else times factor / 2^shift."""

    unit: float
    factor: int
    shift: int


def noise_of(model: CModel, name: str) -> Noise:
    """Noise that fills the range of an input."""
    if not model.program.takes_counts:
        return Noise(2.0**-13, 1, 0)
    quantize = next(operation for operation in model.program.operations if name in operation.inputs)
    _, narrowing, multiplier, _, shift = model.program.weights[quantize.counts].astype(float)
    counts = float(np.min(2.0 ** (narrowing + shift) / np.abs(multiplier)))  # for one step of the int16
    if counts >= 1:
        return Noise(0.0, min(int(counts), 32767), 0)
    return Noise(0.0, 1, min(15, int(np.ceil(-np.log2(counts)))))


def harness_ports(model: CModel) -> str:
    """The file ports.h of emulators/harness.c."""
    inputs, outputs = [], []
    for port in model.program.inputs:
        unit, factor, shift = noise_of(model, port.name)
        local = f"selftest_{model.step.inputs[port.name]}"
        inputs.append(f"    {{{local}, {port.size}, {float_literal(unit)}, {factor}, {shift}}},")
    for port in model.program.outputs:
        local = f"selftest_{model.step.outputs[port.name]}"
        outputs.append(f"    {{{local}, sizeof {local}, 0.0f, 0, 0}},")
    return "\n".join(
        f"static const harness_port harness_{what}[] = {{\n{chr(10).join(lines)}\n}};\n"
        for what, lines in (("inputs", inputs), ("outputs", outputs))
    )
