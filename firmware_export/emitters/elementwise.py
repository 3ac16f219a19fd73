"""Float operations on each element by itself, in C."""

from __future__ import annotations

from edgernn.program.operations import (
    UNARY_FUNCTIONS,
    Binary,
    Convert,
    GateFunction,
    Unary,
)
from firmware_export.emitters.c_loops import COperand, elementwise
from firmware_export.emitters.calls import Emitter
from firmware_export.literals import float_literal
from firmware_export.step import StepWriter

# ONNX function -> (piece of the runtime or None, C expression of x, and of the constants a and b)
FUNCTIONS: dict[str, tuple[str, str]] = {
    "Relu": ("", "x < 0.0f ? 0.0f : x"),
    "Tanh": ("math_float", "edgernn_tanh_float(x)"),
    "Sigmoid": ("math_float", "edgernn_sigmoid_float(x)"),
    "LeakyRelu": ("", "x < 0.0f ? {a} * x : x"),
    "ThresholdedRelu": ("", "x <= {a} ? 0.0f : x"),
    "Elu": ("math_float", "x < 0.0f ? {a} * (edgernn_exp(x) - 1.0f) : x"),
    "Celu": ("math_float", "x < 0.0f ? {a} * (edgernn_exp(x / {a}) - 1.0f) : x"),
    "Selu": ("math_float", "{b} * (x <= 0.0f ? {a} * (edgernn_exp(x) - 1.0f) : x)"),
    "HardSigmoid": ("clamp_float", "edgernn_clamp({a} * x + {b}, 0.0f, 1.0f)"),
    "HardSwish": ("clamp_float", "x * edgernn_clamp(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f)"),
    "Softplus": ("more_math_float", "edgernn_softplus(x)"),
    "Softsign": ("", "x / (1.0f + (x < 0.0f ? -x : x))"),
    "Mish": ("more_math_float", "x * edgernn_tanh_float(edgernn_softplus(x))"),
    "Gelu": ("more_math_float", "0.5f * x * (1.0f + edgernn_erf(x * 0.70710677f))"),
    "GeluTanh": ("math_float", "0.5f * x * (1.0f + edgernn_tanh_float(0.7978846f * (x + 0.044715f * x * x * x)))"),
    "Erf": ("more_math_float", "edgernn_erf(x)"),
    "Abs": ("", "x < 0.0f ? -x : x"),
    "Neg": ("", "-x"),
    "Exp": ("math_float", "edgernn_exp(x)"),
    "Log": ("more_math_float", "edgernn_log(x)"),
    "Sqrt": ("more_math_float", "edgernn_sqrt(x)"),
    "Reciprocal": ("", "1.0f / x"),
    "Clip": ("clamp_float", "edgernn_clamp(x, {a}, {b})"),
    "Sin": ("trigonometry_float", "edgernn_sine(x, 0)"),
    "Cos": ("trigonometry_float", "edgernn_sine(x, 1)"),
    "Asin": ("inverse_float", "edgernn_asin(x)"),
    "Acos": ("inverse_float", "edgernn_acos(x)"),
    "Atan": ("inverse_float", "edgernn_atan(x)"),
    "Sinh": ("inverse_float", "edgernn_sinh(x)"),
    "Cosh": ("inverse_float", "edgernn_cosh(x)"),
    "Asinh": ("inverse_float", "edgernn_asinh(x)"),
    "Acosh": ("inverse_float", "edgernn_acosh(x)"),
    "Atanh": ("inverse_float", "edgernn_atanh(x)"),
    "Sign": ("", "x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x"),
    "Floor": ("round_float", "edgernn_floor(x)"),
    "Ceil": ("round_float", "edgernn_ceil(x)"),
    "Round": ("round_float", "edgernn_round(x)"),
    "Not": ("", "x == 0.0f ? 1.0f : 0.0f"),
    "Affine": ("", "{a} * x + {b}"),
    "ScaledTanh": ("math_float", "{a} * edgernn_tanh_float({b} * x)"),
}


GATE_DEFAULTS = {"Affine": (1.0, 0.0), "ScaledTanh": (1.0, 1.0)}


MAX_FLOAT32 = 3.4028234663852886e38


# functions that never overflow, and those that are infinite by definition: the others saturate
NEVER_SATURATED = {"Tanh", "Sigmoid", "HardSigmoid", "Softsign", "Relu", "Erf", "Abs", "Neg", "Sqrt", "Clip"}
NEVER_SATURATED |= {"Sin", "Cos", "Sign", "Floor", "Ceil", "Round", "Not"}
NEVER_SATURATED |= {"Asin", "Acos", "Atan", "Asinh", "Acosh"}
NEVER_SATURATED |= {"Exp", "Log", "Reciprocal", "Atanh"}


