"""Quantized models run with dequantized weights: the real numbers that their integers stand for.

Quantizing a signal leaves its numbers as they are, but for the ends of the integers' range, which clip; that is not
nothing, because converters drop a Relu or Clip where a range does the same. Constants are dequantized exactly. An
operator on integers is rewritten to its float operator, whose rule does the rest.

A `Quantized` stream remembers scale and zero point, so that what reads it with others is refused and not guessed at.

Source: ONNX QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, QLinearMatMul, QLinearConv, MatMulInteger and
ConvInteger; the operators of com.microsoft that onnxruntime's quantizer writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.graph.tensors import NUMBER_TYPES
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor, check_constant_shape

Array: TypeAlias = NDArray[Any]
Rule: TypeAlias = Callable[[Call], Results]

MICROSOFT = "com.microsoft"
DYNAMIC = (
    "the model quantizes signals by their range over the whole sequence, which a stream does not know: it runs "
    "without that rounding, so results are approximately those of the model"
)


@dataclass(frozen=True, eq=False)
class Quantized(Signal):
    """A stream of the numbers ``(q - zero_point) * scale`` that integers q stand for."""

    scale: Array = field(kw_only=True)
    zero_point: Array = field(kw_only=True)

    @classmethod
    def like(cls, x: Signal, scale: Array, zero_point: Array) -> Quantized:
        """The same numbers, known to be quantized."""
        known = {entry.name: getattr(x, entry.name) for entry in fields(Signal)}
        return cls(**known, scale=scale, zero_point=zero_point)

    def has(self, scale: Array, zero_point: Array) -> bool:
        """Whether it was quantized with these."""
        return _are_equal(self.scale, scale) and _are_equal(self.zero_point, zero_point)


def _are_equal(a: Array, b: Array) -> bool:
    """Whether scales or zero points are the same numbers; a single one may be written with an axis or without."""
    return np.array_equal(a.ravel(), b.ravel())


def rules(float_rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """The rules of this module by operator; they rewrite to `float_rules`."""
    meaning = _Meaning(float_rules)
    table: dict[str, Rule] = {
        "QuantizeLinear": quantize_linear,
        "DequantizeLinear": dequantize_linear,
        "DynamicQuantizeLinear": dynamic_quantize_linear,
        "MatMulInteger": meaning.of_integers("MatMul"),
        "ConvInteger": meaning.of_integers("Conv"),
        "QLinearMatMul": meaning.matmul,
        "QLinearConv": meaning.conv,
    }
    microsoft: dict[str, Rule] = {
        "QuantizeLinear": quantize_linear,
        "DequantizeLinear": dequantize_linear,
        "DynamicQuantizeLSTM": meaning.dynamic_lstm,
        "DynamicQuantizeMatMul": meaning.dynamic_matmul,
        "MatMulIntegerToFloat": meaning.matmul_to_float,
        "QGemm": meaning.gemm,
        "QLinearConcat": meaning.concat,
        "QLinearWhere": meaning.where,
        **{f"QLinear{name}": meaning.of_pair(name) for name in ("Add", "Mul")},
        **{
            f"QLinear{name}": meaning.of_one(name)
            for name in ("Sigmoid", "LeakyRelu", "Softmax", "AveragePool", "GlobalAveragePool", "ReduceMean")
        },
    }
    table |= {f"{MICROSOFT}.{name}": rule for name, rule in microsoft.items()}
    return table | {name: _keeping(float_rules[name]) for name in ("MaxPool",) if name in float_rules}


def _keeping(rule: Rule) -> Rule:
    """The rule of an operator that gives some of its integers as they are."""

    @wraps(rule)
    def keeping(call: Call) -> Results:
        x, results = call.tensor(0), rule(call)
        if not isinstance(x, Quantized):
            return results
        first, *others = results
        assert isinstance(first, Signal)
        return (Quantized.like(first, x.scale, x.zero_point), *others)

    return keeping


# ---- numbers and integers


def quantize_linear(call: Call) -> Results:
    """QuantizeLinear: of a constant its integers, of a signal its numbers within the range of the integers."""
    node, x = call.node, call.tensor(0)
    scale, zero_point = _scale(call, 1, "y_scale"), _zero_point(call, 2, _output_type(call))
    node.ignore("saturate", "precision")
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    if isinstance(x, Constant):
        limits = np.iinfo(zero_point.dtype)
        s, z = (_along(node, numbers, x, axis, block) for numbers in (scale, zero_point))
        q = np.clip(np.rint(x.elements / s) + z, limits.min, limits.max)
        return (x.moved(x.axes, q.astype(zero_point.dtype)),)
    if block:
        raise node.unsupported("quantizes a signal in blocks: quantize it with one scale, or one a channel")
    return (_emit_quantized(call, x, scale, zero_point, call.output, axis),)


def dequantize_linear(call: Call) -> Results:
    """DequantizeLinear."""
    node, x, scale = call.node, call.tensor(0), _scale(call, 1, "x_scale")
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    node.integer("output_dtype", 0)
    if isinstance(x, Constant):
        return (_dequantized(call, x, scale, _zero_point(call, 2, x.elements.dtype), axis, block),)
    return (_checked(call, 0, scale, _zero_point(call, 2, None)),)


def dynamic_quantize_linear(call: Call) -> Results:
    """DynamicQuantizeLinear: with a scale of 1 its float meaning holds whatever the range would have been."""
    call.builder.warnings.append(DYNAMIC)
    one, zero = np.ones((), np.float32), np.zeros((), np.uint8)
    return (Quantized.like(call.stream(0), one, zero), Constant.of(one), Constant.of(zero))


def _output_type(call: Call) -> Any:
    """The integers that QuantizeLinear gives where it has no zero point."""
    number_type = call.node.integer("output_dtype", 0)
    if number_type and np.dtype(NUMBER_TYPES.get(number_type, "float32")).kind not in "iu":
        raise call.node.unsupported(f"quantizes to number type {number_type}: only 8 and 16 bits are supported")
    return np.dtype(NUMBER_TYPES[number_type]) if number_type else np.dtype(np.uint8)


def _scale(call: Call, index: int, what: str) -> Array:
    scale = call.array(index, what)
    if scale.dtype.kind != "f" or not np.isfinite(scale).all() or not (scale > 0).all():
        raise call.node.malformed(f"has a {what} that is not positive and finite")
    return scale.astype(np.float32)


def _zero_point(call: Call, index: int, default: Any) -> Array:
    """A zero point; without one it is 0 of the number type `default`, or of any."""
    if not call.has(index):
        return np.zeros((), default or np.int64)
    zero_point = call.array(index, "zero point")
    if zero_point.dtype.kind not in "iu":
        raise call.node.unsupported(f"has a zero point of type {zero_point.dtype}: only integers are supported")
    return zero_point


def _along(node: Node, numbers: Array, x: Tensor, axis: int, block: int = 0) -> Array:
    """Scales or zero points aligned with x: one for all, one for each index of an axis, or one a block along it."""
    if numbers.size == 1:
        return numbers.reshape(())
    axis = x.reversed_axis(axis)
    width = x.elements.shape[axis]
    if block:
        blocks = -(-width // block) if 0 < block <= width else 0
        if numbers.shape != (*x.elements.shape[:axis], blocks, *x.elements.shape[axis + 1 :]):
            raise node.malformed(f"has scales or zero points of shape {numbers.shape} in blocks of {block}")
        return np.repeat(numbers, block, axis).take(np.arange(width), axis)
    if numbers.ndim != 1 or numbers.size != width:
        raise node.malformed(f"has {numbers.size} scales or zero points for an axis of {width}")
    return numbers.reshape([-1 if place == axis else 1 for place in range(x.rank)])


def _dequantized(call: Call, x: Constant, scale: Array, zero_point: Array, axis: int, block: int = 0) -> Constant:
    """The numbers of a constant."""
    if x.elements.dtype.kind not in "iu":
        raise call.node.malformed(f"dequantizes numbers of type {x.elements.dtype}")
    check_constant_shape(x.elements.shape, repr(call.node))
    s, z = (_along(call.node, numbers, x, axis, block) for numbers in (scale, zero_point))
    numbers = (x.elements.astype(np.int64) - z.astype(np.int64)).astype(np.float32) * s
    return Constant(x.axes, numbers, x.name)


def _checked(call: Call, index: int, scale: Array, zero_point: Array) -> Signal:
    """A signal that must have been quantized so."""
    x = call.stream(index)
    if not isinstance(x, Quantized):
        raise call.node.unsupported(
            f"reads integers in its input {index + 1}, which come from no quantization that is known: load the float "
            "model and use edgernn.quantize"
        )
    if not x.has(scale, zero_point):
        raise call.node.unsupported(
            f"reads its input {index + 1} with another scale or zero point than it was quantized with: load the float "
            "model and use edgernn.quantize"
        )
    return x


def _emit_quantized(call: Call, x: Tensor, scale: Array, zero_point: Array, output: str, axis: int) -> Quantized:
    """A signal within the range of its integers."""
    assert isinstance(x, Signal)
    if isinstance(x, Quantized) and x.has(scale, zero_point) and x.zero_point.dtype == zero_point.dtype:
        return x
    limits = np.iinfo(zero_point.dtype)
    s, z = (_along(call.node, numbers, x, axis) for numbers in (scale, zero_point))
    low, high = ((np.float64(end) - z) * s for end in (limits.min, limits.max))
    if low.ndim == 0 and high.ndim == 0:
        clipped: Tensor = emit_unary(call, x, output, "Clip", float(low), float(high))
    else:
        bounds = (Constant.of(np.asarray(bound, np.float32)) for bound in (low, high))
        inner = call.builder.unique(f"{output}:above")
        clipped = emit_pair(call, "Min", emit_pair(call, "Max", x, next(bounds), inner), next(bounds), output)
    assert isinstance(clipped, Signal)
    return Quantized.like(clipped, scale, zero_point)


# ---- operators on integers


class _Meaning:
    """Rules that rewrite an operator on integers to its float operator."""

    def __init__(self, float_rules: Mapping[str, Rule]) -> None:
        self.float_rules = float_rules

    def apply(self, call: Call, operator: str, *inputs: Tensor | None, outputs: tuple[str, ...] = ()) -> Results:
        """What the float operator gives of `inputs`."""
        if operator not in self.float_rules:
            raise call.node.unsupported(f"stands for {operator}, which is not supported: leave it out of the model")
        node = call.node.rewritten(operator, outputs or call.node.outputs, call.node.integer("opset", call.node.opset))
        return self.float_rules[operator](replace(call, node=node, inputs=inputs))

    def quantized(self, call: Call, operator: str, *inputs: Tensor | None, at: int) -> Results:
        """The same, quantized with the scale and zero point that are the inputs from number `at` on."""
        inner = call.builder.unique(f"{call.output}:float")
        (result,) = self.apply(call, operator, *inputs, outputs=(inner,))
        scale, zero_point = _scale(call, at, "y_scale"), _zero_point(call, at + 1, np.dtype(np.uint8))
        if isinstance(result, Constant):
            raise call.node.unsupported("computes with constants alone: fold constants before the export")
        return (_emit_quantized(call, result, scale, zero_point, call.output, 1),)

    def operand(self, call: Call, index: int, axis: int = -1) -> Tensor:
        """The float meaning of an input that scale and zero point follow; constants may have one each along `axis`."""
        x, scale = call.tensor(index), _scale(call, index + 1, "scale")
        if isinstance(x, Constant):
            return _dequantized(call, x, scale, _zero_point(call, index + 2, x.elements.dtype), axis)
        return _checked(call, index, scale, _zero_point(call, index + 2, None))

    def bias(self, call: Call, index: int, *scales: Array) -> Constant | None:
        """An int32 bias in units of the product of the scales."""
        if not call.has(index):
            return None
        B = call.array(index, "bias")
        unit = np.prod(np.broadcast_arrays(*(scale.ravel().astype(np.float64) for scale in scales)), axis=0)
        if B.dtype.kind not in "iu" or unit.size not in (1, B.shape[-1] if B.ndim else 1):
            raise call.node.malformed(f"has a bias of shape {B.shape} and type {B.dtype}")
        return Constant.of((B * unit).astype(np.float32))

    def of_one(self, operator: str) -> Rule:
        """QLinear form of an operator of one tensor."""

        def rule(call: Call) -> Results:
            if call.node.integer("channels_last", 0):
                raise call.node.unsupported("has its channels last: quantize the model without such a layout")
            return self.quantized(call, operator, self.operand(call, 0), at=3)

        return rule

    def of_pair(self, operator: str) -> Rule:
        """QLinear form of an operator of two tensors."""
        return lambda call: self.quantized(call, operator, self.operand(call, 0), self.operand(call, 3), at=6)

    def matmul(self, call: Call) -> Results:
        """QLinearMatMul; the left side has its scales along the rows, the right side along the columns."""
        return self.quantized(call, "MatMul", self.operand(call, 0, -2), self.operand(call, 3), at=6)

    def gemm(self, call: Call) -> Results:
        """QGemm, with an int32 C of scale alpha times both scales, and float outputs where it has no scale of Y."""
        node = call.node
        A, B = self.operand(call, 0), self.operand(call, 3, 0 if node.integer("transB", 0) else 1)
        alpha = np.array(node.number("alpha", 1.0))
        C = self.bias(call, 6, alpha, _scale(call, 1, "a_scale"), _scale(call, 4, "b_scale"))
        if call.has(7):
            return self.quantized(call, "Gemm", A, B, *([C] if C else []), at=7)
        return self.apply(call, "Gemm", A, B, *([C] if C else []))

    def conv(self, call: Call) -> Results:
        """QLinearConv."""
        X, W = self.operand(call, 0), self.operand(call, 3, 0)
        B = self.bias(call, 8, _scale(call, 1, "x_scale"), _scale(call, 4, "w_scale"))
        return self.quantized(call, "Conv", X, W, *([B] if B else []), at=6)

    def concat(self, call: Call) -> Results:
        """QLinearConcat: scale and zero point of the result come first, each input has its own."""
        return self.quantized(call, "Concat", *(self.operand(call, i) for i in range(2, len(call.inputs), 3)), at=0)

    def where(self, call: Call) -> Results:
        """QLinearWhere."""
        return self.quantized(call, "Where", call.tensor(0), self.operand(call, 1), self.operand(call, 4), at=7)

    def of_integers(self, operator: str) -> Rule:
        """MatMulInteger and ConvInteger: int32 sums, which a scale is multiplied with later."""

        def rule(call: Call) -> Results:
            a, b = call.tensor(0), call.tensor(1)
            if not isinstance(a, Quantized) or not isinstance(b, Constant):
                raise call.node.unsupported("multiplies other integers than a quantized signal with constants")
            if a.scale.size != 1 or not np.array_equal(a.zero_point, _zero_point(call, 2, None)):
                raise call.node.unsupported("reads its input 1 with another zero point than it was quantized with")
            axis = -1 if operator == "MatMul" else 0
            weights = _dequantized(call, b, 1 / a.scale, _zero_point(call, 3, b.elements.dtype), axis)
            return self.apply(call, operator, a, weights)

        return rule

    def dynamic_matmul(self, call: Call) -> Results:
        """DynamicQuantizeMatMul: A, B, scale and zero point of B, bias."""
        call.builder.warnings.append(DYNAMIC)
        B = call.constant(1, "B")
        zero_point = _zero_point(call, 3, B.elements.dtype)
        return self.biased(call, call.stream(0), _dequantized(call, B, _scale(call, 2, "b_scale"), zero_point, -1), 4)

    def matmul_to_float(self, call: Call) -> Results:
        """MatMulIntegerToFloat: A, B, the scale of each, the zero point of each, bias."""
        B = call.constant(1, "B")
        zero_point = _zero_point(call, 5, B.elements.dtype)
        A = _checked(call, 0, _scale(call, 2, "a_scale"), _zero_point(call, 4, None))
        return self.biased(call, A, _dequantized(call, B, _scale(call, 3, "b_scale"), zero_point, -1), 6)

    def biased(self, call: Call, A: Signal, B: Constant, index: int) -> Results:
        """A matrix product plus a float bias that is the input number `index`."""
        if not call.has(index):
            return self.apply(call, "MatMul", A, B)
        inner = call.builder.unique(f"{call.output}:product")
        (product,) = self.apply(call, "MatMul", A, B, outputs=(inner,))
        return (emit_pair(call, "Add", product, call.tensor(index), call.output),)

    def dynamic_lstm(self, call: Call) -> Results:
        """DynamicQuantizeLSTM: W and R are transposed, their scales and zero points are the last four inputs."""
        call.builder.warnings.append(DYNAMIC)
        W, R = (self._lstm_matrix(call, index, at) for index, at in ((1, 8), (2, 10)))
        inputs = (*call.inputs, *[None] * (8 - len(call.inputs)))
        return self.apply(call, "LSTM", inputs[0], W, R, *inputs[3:8])

    def _lstm_matrix(self, call: Call, index: int, at: int) -> Constant:
        """(directions, columns, rows) of integers as (directions, rows, columns) of numbers."""
        matrix = call.constant(index, "W or R")
        scale, zero_point = _scale(call, at, "scale"), _zero_point(call, at + 1, matrix.elements.dtype)
        if matrix.rank != 3:
            raise call.node.malformed(f"has W or R of {matrix.rank} axes, it must have 3")
        directions, _, rows = matrix.elements.shape
        for numbers in (scale, zero_point):
            if numbers.shape not in ((), (1,), (directions,), (directions, rows)):
                raise call.node.malformed(f"has scales or zero points of shape {numbers.shape}")
        s, z = (
            numbers.reshape(numbers.shape[0] if numbers.ndim else 1, 1, -1).astype(np.float64)
            for numbers in (scale, zero_point)
        )
        numbers = ((matrix.elements.astype(np.float64) - z) * s).astype(np.float32)
        return Constant.of(np.ascontiguousarray(numbers.transpose(0, 2, 1)), matrix.name)
