"""What the conversion of all operations has in common: values in both forms, weights, rescaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import QuantizationError
from edgernn.program import fixed_point
from edgernn.program.description import StateSlot
from edgernn.program.operations import AnyOperation, ConstantValue, Dequantize, Int8Affine, Operation, Quantize
from edgernn.program.operations.int8.base import MAX_BIAS, SIGNED_SHIFTS
from edgernn.program.program import Program
from edgernn.quantizer.calibration import CalibrationTrace
from edgernn.quantizer.counts import settings_of_counts
from edgernn.quantizer.formats import MASK_SCALE, Formats
from edgernn.quantizer.operation_list import OperationList
from edgernn.quantizer.settings import Settings

Array: TypeAlias = NDArray[Any]

FAR_LARGER = 1000.0  # than the values beside it, where a constant saturates


class Converter:
    """Collects the int8 program: what the families of operations append to it, and the values that exist."""

    def __init__(self, program: Program, trace: CalibrationTrace, settings: Settings) -> None:
        self.program, self.trace, self.settings = program, trace, settings
        self.formats = Formats(program, trace, settings)
        self.steps = OperationList(program)
        self.weights: dict[str, Array] = {}
        self.scales: dict[str, float] = {}  # of the integer form of each value
        self.constants: dict[str, Array] = {}  # values that are constants, in real units
        self.positive: set[str] = set()  # values that are never below 0
        self.floats = {port.name for port in program.inputs if port.dtype == "float32"}  # values that exist as float
        self.wholes = {port.name for port in program.inputs if port.dtype != "float32"}  # that are integers by nature

    @property
    def slots(self) -> dict[str, StateSlot]:
        """Number type and scale of every state."""
        return self.formats.slots

    def refused(self, operation: Operation, why: str) -> QuantizationError:
        """The error for an operation without an integer form."""
        return QuantizationError(
            f"operation {operation.name} ({type(operation).__name__}): {why}; "
            f'keep it in float with keep_float=["{operation.name}"]'
        )

    # values in both forms

    def add(self, operation: AnyOperation, scale: float | None = None, whole: bool = False) -> None:
        """Append what an operation becomes; with `scale` its outputs are integers, with `whole` ids or indices."""
        self.steps.add(operation)
        if whole:
            self.wholes.update(operation.outputs)
        else:
            self._note(operation, scale)

    def add_behind(self, value: str, operation: AnyOperation, scale: float | None = None) -> None:
        """Put a conversion of a value right behind where it is written, so that all later readers may have it."""
        self.steps.add_behind(value, operation)
        self._note(operation, scale)

    def _note(self, operation: AnyOperation, scale: float | None) -> None:
        if scale is None:
            self.floats.update(operation.outputs)
        else:
            self.scales.update(dict.fromkeys(operation.outputs, scale))

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
            self.add_quantize(name, integer, np.zeros(1), np.ones(1))
        return integer

    def add_quantize(self, name: str, integer: str, offset: Array, gain: Array, source: str | None = None) -> None:
        """Quantize the value `name`, which is ``source * gain + offset``; `integer` is what the result is called."""
        source = name if source is None else source
        channels = self.program.values[name].shape[-1:]
        scale = self.formats.limit(name) / 32767
        inverse = np.broadcast_to(gain / scale, channels)
        mean = np.broadcast_to(-offset / gain, channels)
        arrays = {"mean": mean.astype(np.float32), "inverse": inverse.astype(np.float32)}
        if source in self.trace.raw:
            counts = settings_of_counts(self.formats, source, mean.astype(np.float64), inverse.astype(np.float64))
            if counts is not None:
                arrays["counts"] = counts
        names = {field: f"{integer}/{field}" for field in arrays}
        self.weights |= {names[field]: array for field, array in arrays.items()}
        self.add_behind(
            source,
            Quantize(
                name=f"{integer}.quantize",
                inputs=(source,),
                outputs=(integer,),
                mean=names["mean"],
                inverse=names["inverse"],
                counts=names.get("counts"),
                scale=scale,
            ),
            scale,
        )

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
            constant = ConstantValue(
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
            self.at_scale(name, max(largest, min(self.scales[name], MASK_SCALE)))
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
