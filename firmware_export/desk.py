"""What the desk says: made-up inputs, and the outputs that the reference computes for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.operations import Quantize
from edgernn.program import Program
from edgernn.reference import ReferenceRunner
from firmware_export.generate import CModel
from firmware_export.golden import Golden

Array: TypeAlias = NDArray[Any]

GOLDEN_STEPS = 24
MASK = 0xFFFFFFFF


class Noise(NamedTuple):
    """How an input is made of 16-bit noise: times `unit` if it is float, else times factor / 2^shift."""

    unit: float
    factor: int
    shift: int


def noise_of(model: CModel, name: str) -> Noise:
    """Noise that fills the range of an input."""
    if model.step.input_dtype(name) == "int16":
        return Noise(0.0, 1, 0)
    quantize = next((operation for operation in model.program.operations if name in operation.inputs), None)
    if not isinstance(quantize, Quantize):
        return Noise(2.0**-13, 1, 0)
    if not model.program.takes_counts:
        largest = np.min(32767 / model.program.weights[quantize.inverse])
        return Noise(float(2.0 ** (np.floor(np.log2(largest)) - 14)), 1, 0)
    assert quantize.counts is not None
    _, narrowing, multiplier, _, shift = model.program.weights[quantize.counts].astype(np.float64)
    counts = float(np.min(2.0 ** (narrowing + shift) / np.maximum(np.abs(multiplier), 1)))  # for one int16 step
    if counts >= 1:
        return Noise(0.0, min(int(counts), 32767), 0)
    return Noise(0.0, 1, min(15, int(np.ceil(-np.log2(counts)))))


def random_inputs(model: CModel, steps: int) -> dict[str, Array]:
    """The made-up inputs of emulators/harness.c: noise whose strength changes every 64 steps.

    Source: G. Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003.
    """
    ports = model.program.inputs
    noise = np.empty((steps, sum(port.size for port in ports)), np.int64)
    bits = 1
    for step in range(steps):
        for k in range(noise.shape[1]):
            bits ^= bits << 13 & MASK
            bits ^= bits >> 17
            bits ^= bits << 5 & MASK
            noise[step, k] = (bits >> 16 ^ 0x8000) - 0x8000 >> (step >> 6 & 7)
    inputs, begin = {}, 0
    for port in ports:
        own, kind = noise[:, begin : begin + port.size], noise_of(model, port.name)
        begin += port.size
        inputs[port.name] = (own * kind.unit).astype(np.float32) if kind.unit else own * kind.factor >> kind.shift
    return inputs


def desk_outputs(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What the reference gives for inputs (steps, ...) by name: outputs (frames, size) by name."""
    reference = ReferenceRunner(program, np.float64)
    step = reference.step_raw if program.takes_counts else reference.step
    frames = []
    for index in range(len(next(iter(inputs.values())))):
        frame = step({name: array[index] for name, array in inputs.items()})
        if frame is not None:
            frames.append(frame if isinstance(frame, dict) else {program.outputs[0].name: frame})
    return {
        port.name: np.array([frame[port.name] for frame in frames]).reshape(len(frames), port.size)
        for port in program.outputs
    }


def make_golden(program: Program, name: str = "model", steps: int = GOLDEN_STEPS) -> Golden:
    """Golden steps from made-up inputs; of a windowed program enough for two outputs, if there is room."""
    window = program.window
    if window is not None:
        steps = max(steps, min(window.steps + window.hop, 200))
    inputs = random_inputs(CModel(program, name), steps)
    return Golden(inputs, desk_outputs(program, inputs))
