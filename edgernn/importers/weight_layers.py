"""Layers of a weight table to integer operations."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ProgramFileError, QuantizationError
from edgernn.program import fixed_point
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.metadata import Metadata
from edgernn.program.operations import (
    AnyOperation,
    Dequantize,
    Int8Dense,
    Int8Gru,
    Int8Lstm,
    Int8Rnn,
    Int8Softmax,
    Int8Unary,
    IntegerFunction,
    Quantize,
    StateRegion,
)
from edgernn.program.operations.int8.base import COUNT_SHIFTS, GATE_SCALE, UNIT_SCALE
from edgernn.program.program import Program

Array: TypeAlias = NDArray[Any]
Operands: TypeAlias = Literal["w8a16", "w8a8"]

# for each gate of ONNX's order, its place in the other order
GATE_ORDERS: dict[str, dict[str, tuple[int, ...]]] = {
    "gru": {"onnx": (0, 1, 2), "keras": (0, 1, 2), "torch": (1, 0, 2)},  # z r h; torch has r z n
    "lstm": {"onnx": (0, 1, 2, 3), "keras": (0, 3, 1, 2), "torch": (0, 3, 1, 2), "tflite": (0, 3, 1, 2)},  # i o f c
}


class Matrices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all layers have. Names are those of arrays; a scale is a number, or an array with one for each row."""

    name: str
    W: str
    W_scale: str | float
    transposed: bool = False
    operands: Operands = "w8a16"

    @property
    def bits(self) -> int:
        """Bits of the operands of the products."""
        return 8 if self.operands == "w8a8" else 16


class DenseLayer(Matrices, frozen=True, kw_only=True, tag="dense"):
    """A dense layer; `range` is the largest magnitude of its sums, where the activation does not set it."""

    bias: str | None = None
    activation: Literal["linear", "relu", "sigmoid", "tanh", "softmax"] = "linear"
    range: float | None = None


class RnnLayer(Matrices, frozen=True, kw_only=True, tag="rnn"):
    """An Elman cell with tanh."""

    R: str
    R_scale: str | float
    W_bias: str | None = None
    R_bias: str | None = None


class GruLayer(RnnLayer, frozen=True, kw_only=True, tag="gru"):
    """A GRU; `reset_after` where the reset gate acts on the product with R, as in PyTorch."""

    gate_order: str
    reset_after: bool
    state_bits: Literal[16, 32] = 16


class LstmLayer(RnnLayer, frozen=True, kw_only=True, tag="lstm"):
    """An LSTM; `cell_range` is the largest magnitude of c."""

    gate_order: str
    cell_range: float
    state_bits: Literal[16, 32] = 16


