"""Float Program to int8 Program, operation by operation, in the order of the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import QuantizationError
from edgernn.program import fixed_point
from edgernn.program.description import OutputDescription, ProgramDescription
from edgernn.program.operations import (
    EVERY_STEP,
    AnyOperation,
    Binary,
    Constant,
    DelayLine,
    Dense,
    Dequantize,
    GroupedDense,
    Gru,
    Int8Affine,
    Lstm,
    MatMul,
    Operation,
    PutFrame,
    ReadState,
    Rearrange,
    Rnn,
    Softmax,
    TakeFrame,
    Unary,
    Where,
    WriteState,
)
from edgernn.program.operations.int8.elementwise import GATE_SCALE, MAX_BIAS, SIGNED_SHIFTS
from edgernn.program.program import Program
from edgernn.program.trees import LoopPath, nested
from edgernn.quantizer import arithmetic, cells, functions, inputs, int32_states, movement, products, reductions, rings
from edgernn.quantizer.calibration import CalibrationTrace
from edgernn.quantizer.settings import Settings

Array: TypeAlias = NDArray[Any]

FAR_LARGER = 1000.0
NOTHING = 1e30  # what stands for no number, where rings and windows are padded for a maximum, is larger
SOFTMAX_RANGE = 16.0  # below the maximum, where exp is nothing: what is masked out has no range


class Converter:
    """Builds the int8 program; one use."""

    def __init__(self, program: Program, trace: CalibrationTrace, settings: Settings) -> None:
        self.program = program
        self.trace = trace
        self.settings = settings
        self.operations: list[AnyOperation] = []
        self.weights: dict[str, Array] = {}
        self.scales: dict[str, float] = {}  # of the integer form of each value
        self.constants: dict[str, Array] = {}  # values that are constants, in real units
        self.positive: set[str] = set()  # values that are never below 0
        self.graph = program.graph
        self.bounds: dict[str, float] = {}  # the largest magnitude that a value can have, where that is known
        self.floats = {port.name for port in program.inputs if port.dtype == "float32"}  # values that exist as float
        self.wholes = {port.name for port in program.inputs if port.dtype != "float32"}  # that are integers by nature
        self._schedules = {port.name: EVERY_STEP for port in program.inputs}  # when a value is written
        self._when = EVERY_STEP  # of the operation that is being converted
        self._around: LoopPath = ()  # the repeats around the operation that is being converted
        self._paths: dict[str, LoopPath] = {}  # the repeats around each of `operations`
        self.slots = cells.choose_slots(self)
        self.wanted: dict[str, float] = {}  # scales that readers of a value need
        self.updates = int32_states.choose_updates(self)  # of 32-bit states that are written out
        int32_states.choose_int32_slots(self)

    def convert(self) -> Program:
        """The int8 program."""
        for operation in inputs.fold_normalisation(self):
            self._around = self.graph.loops[operation.name]
            self._convert(operation)
        self._around = ()
        description = self.program.description
        outputs = tuple(
            msgspec.structs.replace(output, value=self.as_float(output.value)) for output in description.outputs
        )
        rings.store_rings_in_int8(self)
        return Program(self._describe(outputs), self.weights)

    def _describe(self, outputs: tuple[OutputDescription, ...]) -> ProgramDescription:
        for slot in self.slots.values():
            if slot.initial is not None:
                initial = self.program.weights[slot.initial]
                if slot.scale is not None:
                    limits = np.iinfo(slot.dtype)
                    q = np.rint(initial.astype(np.float64) / slot.scale)
                    if slot.dtype == "int8":  # as int16 first, which is what would be rounded
                        q = np.floor((np.rint(initial.astype(np.float64) / slot.scale * 256) + 128) / 256)
                    initial = np.clip(q, limits.min, limits.max).astype(slot.dtype)
                self.weights[slot.initial] = initial
        description = self.program.description
        self._drop_unread_constants()
        written = {name for operation in self.operations for name in operation.outputs}
        factors = {value: name for value, name in description.factors.items() if value in written}
        for kept in (*factors.values(), *(slot.factors for slot in self.slots.values() if slot.factors)):
            self.weights[kept] = self.program.weights[kept]
        return msgspec.structs.replace(
            description,
            outputs=outputs,
            operations=nested(self.operations, self._paths),
            state=tuple(self.slots.values()),
            arithmetic="int8",
            factors=factors,
        )

    def _drop_unread_constants(self) -> None:
        """Constants that all readers want in another format are left out."""
        read = {name for operation in self.operations for name in operation.inputs}
        self.operations = [
            operation
            for operation in self.operations
            if not isinstance(operation, Constant) or operation.outputs[0] in read
        ]

    def _convert(self, operation: AnyOperation) -> None:
        self._when = operation.when
        follows_state = isinstance(operation, ReadState | WriteState)
        if operation.name in self.settings.keep_float and not follows_state:
            self._keep(operation)
            return
        root = self.updates.get(operation.outputs[0]) if len(operation.outputs) == 1 else None
        if root is not None and isinstance(operation, Binary):
            int32_states.convert_update(self, operation, root)
            return
        if any(operation.name in update.skipped for update in self.updates.values()):
            return
        if type(operation) not in CONVERTERS:
            raise self.refused(operation, "cannot be quantized")
        CONVERTERS[type(operation)](self, operation)

    def refused(self, operation: Operation, why: str) -> QuantizationError:
        """The error for an operation without an integer form."""
        return QuantizationError(
            f"operation {operation.name} ({type(operation).__name__}): {why}; "
            f'keep it in float with keep_float=["{operation.name}"]'
        )

    # values in both forms

    def add(self, operation: AnyOperation, scale: float | None = None, whole: bool = False) -> None:
        """Append what an operation becomes; with `scale` its outputs are integers, with `whole` ids or indices."""
        if self._when != EVERY_STEP:
            operation = msgspec.structs.replace(operation, when=self._when)
        self._insert(operation, len(self.operations), self._around)
        for name in operation.outputs:
            if whole:
                self.wholes.add(name)
            elif scale is None:
                self.floats.add(name)
            else:
                self.scales[name] = scale

    def add_behind(self, value: str, operation: AnyOperation, scale: float | None = None) -> None:
        """Put a conversion of a value right behind where it is written, so that all later readers may have it."""
        index, path = 0, LoopPath()
        for place, writer in enumerate(self.operations):
            if value in writer.outputs:
                index, path = place + 1, self._paths[writer.name]
                if isinstance(writer, PutFrame):  # whole when the rounds are over
                    index, path = len(self.operations), self._around
        operation = msgspec.structs.replace(operation, when=self._schedules[value])
        self._insert(operation, index, path)
        for name in operation.outputs:
            if scale is None:
                self.floats.add(name)
            else:
                self.scales[name] = scale

    def _insert(self, operation: AnyOperation, index: int, path: LoopPath) -> None:
        self.operations.insert(index, operation)
        self._paths[operation.name] = path
        for name in operation.outputs:
            self._schedules[name] = operation.read if isinstance(operation, DelayLine) else operation.when

    def add_integer(
        self,
        kind: Callable[..., AnyOperation],
        operation: Operation,
        inputs: tuple[str, ...],
        scale: float,
        **fields: Any,
    ) -> None:
        """Append the integer form of an operation, whose output has the scale."""
        common = {"name": operation.name, "inputs": inputs, "outputs": operation.outputs, "sources": operation.sources}
        self.add(kind(**common, scale=scale, **fields), scale)

    def add_weight(self, operation: Operation, field: str, array: Array) -> str:
        """Store a weight of an operation under a name of its own."""
        name = f"{operation.name}/{field}"
        self.weights[name] = array
        return name

    def as_integer(self, name: str) -> str:
        """Name of the integer form of a value, made if it exists only as float."""
        if name in self.scales:
            return name
        if name in self.wholes:
            raise QuantizationError(f"value {name} is an id or an index: no operation on real numbers can read it")
        integer = f"{name}.int16"
        if integer not in self.scales:
            self.add_quantize(name, integer)
        return integer

    def add_quantize(self, name: str, integer: str) -> None:
        """Quantize a float value."""
        inputs.add_quantize(self, name, integer, np.zeros(1), np.ones(1))

    def as_float(self, name: str) -> str:
        """Name of the float form of a value, made if it exists only as integer."""
        if name in self.floats or name in self.wholes:
            return name
        real = f"{name}.float32"
        if real not in self.floats:
            self.add_behind(name, Dequantize(name=real, inputs=(name,), outputs=(real,)))
        return real

    def at_scale(self, name: str, scale: float) -> str:
        """Name of the integer form of a value at a given scale, rescaled if it has another."""
        integer = self.as_integer(name)
        if self.scales[integer] == scale:
            return integer
        rescaled = f"{name}.at{scale:.6g}"
        if rescaled not in self.scales and integer in self.constants:
            q = np.clip(np.rint(self.constants[integer] / scale), -32768, 32767).astype(np.int16)
            self.weights[rescaled] = q
            constant = Constant(
                name=rescaled, inputs=(), outputs=(rescaled,), weight_name=rescaled, dtype="int16", scale=scale
            )
            self.add_behind(integer, constant, scale)
        if rescaled not in self.scales:
            factor = np.array(self.scales[integer] / scale)
            affine = self.affine(rescaled, integer, rescaled, factor, np.zeros(()), scale)
            self.add_behind(integer, affine, scale)
        return rescaled

    def with_saturated_constants(self, integers: Sequence[str]) -> list[str]:
        """Constants far larger than the values beside them saturate in the values' format, masks at 32 or more."""
        values = [self.scales[name] for name in integers if name not in self.constants]
        largest = max(values, default=np.inf)
        return [
            self.at_scale(name, max(largest, min(self.scales[name], arithmetic.MASK_SCALE)))
            if name in self.constants and self.scales[name] > FAR_LARGER * largest
            else name
            for name in integers
        ]

    def affine(self, name: str, source: str, output: str, gain: Array, offset: Array, scale: float) -> Int8Affine:
        """``output = integers of source * gain + offset``, the offset in real units."""
        where = f"operation {name}"
        m, s = fixed_point.multiplier(gain, where, SIGNED_SHIFTS)
        largest = MAX_BIAS * scale  # beyond the range of the result by far, which saturates
        B = fixed_point.quantize_bias(np.clip(offset, -largest, largest), scale, where)
        parts = {"multiplier": m, "shift": s, "B": B}
        names: dict[str, Any] = {field: f"{name}/{field}" for field in parts}
        self.weights |= {names[field]: array for field, array in parts.items()}
        return Int8Affine(name=name, inputs=(source,), outputs=(output,), scale=scale, **names)

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
                added = float(size[size < arithmetic.MIN_MASK].max(initial=0.0))
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

    def rows(
        self, operation: Operation, field: str, W: Array, input_scale: float, output_scale: Array, bits: int
    ) -> tuple[dict[str, Any], Array]:
        """Quantize the rows of W and store them; returns the operation's fields and what W has become."""
        where = f"operation {operation.name} ({type(operation).__name__}), weight {field}"
        rows = fixed_point.quantize_rows(W, input_scale, output_scale, bits, where)
        parts = {field: rows.weights, f"{field}_multiplier": rows.multiplier, f"{field}_shift": rows.shift}
        return {name: self.add_weight(operation, name, array) for name, array in parts.items()}, rows.meaning

    def lost_mean(self, W: Array, meaning: Array, samples: Array) -> Array:
        """What rounding the weights takes from the mean output, (rows,): the correction of the bias."""
        correction: Array = (W - meaning) @ samples.mean(axis=0)
        return correction if self.settings.correct_bias else 0 * correction

    # operations

    def _keep(self, operation: AnyOperation) -> None:
        names = tuple(self.as_float(name) for name in operation.inputs)
        for name in operation.weight_names():
            self.weights[name] = self.program.weights[name]
        self.add(msgspec.structs.replace(operation, inputs=names))
        wholes = {name for name in operation.outputs if self.program.values[name].dtype == "int32"}
        self.floats -= wholes
        self.wholes |= wholes


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {
    Rnn: cells.convert_rnn,
    Gru: cells.convert_gru,
    Lstm: cells.convert_lstm,
    **functions.CONVERTERS,
    **arithmetic.CONVERTERS,
    **movement.CONVERTERS,
    **products.CONVERTERS,
    **reductions.CONVERTERS,
}
