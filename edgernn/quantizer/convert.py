"""Float Program to int8 Program, operation by operation, in the order of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn import fixed_point
from edgernn.errors import QuantizationError
from edgernn.kernels import reference_float32 as float32
from edgernn.operations import (
    AnyOperation,
    Binary,
    Dense,
    Dequantize,
    GateFunction,
    Gru,
    Int8Affine,
    Int8Binary,
    Int8Dense,
    Int8Softmax,
    Int8Unary,
    IntegerFunction,
    Lstm,
    Operation,
    ReadState,
    Rearrange,
    Rnn,
    Softmax,
    Unary,
    WriteState,
)
from edgernn.operations.int8 import GATE_SCALE, SIGNED_SHIFTS, UNIT_SCALE
from edgernn.program import OutputDescription, Program, ProgramDescription
from edgernn.quantizer import cells, inputs
from edgernn.quantizer.calibration import Trace
from edgernn.quantizer.ranges import clipping_limit
from edgernn.quantizer.settings import Settings

Array: TypeAlias = NDArray[Any]

# functions whose slope or value has no bound, so that no table of straight lines follows them
UNBOUNDED = {"Log", "Sqrt", "Reciprocal"}
WITHIN_ONE = {"Sigmoid", "Tanh", "HardSigmoid", "Softsign", "Erf"}  # values in [-1, 1]


class Converter:
    """Builds the int8 program; one use."""

    def __init__(self, program: Program, trace: Trace, settings: Settings) -> None:
        self.program = program
        self.trace = trace
        self.settings = settings
        self.operations: list[AnyOperation] = []
        self.weights: dict[str, Array] = {}
        self.scales: dict[str, float] = {}  # of the integer form of each value
        self.channel_scales: dict[str, Array] = {}  # of an input whose channels were equalised, relative to its scale
        self.floats = {port.name for port in program.inputs}  # values that exist as float
        self.consumers: dict[str, list[AnyOperation]] = {}
        for operation in program.operations:
            for name in operation.inputs:
                self.consumers.setdefault(name, []).append(operation)
        self.slots = cells.choose_slots(self)

    def convert(self) -> Program:
        """The int8 program."""
        for operation in inputs.fold_normalisation(self):
            self._convert(operation)
        description = self.program.description
        outputs = tuple(
            msgspec.structs.replace(output, value=self.as_float(output.value)) for output in description.outputs
        )
        return Program(self._describe(outputs), self.weights)

    def _describe(self, outputs: tuple[OutputDescription, ...]) -> ProgramDescription:
        for slot in self.slots.values():
            if slot.initial is not None:
                initial = self.program.weights[slot.initial]
                if slot.scale is not None:
                    limits = np.iinfo(slot.dtype)
                    initial = np.clip(np.rint(initial / slot.scale), limits.min, limits.max).astype(slot.dtype)
                self.weights[slot.initial] = initial
        return msgspec.structs.replace(
            self.program.description,
            outputs=outputs,
            operations=tuple(self.operations),
            state=tuple(self.slots.values()),
            arithmetic="int8",
        )

    def _convert(self, operation: AnyOperation) -> None:
        follows_state = isinstance(operation, ReadState | WriteState)
        if operation.name in self.settings.keep_float and not follows_state:
            self._keep(operation)
            return
        converters: dict[type, Callable[[Any], None]] = {
            Dense: self._dense,
            Unary: self._unary,
            Binary: self._binary,
            Softmax: self._softmax,
            Rearrange: self._rearrange,
            ReadState: self._read_state,
            WriteState: self._write_state,
            Rnn: lambda cell: cells.convert_rnn(self, cell),
            Gru: lambda cell: cells.convert_gru(self, cell),
            Lstm: lambda cell: cells.convert_lstm(self, cell),
        }
        if type(operation) not in converters:
            raise self.refused(operation, "cannot be quantized")
        converters[type(operation)](operation)

    def refused(self, operation: Operation, why: str) -> QuantizationError:
        """The error for an operation without an integer form."""
        return QuantizationError(
            f"operation {operation.name} ({type(operation).__name__}): {why}; "
            f'keep it in float with keep_float=["{operation.name}"]'
        )

    # values in both forms

    def add(self, operation: AnyOperation, scale: float | None = None) -> None:
        """Append an operation; with `scale`, its output is an integer."""
        self.operations.append(operation)
        for name in operation.outputs:
            if scale is None:
                self.floats.add(name)
            else:
                self.scales[name] = scale

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
        integer = f"{name}.int16"
        if integer not in self.scales:
            self.add_quantize(name, integer)
        return integer

    def add_quantize(self, name: str, integer: str) -> None:
        """Quantize a float value, with its channels equalised if only matrix products read it."""
        inputs.add_quantize(self, name, integer, np.zeros(1), np.ones(1))

    def as_float(self, name: str) -> str:
        """Name of the float form of a value, made if it exists only as integer."""
        if name in self.floats:
            return name
        real = f"{name}.float32"
        if real not in self.floats:
            self.add(Dequantize(name=real, inputs=(name,), outputs=(real,)))
        return real

    def at_scale(self, name: str, scale: float) -> str:
        """Name of the integer form of a value at a given scale, rescaled if it has another."""
        integer = self.as_integer(name)
        if self.scales[integer] == scale:
            return integer
        rescaled = f"{name}.at{scale:.6g}"
        if rescaled not in self.scales:
            m, s = fixed_point.multiplier(np.array(self.scales[integer] / scale), f"rescaling {name}", SIGNED_SHIFTS)
            parts = {"multiplier": m, "shift": s, "B": np.zeros((), np.int32)}
            self._add_affine(rescaled, (integer,), (rescaled,), (), scale, parts)
        return rescaled

    def _add_affine(
        self,
        name: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        sources: tuple[str, ...],
        scale: float,
        parts: dict[str, Array],
    ) -> None:
        names = {field: f"{name}/{field}" for field in parts}
        self.weights |= {names[field]: array for field, array in parts.items()}
        self.add(
            Int8Affine(
                name=name,
                inputs=inputs,
                outputs=outputs,
                sources=sources,
                multiplier=names["multiplier"],
                shift=names["shift"],
                B=names["B"],
                scale=scale,
            ),
            scale,
        )

    def limit(self, name: str) -> float:
        """The largest magnitude of a value to represent: from calibration, with room above where 16 bits are used."""
        return self.limit_of(self.trace.values[name], self.reading_bits(name)) or 1.0

    def limit_of(self, samples: Array, bits: int) -> float:
        """As `limit`, for samples that `bits` bits will represent; 0 if all are 0."""
        limit = clipping_limit(samples, bits, self.settings.ranges)
        return limit if bits == 8 else limit * self.settings.headroom

    def reading_bits(self, name: str) -> int:
        """8 if a matrix product reads the value in 8 bits, else 16."""
        readers = [*self.consumers.get(name, ())]
        for reader in readers:
            if isinstance(reader, Rearrange | Unary) and reader.outputs:
                readers += self.consumers.get(reader.outputs[0], ())
        matrix = [reader for reader in readers if isinstance(reader, Dense | Rnn | Gru | Lstm)]
        return min((self.settings.bits(reader) for reader in matrix), default=16)

    def rows(
        self, operation: Operation, field: str, W: Array, input_scale: float, output_scale: Array, bits: int
    ) -> tuple[dict[str, str], Array]:
        """Quantize the rows of W and store them; returns the operation's fields and what W has become."""
        where = f"operation {operation.name} ({type(operation).__name__}), weight {field}"
        rows = fixed_point.quantize_rows(W, input_scale, output_scale, bits, where)
        parts = {field: rows.weights, f"{field}_multiplier": rows.multiplier, f"{field}_shift": rows.shift}
        return {name: self.add_weight(operation, name, array) for name, array in parts.items()}, rows.meaning

    def matrix(self, name: str, W: Array) -> Array:
        """W as float64, for reading the integer form of a value: an equalised input's channels are folded in."""
        return W.astype(np.float64) * self.channel_scales.get(name, 1.0)

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

    def _dense(self, operation: Dense) -> None:
        source, output = operation.inputs[0], operation.outputs[0]
        integer, bits = self.as_integer(source), self.settings.bits(operation)
        W = self.matrix(integer, self.program.weights[operation.W])
        scale = self._dense_scale(output)
        fields, meaning = self.rows(operation, "W", W, self.scales[integer], np.full(len(W), scale), bits)
        samples = self.trace.values[source].reshape(-1, W.shape[1]) / self.channel_scales.get(integer, 1.0)
        B = self.lost_mean(W, meaning, samples)
        if operation.B is not None:
            B = B + self.program.weights[operation.B]
        fields["B"] = self.add_weight(
            operation, "B", fixed_point.quantize_bias(B, scale, f"operation {operation.name}")
        )
        self.add_integer(Int8Dense, operation, (integer,), scale, operand_bits=bits, **fields)

    def _dense_scale(self, output: str) -> float:
        """Q3.12 before sigmoid and tanh; after a ReLU only the positive side matters."""
        readers = self.consumers.get(output, [])
        is_output = any(port.value == output for port in self.program.description.outputs)
        functions = {reader.function if isinstance(reader, Unary) else "" for reader in readers}
        if readers and not is_output:
            if functions <= {"Sigmoid", "Tanh"}:
                return GATE_SCALE
            if functions == {"Relu"}:
                bits = min(self.reading_bits(reader.outputs[0]) for reader in readers)
                return (self.limit_of(self.trace.values[readers[0].outputs[0]], bits) or 1.0) / 32767
        return self.limit(output) / 32767

    def _unary(self, operation: Unary) -> None:
        if operation.function in UNBOUNDED:
            raise self.refused(operation, f"{operation.function} has no bounded slope")
        integer, output = self.as_integer(operation.inputs[0]), operation.outputs[0]
        input_scale = self.scales[integer]
        if operation.function in ("Relu", "Clip"):
            scale = input_scale
        elif operation.function in WITHIN_ONE:
            scale = UNIT_SCALE
        else:
            scale = self.limit(output) / 32767
        gate = GateFunction(operation.function, operation.alpha, operation.beta)
        function = self.function(operation, "table", gate, input_scale, scale)
        self.add_integer(Int8Unary, operation, (integer,), scale, function=function)

    def function(
        self, operation: Operation, field: str, gate: GateFunction, input_scale: float, output_scale: float
    ) -> IntegerFunction:
        """The integer form of an activation between two scales: a shared table, a clip, or a table of its own."""
        name = gate.function
        if name in ("Sigmoid", "Tanh") and (input_scale, output_scale) == (GATE_SCALE, UNIT_SCALE):
            return IntegerFunction("Sigmoid" if name == "Sigmoid" else "Tanh")
        if input_scale == output_scale:
            if name == "Relu":
                return IntegerFunction("Clip", low=0)
            if name == "Affine" and (gate.alpha, gate.beta) == (1.0, 0.0):
                return IntegerFunction("Clip")
            if name == "Clip":
                low, high = (
                    default if bound is None else int(np.clip(np.rint(bound / input_scale), -32768, 32767))
                    for bound, default in ((gate.alpha, -32768), (gate.beta, 32767))
                )
                return IntegerFunction("Clip", low=low, high=max(low, high))
        entries = fixed_point.function_table(
            lambda x: float32.unary(x, name, gate.alpha, gate.beta), input_scale, output_scale
        )
        return IntegerFunction("Table", table=self.add_weight(operation, field, entries))

    def _binary(self, operation: Binary) -> None:
        if operation.function in ("Div", "Pow") and (operation.constant is None or operation.function == "Pow"):
            raise self.refused(operation, f"{operation.function} of two values has no bounded result")
        if operation.constant is None:
            self._binary_values(operation)
        else:
            self._binary_constant(operation, self.program.weights[operation.constant].astype(np.float64))

    def _binary_values(self, operation: Binary) -> None:
        names = [self.as_integer(name) for name in operation.inputs]
        a, b = (self.scales[name] for name in names)
        where = f"operation {operation.name}"
        scale = self.limit(operation.outputs[0]) / 32767
        if operation.function == "Mul":
            scale = max(scale, a * b * 4.1)  # a product needs a shift of at least 17
            factors = np.array([a * b / scale])
        else:
            factors = np.array([a, b]) / scale
        m, s = fixed_point.multiplier(factors, where)
        self.add_integer(
            Int8Binary,
            operation,
            tuple(names),
            scale,
            function=operation.function,
            multipliers=tuple(m.tolist()),
            shifts=tuple(s.tolist()),
        )

    def _binary_constant(self, operation: Binary, constant: Array) -> None:
        left = operation.constant_side == "left"
        ones = np.ones_like(constant)
        gain: Array
        match operation.function:
            case "Add":
                gain, offset = ones, constant
            case "Sub":
                gain, offset = (-ones, constant) if left else (ones, -constant)
            case "Mul":
                gain, offset = constant, 0 * constant
            case "Div" if not left and (constant != 0).all():
                gain, offset = 1 / constant, 0 * constant
            case _:
                raise self.refused(operation, f"{operation.function} with this constant has no integer form")
        integer = self.as_integer(operation.inputs[0])
        scale = self.limit(operation.outputs[0]) / 32767
        m, s = fixed_point.multiplier(gain * self.scales[integer] / scale, f"operation {operation.name}", SIGNED_SHIFTS)
        B = fixed_point.quantize_bias(offset, scale, f"operation {operation.name}")
        parts = {"multiplier": m, "shift": s, "B": B}
        self._add_affine(operation.name, (integer,), operation.outputs, operation.sources, scale, parts)

    def _softmax(self, operation: Softmax) -> None:
        if operation.logarithm:
            raise self.refused(operation, "LogSoftmax has no integer form; export the model with Softmax")
        integer = self.as_integer(operation.inputs[0])
        factor = np.array(self.scales[integer] * np.log2(np.e) * 4096)
        m, s = fixed_point.multiplier(factor, f"operation {operation.name}")
        self.add(
            Int8Softmax(
                name=operation.name,
                inputs=(integer,),
                outputs=operation.outputs,
                sources=operation.sources,
                multiplier=int(m),
                shift=int(s),
            ),
            UNIT_SCALE,
        )

    def _rearrange(self, operation: Rearrange) -> None:
        scale = max(self.scales[self.as_integer(name)] for name in operation.inputs)
        names = tuple(self.at_scale(name, scale) for name in operation.inputs)
        if operation.indices is not None:
            self.weights[operation.indices] = self.program.weights[operation.indices]
        self.add(msgspec.structs.replace(operation, inputs=names), scale)

    def _read_state(self, operation: ReadState) -> None:
        slot = self.slots[operation.region.slot]
        scale = slot.scale
        self.add(
            msgspec.structs.replace(operation, dtype=slot.dtype, scale=scale),
            scale * 65536 if scale is not None and slot.dtype == "int32" else scale,
        )

    def _write_state(self, operation: WriteState) -> None:
        slot = self.slots[operation.region.slot]
        source = operation.inputs[0]
        name = self.as_float(source) if slot.scale is None else self.at_scale(source, slot.scale)
        self.add(msgspec.structs.replace(operation, inputs=(name,), dtype=slot.dtype, scale=slot.scale))