BINARY = {
    "Add": "edgernn_overflow(a + b, a, b)",
    "Sub": "edgernn_overflow(a - b, a, b)",
    "Mul": "edgernn_overflow(a * b, a, b)",
    "Div": "b == 0.0f ? a / b : edgernn_overflow(a / b, a, b)",
    "Min": "b < a || b != b ? b : a",
    "Max": "b > a || b != b ? b : a",
    "Pow": "edgernn_power(a, b)",
    "Mod": "edgernn_mod(a, b)",
    "Equal": "a == b ? 1.0f : 0.0f",
    "Less": "a < b ? 1.0f : 0.0f",
    "LessOrEqual": "a <= b ? 1.0f : 0.0f",
    "Greater": "a > b ? 1.0f : 0.0f",
    "GreaterOrEqual": "a >= b ? 1.0f : 0.0f",
    "And": "a != 0.0f && b != 0.0f ? 1.0f : 0.0f",
    "Or": "a != 0.0f || b != 0.0f ? 1.0f : 0.0f",
    "Xor": "(a != 0.0f) != (b != 0.0f) ? 1.0f : 0.0f",
}


def function(step: StepWriter, name: str, gate: GateFunction | Unary, clip: float | None = None) -> str:
    """C name of a function of one float: a runtime function, or one made for these constants."""
    piece, expression = FUNCTIONS[gate.function]
    step.need(*filter(None, (piece, "clamp_float" if clip is not None else "")))
    if clip is None and gate.function in {"Tanh", "Sigmoid"}:
        return f"edgernn_{gate.function.lower()}_float"
    defaults = GATE_DEFAULTS.get(gate.function) or UNARY_FUNCTIONS[gate.function]
    if gate.function == "Clip":
        defaults = (-MAX_FLOAT32, MAX_FLOAT32)
    constants = (
        default if own is None else own for own, default in zip((gate.alpha, gate.beta), defaults, strict=True)
    )
    a, b = ("" if constant is None else float_literal(constant) for constant in constants)
    clipped = f"    x = edgernn_clamp(x, {float_literal(-clip)}, {float_literal(clip)});\n" if clip is not None else ""
    result = expression.format(a=f"({a})", b=f"({b})")
    if gate.function not in NEVER_SATURATED:
        step.need("saturate_float")
        result = f"edgernn_overflow({result}, x, x)"
    body = f"{clipped}    return {result};\n"
    escaped = body.replace("{", "{{").replace("}", "}}")
    return step.function(name, f"static float {{name}}(float x) {{{{\n{escaped}}}}}")


def unary(step: StepWriter, operation: Unary) -> list[str]:
    """Each element through one function."""
    name = function(step, f"{operation.name}_{operation.function}", operation)
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    return elementwise((step.value(operation.outputs[0]).size,), [], f"({y})[{{y}}] = {name}(({x})[{{y}}]);")


def binary(step: StepWriter, operation: Binary) -> list[str]:
    """Loops with broadcasting; one side may be a table."""
    step.need({"Pow": "more_math_float", "Mod": "mod_float"}.get(operation.function, "saturate_float"))
    sides = [
        (f"({step.place(name)})[{{{letter}}}]", step.value(name).shape)
        for name, letter in zip(operation.inputs, "ab", strict=False)
    ]
    if operation.constant is not None:
        array = step.program.weights[operation.constant]
        table = step.table(operation.constant, array, f"{operation.name}: constant")
        left = operation.constant_side == "left"
        sides = [(sides[0][0].replace("{a}", "{b}" if left else "{a}"), sides[0][1])]
        letter = "{a}" if left else "{b}"
        sides.insert(0 if left else 1, (f"edgernn_read_float({table} + ({letter}))", array.shape))
    result = step.value(operation.outputs[0]).shape
    y = step.place(operation.outputs[0])
    assignment = f"const float a = {sides[0][0]}, b = {sides[1][0]}; ({y})[{{y}}] = {BINARY[operation.function]};"
    lines = elementwise(result, [COperand("a", sides[0][1]), COperand("b", sides[1][1])], assignment)
    return ["{", *("    " + line for line in lines), "}"]


def convert(step: StepWriter, operation: Convert) -> list[str]:
    """A cast; to integers it saturates."""
    x, y = step.place(operation.inputs[0]), step.place(operation.outputs[0])
    source = step.value(operation.inputs[0])
    expression = f"({x})[{{y}}]"
    if (source.dtype, operation.dtype) == ("float32", "int32"):
        step.need("convert")
        expression = f"edgernn_to_int32({expression})"
    elif source.dtype != operation.dtype:
        expression = f"(float){expression}"
    return elementwise((source.size,), [], f"({y})[{{y}}] = {expression};")


OPERATIONS: dict[type, Emitter] = {
    Unary: Emitter(unary),
    Binary: Emitter(binary),
    Convert: Emitter(convert),
}
