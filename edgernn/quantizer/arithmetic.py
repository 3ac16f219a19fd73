"""Arithmetic of two values to integers, or of a value and a constant: formats, comparisons, choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.operations import (
    Binary,
    ConstantValue,
    Int8Binary,
    Int8Compare,
    Int8Where,
    IntegerFunction,
    Operation,
    Unary,
    Where,
)
from edgernn.program.operations.int8.selection import TRUTH_SCALE
from edgernn.quantizer import tables
from edgernn.quantizer.converter import Converter
from edgernn.quantizer.formats import MASK_SCALE, MIN_MASK
from edgernn.reference import int8 as reference_int8

Array: TypeAlias = NDArray[Any]

COMPARISONS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
LOGIC = {"And", "Or", "Xor"}
MAX_GAIN = 2.0**13 - 1  # of a multiplier with a sign; what truth is multiplied with saturates long before
MIN_PRODUCT = 4.1  # units of a product in the output's, so that its shift is at least 17


def convert_binary(converter: Converter, operation: Binary) -> None:
    """Arithmetic, a comparison or logic."""
    if operation.function in COMPARISONS | LOGIC:
        _compare(converter, operation, _sides(converter, operation))
    elif operation.constant is None:
        _two_values(converter, operation, list(operation.inputs))
    else:
        _constant(converter, operation, converter.program.weights[operation.constant].astype(np.float64))


def _sides(converter: Converter, operation: Binary) -> list[str]:
    """Names of both sides, a constant made a value."""
    names = list(operation.inputs)
    if operation.constant is not None:
        array = converter.program.weights[operation.constant].astype(np.float64)
        side = 0 if operation.constant_side == "left" else 1
        names.insert(side, _constant_value(converter, operation, array, names[0]))
    return names


def _constant_value(converter: Converter, operation: Operation, array: Array, beside: str) -> str:
    """A constant as an integer value: in the format of the value it stands beside, if it fits there."""
    name = f"{operation.name}.constant"
    scale = converter.scales[converter.as_integer(beside)]
    largest = float(np.abs(array).max(initial=0.0))
    if largest > 32767 * scale:
        scale = largest / 32767
    q = np.rint(array.reshape(array.shape or (1,)) / scale).astype(np.int16)
    weight = converter.add_weight(operation, "constant", q)
    constant = ConstantValue(name=name, inputs=(), outputs=(name,), weight_name=weight, dtype="int16", scale=scale)
    converter.add(constant, scale)
    return name


def _compare(converter: Converter, operation: Operation, names: list[str]) -> None:
    """Both sides in the finer of their formats, so that no digit is lost."""
    integers = tuple(converter.as_integer(name) for name in names)
    scales = np.array([converter.scales[name] for name in integers])
    m, s = fixed_point.multiplier(scales / scales.min(), f"operation {operation.name}")
    function = "Equal" if isinstance(operation, Unary) else cast(Binary, operation).function
    converter.add(
        Int8Compare(
            name=operation.name,
            inputs=integers,
            outputs=operation.outputs,
            sources=operation.sources,
            function=cast(Any, function),
            multipliers=(int(m[0]), int(m[1])),
            shifts=(int(s[0]), int(s[1])),
        ),
        TRUTH_SCALE,
    )
    converter.formats.bounds[operation.outputs[0]] = 1.0
    converter.positive.add(operation.outputs[0])


def convert_not(converter: Converter, operation: Unary) -> None:
    """``Not(x)`` is ``x = 0``."""
    source = operation.inputs[0]
    zero = _constant_value(converter, operation, np.zeros(1), source)
    _compare(converter, operation, [source, zero])


def _bound(converter: Converter, name: str) -> float:
    """The largest magnitude that a value can have."""
    return converter.formats.bounds.get(name, 32768 * converter.scales[converter.as_integer(name)])


def _two_values(converter: Converter, operation: Binary, names: list[str]) -> None:
    function, output = operation.function, operation.outputs[0]
    if function not in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
        raise converter.refused(operation, f"{function} of two values has no bounded result")
    integers = [converter.as_integer(name) for name in names]
    if function not in ("Mul", "Div"):
        integers = converter.with_saturated_constants(integers)
    a, b = (converter.scales[name] for name in integers)
    if function == "Mul":
        converter.formats.bounds[output] = _bound(converter, names[0]) * _bound(converter, names[1])
        scale = max(converter.formats.output_scale(output), a * b * MIN_PRODUCT)
        factors = np.array([a * b / scale])
    elif function == "Div":
        scale = converter.formats.output_scale(output)
        factors = np.array([a / b / scale * 2.0**-30])
    else:
        scale = converter.formats.output_scale(output)
        factors = np.array([a, b]) / scale
    m, s = fixed_point.multiplier(factors, f"operation {operation.name}")
    if function == "Div":
        _check_quotient(converter, operation, names, m, s, scale)
    converter.add_integer(
        Int8Binary,
        operation,
        tuple(integers),
        scale,
        function=cast(Any, function),
        multipliers=tuple(m.tolist()),
        shifts=tuple(s.tolist()),
    )


def _constant(converter: Converter, operation: Binary, constant: Array) -> None:
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
        case "Min" | "Max":
            _limit(converter, operation, constant)
            return
        case "Div" if left and constant.size == 1:
            numerator = float(constant.ravel()[0])
            tables.add_near_zero(converter, operation, lambda x: numerator / x, odd=True)
            return
        case "Div" if left:
            _two_values(converter, operation, _sides(converter, operation))
            return
        case "Pow" if (constant == constant.flat[0]).all() and (left or constant.size == 1):
            _power(converter, operation, float(constant.flat[0]), left)
            return
        case _:
            raise converter.refused(operation, f"{operation.function} with this constant has no integer form")
    source, output = operation.inputs[0], operation.outputs[0]
    integer = converter.as_integer(source)
    converter.formats.bounds[output] = _affine_bound(converter, source, gain, offset)
    mask_scale = _mask_scale(converter, operation, constant)
    scale = mask_scale or converter.formats.output_scale(output)
    factor = gain * converter.scales[integer] / scale
    if mask_scale is not None:
        factor = np.clip(factor, -MAX_GAIN, MAX_GAIN)
    converter.add(converter.affine(operation.name, integer, output, factor, offset, scale), scale)


def _mask_scale(converter: Converter, operation: Binary, constant: Array) -> float | None:
    """The format of a computed mask: truth times a number that forbids, only added to what softmaxes read; else None.

    Twice the range of the sums is enough to forbid; masks of constants are `Converter.with_saturated_constants`.
    """
    truth = converter.trace.values[operation.inputs[0]]
    forbids = operation.function == "Mul" and bool(np.abs(constant).max(initial=0.0) >= MIN_MASK)
    if not forbids or not np.isin(truth, (0, 1)).all():
        return None
    sums = converter.program.graph.final_readers(operation.outputs[0])
    if not sums or not all(isinstance(by, Binary) and by.function == "Add" and by.constant is None for by in sums):
        return None
    if not all(converter.formats.in_softmax(by.outputs[0]) for by in sums):
        return None
    return max(MASK_SCALE, *(2 * converter.formats.limit(by.outputs[0]) / 32767 for by in sums))


def _affine_bound(converter: Converter, source: str, gain: Array, offset: Array) -> float:
    """The largest magnitude of ``source * gain + offset``; a sigmoid, and what was compared, is not below 0."""
    high = _bound(converter, source)
    low = 0.0 if source in converter.positive else -high
    ends = np.abs(np.stack([gain * low + offset, gain * high + offset]))
    return float(ends.max(initial=0.0))


def _limit(converter: Converter, operation: Binary, constant: Array) -> None:
    """The smaller or larger of a value and a constant: a Clip where the constant is one number."""
    if constant.size > 1:
        _two_values(converter, operation, _sides(converter, operation))
        return
    integer = converter.as_integer(operation.inputs[0])
    scale = converter.scales[integer]
    limit = int(np.clip(np.rint(constant.ravel()[0] / scale), -32768, 32767))
    is_upper = operation.function == "Min"
    function = IntegerFunction("Clip", high=limit) if is_upper else IntegerFunction("Clip", low=limit)
    tables.add_function(converter, operation, integer, function, scale)


def _power(converter: Converter, operation: Binary, number: float, is_base: bool) -> None:
    """A constant power of a value, or a constant to the power of a value."""
    if not is_base:
        tables.add_power(converter, operation, number)
    elif number > 0:
        tables.add_smooth(
            converter, operation, lambda x: number**x, converter.formats.range_scale(operation.outputs[0])
        )
    else:
        raise converter.refused(operation, f"powers of {number} have no integer form")


def _check_quotient(
    converter: Converter, operation: Binary, names: list[str], m: Array, s: Array, scale: float
) -> None:
    """Refuse a divisor that 16 bits cannot tell from 0, if that matters over the calibration."""
    rank = len(converter.program.values[operation.outputs[0]].shape)
    a, b = (_samples(converter, operation, name, rank) for name in names)
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        return  # rows of different steps
    scales = [converter.scales[converter.as_integer(name)] for name in names]
    quotients = reference_int8.divide(
        tables.quantized(a, scales[0]), tables.quantized(b, scales[1]), m[0].astype(np.int64), s[0].astype(np.int64)
    )
    with np.errstate(all="ignore"):
        error = tables.relative_error(quotients * scale, a / b)
    if not error <= tables.MAX_ERROR:
        size = np.abs(b)
        raise converter.refused(
            operation,
            f"its integers would be off by {error:.0%} over the calibration, whose divisors come down to "
            f"{size.min():.3g} of {size.max():.3g}, too near to 0 for 16 bits: scale or clip them in the model",
        )


def _samples(converter: Converter, operation: Binary, name: str, rank: int) -> Array:
    """What a side was over the calibration, (rows, ...) with `rank` more axes; one row for a constant."""
    if name in converter.program.values:
        rows, shape = converter.trace.values[name], converter.program.values[name].shape
    else:
        assert operation.constant is not None
        rows = converter.program.weights[operation.constant].astype(np.float64)[np.newaxis]
        shape = rows.shape[1:]
    return rows.reshape(len(rows), *(1,) * (rank - len(shape)), *shape)


def convert_where(converter: Converter, operation: Where) -> None:
    """A choice between two values, in the coarser of their formats; a constant that is far larger saturates."""
    condition, *values = (converter.as_integer(name) for name in operation.inputs)
    values = converter.with_saturated_constants(values)
    scale = max(converter.scales[name] for name in values)
    names = (condition, *(converter.at_scale(name, scale) for name in values))
    converter.add_integer(Int8Where, operation, names, scale)


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {Binary: convert_binary, Where: convert_where}