class LayerReader:
    """The int8 program while it is being made. `arrays` are those of the table, by name."""

    def __init__(self, path: str, arrays: dict[str, Array]) -> None:
        self._path, self._arrays = path, arrays
        self._operations: list[AnyOperation] = []
        self._weights: dict[str, Array] = {}
        self._slots: list[StateSlot] = []
        self._inputs: tuple[InputDescription, ...] = ()
        self._value, self._scale, self._size = "", 1.0, 0  # what the layers so far give

    def add_input(
        self, name: str, largest: float, count_size: float | None, first: Matrices, metadata: Metadata
    ) -> None:
        """The input and its way to integers; `first` is the layer that reads it."""
        self._scale = self._positive("input.range", largest) / 32767
        shape = self._array("layers[0].W", first.W, "int8", 2).shape
        self._size = shape[0] if first.transposed else shape[1]
        self._inputs = (InputDescription(name, (self._size,)),)
        self._value = f"{name}.int16"
        arrays = {
            "mean": np.zeros(self._size, np.float32),
            "inverse": np.full(self._size, 1 / self._scale, np.float32),
        }
        if count_size is not None:
            arrays["counts"] = self._counts(self._positive("input.count_size", count_size), metadata)
        names: dict[str, Any] = {
            field: self._add_weight(f"{self._value}/{field}", array) for field, array in arrays.items()
        }
        self._operations.append(
            Quantize(name=f"{name}.quantize", inputs=(name,), outputs=(self._value,), scale=self._scale, **names)
        )

    def _counts(self, count_size: float, metadata: Metadata) -> Array:
        """The way from sensor counts, (5, channels): origin, narrowing, multiplier, offset, shift."""
        mean = np.broadcast_to(np.array(metadata.mean or 0.0), self._size)
        std = np.broadcast_to(np.array(metadata.std or 1.0), self._size)
        origin = np.rint(mean / count_size)
        m, s = self._multiplier("input.count_size", count_size / (std * self._scale), COUNT_SHIFTS)
        half = np.where(s > 0, 2.0 ** (s - 1.0), 0.0)
        offset = np.rint((origin * count_size - mean) / (std * self._scale) * 2.0**s) + half
        if (np.abs(origin) > 1 << 30).any() or (np.abs(offset) >= 1 << 30).any():
            raise self._wrong("input.count_size", "does not fit the mean and standard deviation of the metadata")
        return np.array([origin, np.zeros(self._size), m, offset, s]).astype(np.int32)

    def add_layer(self, where: str, layer: Matrices) -> None:
        """One layer behind those so far."""
        match layer:
            case DenseLayer():
                self._add_dense(where, layer)
            case GruLayer():
                self._add_gru(where, layer)
            case LstmLayer():
                self._add_lstm(where, layer)
            case RnnLayer():
                self._add_rnn(where, layer)

    def program(self, output: str, metadata: Metadata) -> Program:
        """The program, whose output is what the last layer gives."""
        self._operations.append(Dequantize(name=f"{output}.dequantize", inputs=(self._value,), outputs=(output,)))
        description = ProgramDescription(
            inputs=self._inputs,
            outputs=(OutputDescription(output, output, per_frame=True),),
            state=tuple(self._slots),
            operations=tuple(self._operations),
            arithmetic="int8",
            mode_reason="a weight table describes one time step",
            metadata=metadata,
        )
        return Program(description, self._weights)

    # ---- layers

    def _add_dense(self, where: str, layer: DenseLayer) -> None:
        through_gate = layer.activation in ("sigmoid", "tanh")
        if through_gate != (layer.range is None):
            needs = "takes none: its sums are within 8" if through_gate else "needs one"
            raise self._wrong(f"{where}.range", f"is {layer.range}, but activation {layer.activation} {needs}")
        scale = GATE_SCALE if layer.range is None else self._positive(f"{where}.range", layer.range) / 32767
        W = self._matrix(f"{where}.W", layer.W, layer.transposed, self._size)
        fields = self._rows(where, layer, "W", W, np.full(len(W), scale), self._scale)
        B = self._bias(f"{where}.bias", layer.bias, len(W), np.full(len(W), scale), layer.name)
        sums = layer.name if layer.activation == "linear" else f"{layer.name}.sums"
        self._append(Int8Dense(**self._head(layer, sums), B=B, operand_bits=layer.bits, scale=scale, **fields), len(W))
        self._activate(where, layer, scale)

    def _activate(self, where: str, layer: DenseLayer, scale: float) -> None:
        fields: dict[str, Any] = {
            "name": f"{layer.name}.{layer.activation}",
            "inputs": (self._value,),
            "outputs": (layer.name,),
        }
        match layer.activation:
            case "softmax":
                m, s = self._multiplier(f"{where}.range", scale * np.log2(np.e) * 4096)
                self._append(Int8Softmax(multiplier=int(m), shift=int(s), **fields), self._size)
            case "relu":
                self._append(Int8Unary(function=IntegerFunction("Clip", 0), scale=scale, **fields), self._size)
            case "sigmoid" | "tanh":
                function = IntegerFunction("Sigmoid" if layer.activation == "sigmoid" else "Tanh")
                self._append(Int8Unary(function=function, scale=UNIT_SCALE, **fields), self._size)

    def _add_rnn(self, where: str, layer: RnnLayer) -> None:
        fields, H = self._cell(where, layer, 1, (0,))
        W_bias, R_bias = (self._real_bias(f"{where}.{name}", getattr(layer, name), H) for name in ("W_bias", "R_bias"))
        fields["B"] = self._add_bias(where, layer.name, W_bias + R_bias, np.full(H, GATE_SCALE))
        self._append(Int8Rnn(**self._head(layer), activations=(IntegerFunction("Tanh"),), **fields), H)

    def _add_gru(self, where: str, layer: GruLayer) -> None:
        order = self._order(where, "gru", layer.gate_order)
        fields, H = self._cell(where, layer, 3, order, int32_state=layer.state_bits == 32)
        W_bias, R_bias = self._gate_biases(where, layer, order, H)
        B = np.concatenate([W_bias[:2].ravel() + R_bias[:2].ravel(), W_bias[2], R_bias[2]])
        if not layer.reset_after:
            B = (W_bias + R_bias).ravel()
        fields["B"] = self._add_bias(where, layer.name, B, np.full(len(B), GATE_SCALE))
        cell = Int8Gru(
            **self._head(layer),
            activations=(IntegerFunction("Sigmoid"), IntegerFunction("Tanh")),
            linear_before_reset=layer.reset_after,
            int32_state=layer.state_bits == 32,
            **fields,
        )
        self._append(cell, H)

    def _add_lstm(self, where: str, layer: LstmLayer) -> None:
        order = self._order(where, "lstm", layer.gate_order)
        fields, H = self._cell(where, layer, 4, order)
        W_bias, R_bias = self._gate_biases(where, layer, order, H)
        fields["B"] = self._add_bias(where, layer.name, (W_bias + R_bias).ravel(), np.full(4 * H, GATE_SCALE))
        cell_range = fixed_point.power_of_two(max(1.0, self._positive(f"{where}.cell_range", layer.cell_range)))
        cell_scale, int32_state = cell_range * UNIT_SCALE, layer.state_bits == 32
        slot = StateSlot(f"{layer.name}.c", (H,), "int32" if int32_state else "int16", scale=cell_scale)
        self._slots.append(msgspec.structs.replace(slot, scale=cell_scale / 65536) if int32_state else slot)
        cell = Int8Lstm(
            **self._head(layer),
            c=StateRegion(slot.name),
            activations=(IntegerFunction("Sigmoid"), IntegerFunction("Tanh"), IntegerFunction("Tanh")),
            cell_scale=cell_scale,
            int32_state=int32_state,
            **fields,
        )
        self._append(cell, H)

    def _cell(
        self, where: str, layer: RnnLayer, gates: int, order: tuple[int, ...], int32_state: bool = False
    ) -> tuple[dict[str, Any], int]:
        """Fields of a cell with its matrices and the state h, and the number of its units."""
        R = self._array(f"{where}.R", layer.R, "int8", 2)
        H = R.shape[0] if layer.transposed else R.shape[1]
        R = self._matrix(f"{where}.R", layer.R, layer.transposed, H)
        W = self._matrix(f"{where}.W", layer.W, layer.transposed, self._size)
        for field, matrix in (("R", R), ("W", W)):
            if len(matrix) != gates * H:
                raise self._wrong(f"{where}.{field}", f"has {len(matrix)} rows, {H} units need {gates * H}")
        slot = StateSlot(f"{layer.name}.h", (H,), "int32" if int32_state else "int16", scale=UNIT_SCALE)
        self._slots.append(msgspec.structs.replace(slot, scale=UNIT_SCALE / 65536) if int32_state else slot)
        out = np.full(gates * H, GATE_SCALE)
        fields: dict[str, Any] = {"h": StateRegion(slot.name), "operand_bits": layer.bits}
        fields |= self._rows(where, layer, "W", W, out, self._scale, order)
        fields |= self._rows(where, layer, "R", R, out, UNIT_SCALE, order)
        return fields, H

    def _gate_biases(self, where: str, layer: RnnLayer, order: tuple[int, ...], H: int) -> list[Array]:
        """The two biases in real units and ONNX's order, (gates, H) each."""
        fields = ("W_bias", "R_bias")
        biases = (self._real_bias(f"{where}.{field}", getattr(layer, field), len(order) * H) for field in fields)
        return [bias.reshape(len(order), H)[list(order)] for bias in biases]

    # ---- parts

    def _head(self, layer: Matrices, output: str | None = None) -> dict[str, Any]:
        return {"name": layer.name, "inputs": (self._value,), "outputs": (output or layer.name,)}

    def _append(self, operation: Any, size: int) -> None:
        self._operations.append(operation)
        self._value, self._size = operation.outputs[0], size
        self._scale = getattr(operation, "scale", UNIT_SCALE)

    def _order(self, where: str, cell: str, name: str) -> tuple[int, ...]:
        orders = GATE_ORDERS[cell]
        if name not in orders:
            raise self._wrong(f"{where}.gate_order", f"is {name!r}; of a {cell} it must be one of {', '.join(orders)}")
        return orders[name]

    def _rows(
        self,
        where: str,
        layer: Matrices,
        field: str,
        matrix: Array,
        output_scale: Array,
        input_scale: float,
        order: tuple[int, ...] = (0,),
    ) -> dict[str, Any]:
        """Weights, multipliers and shifts of a matrix, its gates brought from `order` to ONNX's."""
        scale = self._scales(f"{where}.{field}_scale", getattr(layer, f"{field}_scale"), len(matrix))
        places = np.arange(len(matrix)).reshape(len(order), -1)[list(order)].ravel()
        factor = scale[places] * input_scale * (1 if layer.bits == 16 else 256) / output_scale
        m, s = self._multiplier(f"{where}.{field}_scale", factor)
        arrays = {field: matrix[places], f"{field}_multiplier": m, f"{field}_shift": s}
        return {name: self._add_weight(f"{layer.name}/{name}", array) for name, array in arrays.items()}

    def _multiplier(self, where: str, factor: Any, shifts: tuple[int, int] | None = None) -> tuple[Array, Array]:
        try:
            return (
                fixed_point.multiplier(factor, where)
                if shifts is None
                else fixed_point.multiplier(factor, where, shifts)
            )
        except QuantizationError as error:
            raise self._wrong(where, "is too large for the range of what it gives") from error

    def _bias(self, where: str, name: str | None, rows: int, scale: Array, layer: str) -> str:
        return self._add_bias(where, layer, self._real_bias(where, name, rows), scale)

    def _add_bias(self, where: str, layer: str, B: Array, scale: Array) -> str:
        try:
            return self._add_weight(f"{layer}/B", fixed_point.quantize_bias(B, scale, where))
        except QuantizationError as error:
            raise self._wrong(
                where, f"has a bias of {np.abs(B).max():.3g}, which is too large for its range"
            ) from error

    def _real_bias(self, where: str, name: str | None, rows: int) -> Array:
        if name is None:
            return np.zeros(rows)
        B = self._array(where, name, "float32", 1)
        if len(B) != rows or not np.isfinite(B).all():
            raise self._wrong(where, f"has {len(B)} numbers, it must have {rows}, all finite")
        return B.astype(np.float64)

    def _scales(self, where: str, given: str | float, rows: int) -> Array:
        scale = np.array(given) if isinstance(given, float) else self._array(where, given, "float32", 1)
        if scale.size not in (1, rows):
            raise self._wrong(where, f"has {scale.size} numbers for {rows} rows")
        wrong = scale[~((scale > 0) & (scale < np.inf))]
        if wrong.size:
            raise self._wrong(where, f"holds {wrong.flat[0]}; a scale must be above 0 and finite")
        return np.broadcast_to(scale.astype(np.float64), rows)

    def _matrix(self, where: str, name: str, transposed: bool, columns: int) -> Array:
        array = self._array(where, name, "int8", 2)
        matrix = array.T if transposed else array
        if matrix.shape[1] != columns:
            raise self._wrong(where, f"has {matrix.shape[1]} columns, what it reads has {columns} numbers")
        return matrix

    def _array(self, where: str, name: str, dtype: str, ndim: int) -> Array:
        array = self._arrays.get(name)
        if array is None:
            raise self._wrong(where, f"names the array {name!r}, which is not in the file")
        if array.dtype != dtype or array.ndim != ndim or not array.size:
            raise self._wrong(where, f"is {array.dtype} of shape {array.shape}, it must be {dtype} with {ndim} axes")
        return array

    def _positive(self, where: str, number: float) -> float:
        if not 1e-30 < number < 1e30:
            raise self._wrong(where, f"is {number}, it must be above 0 and finite")
        return number

    def _add_weight(self, name: str, array: Array) -> str:
        self._weights[name] = array
        return name

    def _wrong(self, field: str, complaint: str) -> ProgramFileError:
        return ProgramFileError(f"{self._path}: {field} {complaint}")
