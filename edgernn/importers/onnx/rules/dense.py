"""Matrix products: with constant weights ONNX Gemm and MatMul become Dense, two streams are left to `products`."""

from __future__ import annotations

from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules import products
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_pair, number
from edgernn.importers.onnx.rules.number_types import floats
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.builder import without_leading_ones
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.values import (
    Constant,
    Signal,
    Tensor,
    check_constant_shape,
    features,
    is_features,
    width_of,
)
from edgernn.program.operations import Dense

Array = NDArray[Any]
TensorType = TypeVar("TensorType", bound=Tensor)


def gemm(call: Call) -> Results:
    """Gemm: ``Y = alpha * A' * B' + beta * C``."""
    node, A, B = call.node, call.tensor(0), call.tensor(1)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if A.rank != 2 or B.rank != 2:
        raise node.malformed(f"multiplies tensors of {A.rank} and {B.rank} axes, both must have 2")
    A = A.moved(A.axes[::-1], A.elements.T) if node.integer("transA", 0) else A
    B = B.moved(B.axes[::-1], B.elements.T) if node.integer("transB", 0) else B
    C = call.tensor(2) if call.has(2) else None
    if isinstance(A, Signal) and isinstance(B, Constant) and C is not None:
        bias = _bias(call, C, width_of(B.axes[1]), beta)
        if bias is not None:
            return (emit_dense(call, A, _numbers(call, B).T * alpha, bias, call.output),)
    y = product(call, A, B, alpha or 0.0, call.output if C is None else call.inner("product"))
    if C is None:
        return (y,)
    if beta != 1.0:
        C = emit_pair(call, "Mul", C, number(beta), call.inner("term"))
    return (emit_pair(call, "Add", y, C, call.output),)


def matmul(call: Call) -> Results:
    """MatMul of a signal with constant weights on either side, or of two signals."""
    return (product(call, call.tensor(0), call.tensor(1), 1.0, call.output),)


def product(call: Call, a: Tensor, b: Tensor, alpha: float, output: str) -> Tensor:
    """``alpha * a @ b`` with NumPy's rules for vectors and stacks."""
    if a.rank == 0 or b.rank == 0:
        raise call.node.malformed("multiplies a scalar as a matrix")
    if a.rank == 1:
        row = product(call, a.moved(((), *a.axes), a.elements[np.newaxis]), b, alpha, output)
        place = row.rank - (1 if b.rank == 1 else 2)
        return row.moved((*row.axes[:place], *row.axes[place + 1 :]), row.elements.squeeze(place))
    if b.rank == 1:
        column = product(call, a, b.moved((*b.axes, ()), b.elements[:, np.newaxis]), alpha, output)
        return column.moved(column.axes[:-1], column.elements[..., 0])
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _of_constants(call, a, b, alpha)
    if isinstance(a, Constant):
        assert isinstance(b, Signal)
        return transposed(_with_weights(call, transposed(b), transposed(a), alpha, output))
    assert isinstance(a, Signal)
    if isinstance(b, Constant):
        return _with_weights(call, a, b, alpha, output)
    assert isinstance(b, Signal)
    return products.of_streams(call, a, b, alpha, output)


def _of_constants(call: Call, a: Constant, b: Constant, alpha: float) -> Constant:
    products.check_contraction(call, a.axes[-1], b.axes[-2])
    axes = (*products.stack_of(call, a, b), a.axes[-2], b.axes[-1])
    check_constant_shape(tuple(map(width_of, axes)), repr(call.node))
    return Constant(axes, _numbers(call, a) @ _numbers(call, b) * np.float32(alpha))


def _with_weights(call: Call, a: Signal, b: Constant, alpha: float, output: str) -> Signal:
    """The product of a signal and one matrix of weights, or a stack of them."""
    weights = _numbers(call, b)
    if weights.ndim <= max(a.rank, 2) and weights.size == prod(weights.shape[-2:]):
        return emit_dense(call, a, weights.reshape(weights.shape[-2:]).T * alpha, None, output)
    return products.of_stack(call, a, b.moved(b.axes, weights * alpha), output)


def _numbers(call: Call, constant: Constant) -> Array:
    if constant.elements.dtype.kind != "f":
        raise call.node.unsupported(f"has weights of type {constant.elements.dtype}: export them as float32")
    return constant.elements


def _bias(call: Call, C: Any, size: int, beta: float | None) -> Array | None:
    """C as a vector of biases, None where it is no such."""
    if not isinstance(C, Constant) or C.elements.ndim > 2 or C.elements.shape[:-1] not in ((), (1,)):
        return None
    if C.elements.shape[-1:] not in ((), (1,), (size,)):
        raise call.node.malformed(f"has C of shape {C.elements.shape} for {size} outputs")
    return np.broadcast_to(_numbers(call, C).ravel(), size) * beta


def transposed(x: TensorType) -> TensorType:
    """The last two axes exchanged."""
    axes = (*x.axes[:-2], x.axes[-1], x.axes[-2])
    return x.moved(axes, x.elements.swapaxes(-1, -2))


def emit_dense(call: Call, x: Signal, W: Array, B: Array | None, output: str) -> Signal:
    """Dense over the last axis of x; W is (outputs, inputs)."""
    x = materialize_padding(call.builder, x)
    if x.rank == 0 or not is_features(x.axes[-1]):
        raise WrongAxisError(
            f"{call.node!r} has weights that span time or the batch, so it needs a window of frames: only weights over "
            "the features of one frame are supported"
        )
    x = floats(call, x)
    if W.shape[1] != width_of(x.axes[-1]):
        raise call.node.malformed(f"has weights for {W.shape[1]} features and reads {width_of(x.axes[-1])}")
    inside = tuple(width_of(axis) for axis in x.axes[:-1] if is_features(axis) or width_of(axis) > 1)
    width = width_of(x.axes[-1])
    call.builder.emit(
        Dense(
            name=call.builder.unique_operation(call.node.name),
            inputs=(call.builder.value(x, without_leading_ones((*inside, width))),),
            outputs=(output,),
            sources=(call.node.name,),
            W=call.builder.weight(f"{call.node.name}.W", W),
            B=None if B is None else call.builder.weight(f"{call.node.name}.B", B),
        ),
        x.timing,
    )
    return Signal.of(output, (*x.axes[:-1], features(W.shape[0])), x.timing)
