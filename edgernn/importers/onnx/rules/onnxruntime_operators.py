"""Operators that onnxruntime's optimizer writes, as the operators that they replaced: its operator set com.microsoft.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from dataclasses import replace

from edgernn.importers.onnx.rules import convolution, dense, layer_norms
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary, number
from edgernn.importers.onnx.streams.values import Signal, Tensor

ACTIVATIONS = {
    "Relu": (), "Tanh": (), "Sigmoid": (), "HardSwish": (),
    "LeakyRelu": ("alpha",), "Elu": ("alpha",), "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"),
}  # fmt: skip


def _activated(call: Call, x: Tensor, function: str, constants: list[float]) -> Signal:
    if function not in ACTIVATIONS or len(constants) > len(ACTIVATIONS[function]):
        raise call.node.unsupported(f"has the activation {function} with {len(constants)} constants")
    return emit_unary(call, x, call.output, function, *constants)


def fused_conv(call: Call) -> Results:
    """FusedConv: Conv, a term, an activation."""
    node = call.node
    function = node.word("activation", "")
    constants = [float(number) for number in node.numbers("activation_params") or ()]
    inner = call.inner("conv") if function or call.has(3) else call.output
    conv = replace(call, node=node.rewritten("Conv", (inner,)), inputs=call.inputs[:3])
    (y,) = convolution.conv(conv)
    if call.has(3):
        y = emit_pair(call, "Add", y, call.tensor(3), call.inner("sum") if function else call.output)
    return (_activated(call, y, function, constants) if function else y,)


def fused_gemm(call: Call) -> Results:
    """FusedGemm: Gemm and an activation."""
    node = call.node
    function = node.word("activation", "")
    given = {name: node.number(f"activation_{name}", None) for name in ("alpha", "beta", "gamma")}
    constants = [value for value in given.values() if value is not None]
    (y,) = dense.gemm(replace(call, node=node.rewritten("Gemm", (call.inner("gemm"),))))
    return (_activated(call, y, function, constants),)


def fused_matmul(call: Call) -> Results:
    """FusedMatMul: MatMul with its operands turned and its result scaled."""
    node = call.node
    a, b = (
        _turned(call.tensor(i), node.integer(f"transBatch{letter}", 0), node.integer(f"trans{letter}", 0))
        for i, letter in enumerate("AB")
    )
    return (dense.product(call, a, b, node.number("alpha", 1.0) or 0.0, call.output),)


def _turned(x: Tensor, is_batch_last: int, is_transposed: int) -> Tensor:
    """A matrix, or a stack whose rows are the first axis and whose stack comes behind them."""
    if is_batch_last and x.rank > 2:
        order = [*range(1, x.rank - 1), 0, x.rank - 1]
        x = x.moved(tuple(x.axes[i] for i in order), x.elements.transpose(order))
    return dense.transposed(x) if is_transposed and x.rank > 1 else x


def biased_gelu(call: Call) -> Results:
    """Gelu, BiasGelu and FastGelu, which is the one by tanh."""
    function = "GeluTanh" if call.node.operator == "FastGelu" else "Gelu"
    x = call.tensor(0)
    if call.has(1):
        x = emit_pair(call, "Add", x, call.tensor(1), call.inner("biased"))
    return (emit_unary(call, x, call.output, function),)


def quick_gelu(call: Call) -> Results:
    """QuickGelu: ``x * sigmoid(alpha * x)``."""
    x = call.stream(0)
    scaled = emit_pair(call, "Mul", x, number(call.node.number("alpha", 1.702)), call.inner("scaled"))
    gate = emit_unary(call, scaled, call.inner("gate"), "Sigmoid")
    return (emit_pair(call, "Mul", x, gate, call.output),)


def skip_layer_normalization(call: Call) -> Results:
    """SkipLayerNormalization, and the simplified form: the sum of two signals, normalised."""
    node, epsilon = call.node, call.node.number("epsilon", 1e-12) or 0.0
    is_simple = node.operator == "SkipSimplifiedLayerNormalization"
    bias = 3 if is_simple else 4
    if any(node.outputs[1:3]):
        raise node.unsupported("gives its mean or deviation, which is for training")
    total_name = node.outputs[3] if len(node.outputs) > 3 and node.outputs[3] else call.inner("total")
    total = emit_pair(
        call, "Add", call.tensor(0), call.tensor(1), call.inner("skipped") if call.has(bias) else total_name
    )
    if call.has(bias):
        total = emit_pair(call, "Add", total, call.tensor(bias), total_name)
    assert isinstance(total, Signal)
    beta = call.tensor(3) if call.has(3) and not is_simple else None
    y = layer_norms.normalized(call, total, -1, call.tensor(2), beta, epsilon, call.output, centred=not is_simple)
    return (y, total, total, total)
