"""Functions of one value, softmax and its logarithm to integers."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.operations import (
    DOMAINS,
    GateFunction,
    Int8LogSoftmax,
    Int8Softmax,
    IntegerFunction,
    Operation,
    Softmax,
    Unary,
)
from edgernn.program.operations.int8.base import GATE_SCALE, OCTAVE_ENTRIES, UNIT_SCALE
from edgernn.quantizer import arithmetic, tables
from edgernn.quantizer.converter import Converter
from edgernn.reference import float32

Array: TypeAlias = NDArray[Any]

WITHIN_ONE = {"Sigmoid", "Tanh", "HardSigmoid", "Softsign", "Erf"}  # values in [-1, 1]
NEAR_ZERO = {"Log", "Sqrt", "Reciprocal"}  # functions that change the faster the smaller a number is
STEPS = {"Floor": -0.5, "Ceil": 0.5, "Round": 0.0}  # what is added before a number is rounded, halves up
HALVES = 2.0**-14  # scale that an int16 needs to hold numbers near a half
OCTAVE = log(2) / 4096  # unit of a logarithm in integers


def convert_unary(converter: Converter, operation: Unary) -> None:
    """A shared table, a clip, a table of its own, or steps."""
    name = operation.function
    if name == "Not":
        arithmetic.convert_not(converter, operation)
    elif name == "Sign":
        _convert_sign(converter, operation)
    elif name in STEPS:
        _convert_steps(converter, operation)
    elif name in NEAR_ZERO:
        tables.add_near_zero(converter, operation, real_of(operation), odd=name == "Reciprocal")
    elif name in ("Sigmoid", "Tanh", "Relu", "Clip"):
        _convert_shared(converter, operation)
    elif name in WITHIN_ONE:
        converter.formats.bounds[operation.outputs[0]] = 1.0
        tables.add_smooth(converter, operation, real_of(operation), UNIT_SCALE)
    else:
        tables.add_smooth(
            converter, operation, real_of(operation), converter.formats.limit(operation.outputs[0]) / 32767
        )


def real_of(operation: Unary) -> Callable[[Array], Array]:
    """The function in float; of a smooth one outside of its domain, its value at the nearest end."""

    def real(x: Array) -> Array:
        if operation.function in DOMAINS and operation.function not in NEAR_ZERO:
            x = np.clip(x, *DOMAINS[operation.function])
        with np.errstate(divide="ignore"):
            return float32.unary(x, operation.function, operation.alpha, operation.beta)

    return real


def _convert_shared(converter: Converter, operation: Unary) -> None:
    """The functions that need no table of their own."""
    output, source = operation.outputs[0], operation.inputs[0]
    if operation.function in ("Relu", "Clip"):
        integer = converter.as_integer(source)
        scale = converter.scales[integer]
    else:
        integer, scale = converter.at_scale(source, GATE_SCALE), UNIT_SCALE
        converter.formats.bounds[output] = 1.0
        if operation.function == "Sigmoid":
            converter.positive.add(output)
    gate = GateFunction(operation.function, operation.alpha, operation.beta)
    function = integer_function(converter, operation, "table", gate, converter.scales[integer], scale)
    tables.add_function(converter, operation, integer, function, scale)


def integer_function(
    converter: Converter, operation: Operation, field: str, gate: GateFunction, input_scale: float, output_scale: float
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
    return IntegerFunction("Table", table=converter.add_weight(operation, field, entries))


def _convert_sign(converter: Converter, operation: Unary) -> None:
    """One number for all octaves."""
    entries = np.full(OCTAVE_ENTRIES, 32767, np.int16)
    entries[0] = 0
    converter.formats.bounds[operation.outputs[0]] = 1.0
    function = IntegerFunction("OddOctaves", table=converter.add_weight(operation, "table", entries))
    tables.add_function(converter, operation, converter.as_integer(operation.inputs[0]), function, UNIT_SCALE)


def _convert_steps(converter: Converter, operation: Unary) -> None:
    """Whole numbers are what a number of scale 1 is rounded to; a half is taken away or added before.

    Numbers within a unit of a whole one are whole: the format of x and the multiplier may round them that far.
    """
    source, output, name = operation.inputs[0], operation.outputs[0], operation.name
    integer = converter.as_integer(source)
    largest = float(np.abs(converter.trace.values[output]).max(initial=0.0))
    if largest > 32767:
        raise converter.refused(operation, f"its whole numbers reach {largest:.3g}, which 16 bits do not hold")
    half, scale = STEPS[operation.function], converter.scales[integer]
    if half:
        finer = max(scale, HALVES)
        offset = np.array(finer * (np.ceil(half / finer + 1) if half < 0 else np.floor(half / finer - 1)))
        shifted = f"{name}.shifted"
        converter.add(converter.affine(shifted, integer, shifted, np.array(scale / finer), offset, finer), finer)
        integer, scale = shifted, finer
    converter.add(converter.affine(name, integer, output, np.array(scale), np.zeros(()), 1.0), 1.0)


def convert_softmax(converter: Converter, operation: Softmax) -> None:
    """Powers of two of differences to the largest value, and the logarithm of their sum."""
    integer = converter.as_integer(operation.inputs[0])
    factor = np.array(converter.scales[integer] * np.log2(np.e) * 4096)
    where = f"operation {operation.name}"
    m, s = (int(part) for part in fixed_point.multiplier(factor, where))
    common: dict[str, Any] = {
        "name": operation.name,
        "inputs": (integer,),
        "outputs": operation.outputs,
        "sources": operation.sources,
        "multiplier": m,
        "shift": s,
    }
    if not operation.logarithm:
        converter.add(Int8Softmax(**common), UNIT_SCALE)
        return
    scale = max(converter.formats.output_scale(operation.outputs[0]), OCTAVE)
    output_m, output_s = (int(part) for part in fixed_point.multiplier(np.array(OCTAVE / scale), where))
    converter.add(Int8LogSoftmax(**common, output_multiplier=output_m, output_shift=output_s, scale=scale), scale)


CONVERTERS: dict[type, Callable[[Converter, Any], None]] = {Unary: convert_unary, Softmax: convert_softmax}
