"""Integer operations on each element by itself, and the ways in and out, in C."""

from __future__ import annotations

import numpy as np

from edgernn.program.operations import (
    Dequantize,
    Int8Affine,
    Int8Binary,
    Int8Unary,
    IntegerFunction,
    Quantize,
)
from firmware_export.emitters.c_loops import COperand, elementwise
from firmware_export.emitters.calls import Emitter
from firmware_export.literals import float_literal
from firmware_export.packing import scale_words
from firmware_export.step import StepWriter


def function(step: StepWriter, name: str, activation: IntegerFunction) -> str:
    """C name of a function of one int16: sigmoid and tanh are shared, others are made for their constants."""
    match activation.function:
        case "Sigmoid" | "Tanh":
            shared = activation.function.lower()
            step.need(f"{shared}_int8")
            return f"edgernn_{shared}"
        case "Clip":
            step.need("clip_int8")
            expression = f"edgernn_clip(x, {activation.low}, {activation.high})"
        case "Table":
            step.need("table_int8")
            assert activation.table is not None
            entries = step.program.weights[activation.table]
            expression = f"edgernn_table(x, {step.table(activation.table, entries, f'{name}: function')})"
        case "Octaves" | "OddOctaves":
            step.need("octaves_int8")
            assert activation.table is not None
            table = step.table(activation.table, step.program.weights[activation.table], f"{name}: function")
            kind = "octaves" if activation.function == "Octaves" else "odd_octaves"
            expression = f"edgernn_{kind}(x, {table})"
    return step.function(name, f"static int {{name}}(int x) {{{{ return {expression}; }}}}")


def quantize(step: StepWriter, operation: Quantize) -> list[str]:
    """From the sensor's integers where the input is raw, else from float."""
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    weights, size = step.program.weights, step.value(operation.inputs[0]).size
    channels = weights[operation.mean].size
    if step.dtype(operation.inputs[0]) == "int32":
        step.need("quantize_counts")
        assert operation.counts is not None
        settings = step.table(
            f"{operation.name}_counts",
            weights[operation.counts],
            f"{operation.name}: origin, narrowing, multiplier, offset and shift of {channels} channels",
        )
        return [f"edgernn_quantize_counts({x}, {size}, {settings}, {channels}, {y});"]
    step.need("quantize_float")
    mean, inverse = (
        step.table(f"{operation.name}_{field}", weights[getattr(operation, field)], f"{operation.name}: {field}")
        for field in ("mean", "inverse")
    )
    return [f"edgernn_quantize_float({x}, {size}, {mean}, {inverse}, {channels}, {y});"]


def dequantize(step: StepWriter, operation: Dequantize) -> list[str]:
    """To float, unless the value only leaves the program: then it stays an integer."""
    if step.stays_integer(operation):
        return []
    step.need("dequantize")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    value = step.value(operation.inputs[0])
    assert value.scale is not None
    return [f"edgernn_dequantize({x}, {value.size}, {float_literal(value.scale)}, {y});"]


def affine(step: StepWriter, operation: Int8Affine) -> list[str]:
    """Each element times a constant plus a constant."""
    step.need("affine_int8")
    weights = step.program.weights
    m, s, B = (weights[name] for name in (operation.multiplier, operation.shift, operation.B))
    scale = step.table(f"{operation.name}_scale", scale_words(m, s), f"{operation.name}: scales")
    bias = step.table(f"{operation.name}_B", B, f"{operation.name}: B")
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    operands = [COperand("a", step.value(operation.inputs[0]).shape), COperand("b", m.shape)]
    constants = (f"edgernn_read_int32({table} + ({{b}}))" for table in (scale, bias))
    call = f"edgernn_affine_int8(({x})[{{a}}], {', '.join(constants)})"
    return elementwise(step.value(operation.outputs[0]).shape, operands, f"({y})[{{y}}] = {call};")


def binary(step: StepWriter, operation: Int8Binary) -> list[str]:
    """Two values with broadcasting."""
    step.need("rescale")
    scales = [int(word) for word in scale_words(np.array(operation.multipliers), np.array(operation.shifts))]
    a, b = (f"({step.place(name)})[{{{letter}}}]" for name, letter in zip(operation.inputs, "ab", strict=True))
    if operation.function == "Mul":
        result = f"(int16_t)edgernn_saturate16(edgernn_rescale((int32_t){a} * {b}, {scales[0]}))"
    elif operation.function == "Div":
        step.need("divide_int8")
        result = f"(int16_t)edgernn_divide_int8({a}, {b}, {scales[0]})"
    else:
        step.need("binary_int8")
        left, right = (f"edgernn_rescale({side}, {scale})" for side, scale in zip((a, b), scales, strict=True))
        result = f"(int16_t)edgernn_saturate16(edgernn_{operation.function.lower()}_int8({left}, {right}))"
    operands = [COperand(letter, step.value(name).shape) for name, letter in zip(operation.inputs, "ab", strict=True)]
    y = step.place(operation.outputs[0])
    return elementwise(step.value(operation.outputs[0]).shape, operands, f"({y})[{{y}}] = {result};")


def unary(step: StepWriter, operation: Int8Unary) -> list[str]:
    """Each element through one activation."""
    step.need("unary_int8")
    name = function(step, f"{operation.name}_{operation.function.function}", operation.function)
    size = step.value(operation.inputs[0]).size
    return [
        f"edgernn_unary_int8({step.place(operation.inputs[0])}, {size}, {name}, {step.place(operation.outputs[0])});"
    ]


OPERATIONS: dict[type, Emitter] = {
    Quantize: Emitter(quantize),
    Dequantize: Emitter(dequantize),
    Int8Affine: Emitter(affine),
    Int8Binary: Emitter(binary),
    Int8Unary: Emitter(unary),
}
