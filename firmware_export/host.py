"""What the host says: made-up inputs, and the outputs that the reference computes for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import Lookup, Quantize
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from firmware_export.generate import CModel
from firmware_export.golden import Golden, frame_schedule

Array: TypeAlias = NDArray[Any]

GOLDEN_STEPS = 24
MAX_GOLDEN_STEPS = 200
MASK = 0xFFFFFFFF


class Noise(NamedTuple):
    """How an input is made of 16-bit noise: times `unit` if it is float, else times factor / 2^shift."""

    unit: float
    factor: int
    shift: int


def noise_of(model: CModel, name: str) -> Noise:
    """Noise that fills the range of an input."""
    if model.program.values[name].dtype != "float32":
        return _noise_of_integers(model.program, name)
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


def _noise_of_integers(program: Program, name: str) -> Noise:
    """Noise for an integer input: ids are numbers of rows, counted from both ends."""
    lookups = [operation for operation in program.operations if isinstance(operation, Lookup)]
    if program.values[name].dtype != "int32" or not lookups:
        return Noise(0.0, 1, 0)
    rows = min(len(program.weights[lookup.table]) for lookup in lookups)
    return Noise(0.0, min(rows, 32767), 15)


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


def host_outputs(program: Program, inputs: Mapping[str, Array], *, flush: bool = False) -> dict[str, Array]:
    """What the reference gives for inputs (steps, ...) by name: outputs (frames, size) by name.

    With `flush`, the frames that come when the stream has ended follow.
    """
    reference = ReferenceRunner(program, np.float64)
    step = reference.step_raw if program.takes_counts else reference.step
    frames: dict[str, list[Array]] = {port.name: [] for port in program.outputs}
    reset_steps = program.running.reset_steps
    for index in range(len(next(iter(inputs.values())))):
        if reset_steps is not None and index % reset_steps == 0:
            reference.reset()
        frame = step({name: array[index] for name, array in inputs.items()})
        outputs = frame if isinstance(frame, dict) else {program.outputs[0].name: frame}
        for name, array in outputs.items():
            frames[name] += [] if array is None else [array]
    for name, remaining in reference.flush().items() if flush else ():
        frames[name] += remaining
    return {port.name: np.array(frames[port.name]).reshape(-1, port.size) for port in program.outputs}


def make_golden(program: Program, name: str = "model", steps: int = GOLDEN_STEPS) -> Golden:
    """Golden steps from made-up inputs, enough for two frames of each output, if there is room.

    `program` is that which streams run, see `edgernn.as_run`.
    """
    schedules = [frame_schedule(program, output) for output in program.description.outputs]
    second = max((every.first or 0) + every.every for every in schedules)
    inputs = random_inputs(CModel(program, name), max(steps, min(second + 1, MAX_GOLDEN_STEPS)))
    return Golden(inputs, host_outputs(program, inputs, flush=True))
