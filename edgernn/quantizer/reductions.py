"""Reductions and layer normalisation to integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.operations import (
    Int8LayerNorm,
    Int8Reduce,
    Int8RunningReduce,
    Int8RunningSoftmax,
    LayerNorm,
    Reduce,
    RunningReduce,
    RunningSoftmax,
)
from edgernn.program.operations.int8.base import SIGNED_SHIFTS
from edgernn.program.operations.int8.reductions import (
    MAX_EPSILON,
    MAX_NORM_FEATURES,
    MEAN_BITS,
    NORM_BITS,
    REFERENCE_SCALE,
    SUM_SHIFTS,
    WEIGHT_SCALE,
    sum_bound,
)
from edgernn.quantizer.converter import Converter
from edgernn.quantizer.movement import give_format

Array: TypeAlias = NDArray[Any]

MIN_UNITS = 4.1  # of the input in the output's, so that a shift is at least 17


def convert_reduce(converter: Converter, operation: Reduce) -> None:
    """Sums and means have a format of their own, the largest and smallest that of the input."""
    if operation.function == "Prod":
        raise converter.refused(operation, "a product of many values has no bounded result")
    integer = converter.as_integer(operation.inputs[0])
    scale, m, s = converter.scales[integer], 0, 17
    if operation.function in ("Sum", "Mean"):
        terms = converter.program.values[operation.inputs[0]].shape[operation.axis]
        unit = scale / (terms if operation.function == "Mean" else 1)
        scale = converter.formats.output_scale(operation.outputs[0])
        m, s = (int(part) for part in fixed_point.multiplier(np.array(unit / scale), f"operation {operation.name}"))
        if sum_bound(terms, s) >= 1 << 31:
            raise converter.refused(operation, f"a sum of {terms} numbers could overflow 32 bits")
    converter.add_integer(
        Int8Reduce,
        operation,
        (integer,),
        scale,
        function=cast(Any, operation.function),
        axis=operation.axis,
        multiplier=m,
        shift=s,
    )


def convert_running_reduce(converter: Converter, operation: RunningReduce) -> None:
    """Sums and means over time: 64 bits that begin at 0; the largest and smallest begin at the end of the range."""
    integer, output = converter.as_integer(operation.inputs[0]), operation.outputs[0]
    unit = scale = converter.scales[integer]
    settings: dict[str, Any] = {}
    if operation.function == "Mean":
        settings["mean_bits"] = _mean_bits(converter, unit, output)
        scale = unit / 2 ** settings["mean_bits"]
    elif operation.function == "Sum":
        scale = max(converter.formats.limit(output) / 32767, unit * MIN_UNITS)
        settings["sum_shift"] = int(np.clip(np.ceil(np.log2(scale * 32768 / unit)) - 30, *SUM_SHIFTS))
        factor = np.array(unit * 2.0 ** settings["sum_shift"] / scale)
        m, s = fixed_point.multiplier(factor, f"operation {operation.name}")
        settings |= {"multiplier": int(m), "shift": int(s)}
    give_format(converter, operation.total, "int64" if operation.function in ("Sum", "Mean") else "int16", unit)
    converter.add_integer(
        Int8RunningReduce,
        operation,
        (integer,),
        scale,
        function=operation.function,
        total=operation.total,
        count=operation.count,
        size=operation.size,
        input_scale=unit,
        **settings,
    )


def _mean_bits(converter: Converter, unit: float, output: str) -> int:
    """How many more fraction bits a mean over time can have than numbers of this unit: its range may be smaller."""
    return int(np.clip(np.floor(np.log2(unit / (converter.formats.limit(output) / 32767))), *MEAN_BITS))


def convert_running_softmax(converter: Converter, operation: RunningSoftmax) -> None:
    """Attention pooling: weights are powers of two of scores in octaves."""
    scores, values = (converter.as_integer(name) for name in operation.inputs)
    unit, bits = converter.scales[values], _mean_bits(converter, converter.scales[values], operation.outputs[0])
    factor = np.array(converter.scales[scores] / REFERENCE_SCALE)
    m, s = fixed_point.multiplier(factor, f"operation {operation.name}")
    for region, dtype, scale in (
        (operation.largest, "int32", REFERENCE_SCALE),
        (operation.total, "int64", WEIGHT_SCALE),
        (operation.weighted, "int64", WEIGHT_SCALE * unit),
    ):
        give_format(converter, region, dtype, scale)
    integer = Int8RunningSoftmax(
        name=operation.name,
        inputs=(scores, values),
        outputs=operation.outputs,
        sources=operation.sources,
        reference=operation.largest,
        total=operation.total,
        weighted=operation.weighted,
        groups=operation.groups,
        size=operation.size,
        multiplier=int(m),
        shift=int(s),
        mean_bits=bits,
        input_scale=unit,
    )
    converter.add(integer, integer.scale)


def convert_layer_norm(converter: Converter, operation: LayerNorm) -> None:
    """The normalised values have as many fraction bits as their calibrated range allows."""
    source = operation.inputs[0]
    integer, features = converter.as_integer(source), converter.program.values[source].shape[-1]
    if features > MAX_NORM_FEATURES:
        raise converter.refused(operation, f"{features} features are more than {MAX_NORM_FEATURES}")
    epsilon = features**2 * operation.epsilon / converter.scales[integer] ** 2
    if epsilon > MAX_EPSILON:
        raise converter.refused(operation, "its input is so small that epsilon decides")
    x = converter.trace.values[source].reshape(-1, features)
    x = x - x.mean(axis=1, keepdims=True) if operation.centred else x
    deviation = np.sqrt((x**2).mean(axis=1, keepdims=True) + operation.epsilon)
    normal = np.abs(x / np.maximum(deviation, 1e-30))
    largest = min(float(normal.max()) * converter.settings.headroom, np.sqrt(features)) or 1.0
    bits = int(np.clip(np.floor(np.log2(32767 / largest)), *NORM_BITS))
    weights = converter.program.weights
    gain = np.ones(features) if operation.scale is None else weights[operation.scale].astype(np.float64)
    bias = np.zeros(features) if operation.bias is None else weights[operation.bias].astype(np.float64)
    scale = converter.formats.output_scale(operation.outputs[0])
    where = f"operation {operation.name}"
    m, s = fixed_point.multiplier(gain * 2.0**-bits / scale, where, SIGNED_SHIFTS)
    parts = {"multiplier": m, "shift": s, "B": fixed_point.quantize_bias(bias, scale, where)}
    names: dict[str, Any] = {field: converter.add_weight(operation, field, array) for field, array in parts.items()}
    converter.add_integer(
        Int8LayerNorm,
        operation,
        (integer,),
        scale,
        epsilon=round(epsilon),
        norm_bits=bits,
        centred=operation.centred,
        **names,
    )


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {
    Reduce: convert_reduce,
    RunningReduce: convert_running_reduce,
    RunningSoftmax: convert_running_softmax,
    LayerNorm: convert_layer_norm,
}
