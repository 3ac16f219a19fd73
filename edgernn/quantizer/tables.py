"""Functions of one value as tables: the form that suits a function, and what it costs over the calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.operations import Int8Unary, IntegerFunction, Operation
from edgernn.quantizer.converter import Converter
from edgernn.reference import int8 as reference_int8

Array: TypeAlias = NDArray[Any]

MAX_ERROR = 0.05  # root mean square over the calibration, as part of that of the values
MAX_SAMPLES = 1 << 18  # that an error is measured on


def add_function(
    converter: Converter, operation: Operation, integer: str, function: IntegerFunction, scale: float
) -> None:
    """Append the integer form of a function of one value."""
    converter.add_integer(Int8Unary, operation, (integer,), scale, function=function)


def add_smooth(converter: Converter, operation: Operation, real: Callable[[Array], Array], scale: float) -> None:
    """A function of which 513 values at equal distances are enough, with straight lines between."""
    integer = converter.as_integer(operation.inputs[0])
    entries = fixed_point.function_table(real, converter.scales[integer], scale)
    _add_table(converter, operation, integer, "Table", entries, real, scale)


def add_near_zero(converter: Converter, operation: Operation, real: Callable[[Array], Array], *, odd: bool) -> None:
    """A function of numbers above 0, or one with f(-x) = -f(x), that changes the faster the smaller they are."""
    source = operation.inputs[0]
    integer = converter.as_integer(source)
    input_scale, scale = converter.scales[integer], converter.formats.output_scale(operation.outputs[0])
    entries = fixed_point.octave_table(real, input_scale, scale, odd)
    with np.errstate(all="ignore"):
        has_pole = not np.isfinite(real(np.zeros(1))).all()
    x = converter.trace.values[source].ravel()
    lost = x[(np.abs(x) < input_scale / 2) & (x != 0)]  # what 0 stands for, where the function has no value there
    if has_pole and len(lost):
        entries[0] = np.clip(np.rint(real(lost).mean() / scale), -32767, 32767)
    _add_table(converter, operation, integer, "OddOctaves" if odd else "Octaves", entries, real, scale)


def add_power(converter: Converter, operation: Operation, exponent: float) -> None:
    """A constant power."""
    output = operation.outputs[0]
    is_whole = float(exponent).is_integer()
    if is_whole and exponent >= 0:
        add_smooth(converter, operation, lambda x: x**exponent, converter.formats.range_scale(output))
        return
    odd = is_whole and bool(exponent % 2)
    if is_whole and not odd:
        operation = _of_magnitude(converter, operation)
    add_near_zero(converter, operation, lambda x: x**exponent, odd=odd)


def _of_magnitude(converter: Converter, operation: Operation) -> Any:
    """The operation on the magnitude of its input, which is an operation before it."""
    magnitude = f"{operation.name}.magnitude"
    source = operation.inputs[0]
    integer = converter.as_integer(source)
    scale = converter.scales[integer]
    weight = converter.add_weight(operation, "magnitude", fixed_point.function_table(np.abs, scale, scale))
    converter.trace.values[magnitude] = np.abs(converter.trace.values[source])
    converter.add(
        Int8Unary(
            name=magnitude,
            inputs=(integer,),
            outputs=(magnitude,),
            function=IntegerFunction("Table", table=weight),
            scale=scale,
        ),
        scale,
    )
    return msgspec.structs.replace(operation, inputs=(magnitude,))


def _add_table(
    converter: Converter,
    operation: Operation,
    integer: str,
    kind: Any,
    entries: Array,
    real: Callable[[Array], Array],
    scale: float,
) -> None:
    x = converter.trace.values[operation.inputs[0]].ravel()
    x = x[:: -(-len(x) // MAX_SAMPLES)]
    q = quantized(x, converter.scales[integer])
    function = reference_int8.Function(kind, table=entries.astype(np.int64))
    error = relative_error(reference_int8.activate(q, function) * scale, real(x))
    if error > MAX_ERROR:
        raise converter.refused(
            operation,
            f"its integers would be off by {error:.0%} over the calibration, whose inputs reach from {x.min():.3g} to "
            f"{x.max():.3g}, too far apart for 16 bits: scale or clip them in the model",
        )
    table = IntegerFunction(kind, table=converter.add_weight(operation, "table", entries))
    add_function(converter, operation, integer, table, scale)


def quantized(x: Array, scale: float) -> Array:
    """Real numbers as the int16 numbers that stand for them, in int64."""
    return np.clip(np.rint(x / scale), -32768, 32767).astype(np.int64)


def relative_error(found: Array, expected: Array) -> float:
    """The root mean square of what is off, as part of that of what is expected."""
    size = float(np.sqrt(np.mean(np.square(expected))))
    return float(np.sqrt(np.mean(np.square(found - expected)))) / size if size > 0 else 0.0
