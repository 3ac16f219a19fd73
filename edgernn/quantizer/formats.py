"""Formats of values: what was seen of them, what is known of them, and what suits those who read them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.description import StateSlot
from edgernn.program.operations import (
    Binary,
    DelayLine,
    Dense,
    Dequantize,
    GroupedDense,
    Gru,
    Lstm,
    MatMul,
    PutFrame,
    Rearrange,
    Rnn,
    Softmax,
    TakeFrame,
    Unary,
    Where,
    WriteState,
)
from edgernn.program.operations.int8.base import GATE_SCALE
from edgernn.program.program import Program
from edgernn.quantizer.calibration import CalibrationTrace
from edgernn.quantizer.settings import Settings

Array: TypeAlias = NDArray[Any]

MASK_SCALE = 32 / 32768  # the finest format of a mask; a share of exp(-32) is nothing
MIN_MASK = 1e4  # constants added before a softmax that are larger only forbid
NOTHING = 1e30  # what stands for no number, where rings and windows are padded for a maximum, is larger
SOFTMAX_RANGE = 16.0  # below the maximum, where exp is nothing: what is masked out has no range


class Formats:
    """Chooses the scale of each value of a float program."""

    def __init__(self, program: Program, trace: CalibrationTrace, settings: Settings) -> None:
        self.program, self.trace, self.settings = program, trace, settings
        self.bounds: dict[str, float] = {}  # the largest magnitude that a value can have, where that is known
        self.wanted: dict[str, float] = {}  # scales that readers of a value need
        self.notes: list[str] = []  # for the program's warnings
        self.slots: dict[str, StateSlot] = {}  # number type and scale of every state
        self.graph = program.graph

    def output_scale(self, output: str) -> float:
        """The format that suits those who read a value.

        Q3.12 before sigmoid and tanh, that of a state that it is written to; after a ReLU only the positive side
        matters.
        """
        if output in self.wanted:
            return self.wanted[output]
        readers = self.graph.final_readers(output)
        if any(port.value == output for port in self.program.description.outputs):
            readers.append(Dequantize(name="", inputs=(), outputs=()))
        functions = {reader.function if isinstance(reader, Unary) else "" for reader in readers}
        if readers and functions <= {"Sigmoid", "Tanh"}:
            return GATE_SCALE
        if functions == {"Relu"}:
            bits = min(self.reading_bits(reader.outputs[0]) for reader in readers)
            return (self.settings.limit_of(self.trace.values[readers[0].outputs[0]], bits) or 1.0) / 32767
        for reader in readers:
            if isinstance(reader, WriteState):
                slot = self.slots[reader.region.slot]
                if slot.scale is not None and slot.dtype == "int16":
                    return slot.scale
        return self.range_scale(output)

    def range_scale(self, output: str) -> float:
        """The scale of a value from its calibrated range, or from its bound where that is known and smaller."""
        scale = self.limit(output) / 32767
        bound = self.bounds.get(output, 0.0)
        return min(scale, bound / 32768) if bound > 0 else scale

    def limit(self, name: str) -> float:
        """The largest magnitude of a value to represent, from calibration."""
        samples = self.trace.values[name]
        read = self.in_softmax(name)
        if read:
            rows = [self.trace.values[value].reshape(-1, self.program.values[value].shape[-1]) for value, _ in read]
            seen = [np.abs(np.maximum(row, row.max(axis=1, keepdims=True) - SOFTMAX_RANGE)).ravel() for row in rows]
            samples = np.concatenate([row + added for row, (_, added) in zip(seen, read, strict=True)])
        samples = samples[np.abs(samples) < NOTHING]
        return self.settings.limit_of(samples, self.reading_bits(name)) or 1.0

    def in_softmax(self, name: str) -> list[tuple[str, float]]:
        """What softmaxes read of a value, itself, moved or chosen, and the size of the constants that were added to it.

        Nothing if something else reads it too.
        """
        found: list[tuple[str, float]] = []
        for reader in self.graph.final_readers(name):
            inner, added = list[tuple[str, float]](), 0.0
            if isinstance(reader, Softmax) and not reader.logarithm:
                inner = [(reader.inputs[0], 0.0)]
            elif isinstance(reader, Binary) and reader.function in ("Add", "Sub") and reader.constant is not None:
                size = np.abs(self.program.weights[reader.constant])
                added = float(size[size < MIN_MASK].max(initial=0.0))
                inner = self.in_softmax(reader.outputs[0])
            elif (isinstance(reader, Rearrange) and len(reader.inputs) == 1) or (
                isinstance(reader, Where) and name in reader.inputs[1:]
            ):
                inner = self.in_softmax(reader.outputs[0])
            if not inner:
                return []
            found += [(value, size + added) for value, size in inner]
        return found

    def reading_bits(self, name: str) -> int:
        """8 if a matrix product reads the value in 8 bits, else 16."""
        readers = [*self.graph.readers.get(name, ())]
        for reader in readers:
            if isinstance(reader, Rearrange | Unary | DelayLine | TakeFrame | PutFrame) and reader.outputs:
                readers += self.graph.readers.get(reader.outputs[0], ())
        if any(isinstance(reader, MatMul) and self._is_right_of(name, reader) for reader in readers):
            return 8
        matrix = [reader for reader in readers if isinstance(reader, Dense | GroupedDense | MatMul | Rnn | Gru | Lstm)]
        return min((self.settings.bits(reader) for reader in matrix), default=16)

    def _is_right_of(self, name: str, product: MatMul) -> bool:
        """Whether the right side of a product is a value, or moved from it."""
        sources = [product.inputs[1]]
        for source in sources:
            writer = next((each for each in self.program.operations if source in each.outputs), None)
            if isinstance(writer, Rearrange | Unary | DelayLine | TakeFrame | PutFrame):
                sources += writer.inputs
        return name in sources
