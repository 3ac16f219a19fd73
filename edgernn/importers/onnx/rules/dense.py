"""Matrix products with constant weights: ONNX Gemm and MatMul become Dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.builder import without_leading_ones
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_pair
from edgernn.importers.onnx.sequence import settled
from edgernn.importers.onnx.time_axis import WrongAxisError
from edgernn.importers.onnx.values import Constant, Stream, features, is_features, width_of
from edgernn.operations import Dense

Array = NDArray[Any]


def gemm(call: Call) -> Results:
    """Gemm: ``Y = alpha * A' * B' + beta * C``, one of A and B constant."""
    node, A, B = call.node, call.tensor(0), call.tensor(1)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if A.rank != 2 or B.rank != 2:
        raise node.malformed(f"multiplies tensors of {A.rank} and {B.rank} axes, both must have 2")
    A = A.moved(A.axes[::-1], A.elements.T) if node.integer("transA", 0) else A
    B = B.moved(B.axes[::-1], B.elements.T) if node.integer("transB", 0) else B
    C = call.tensor(2) if call.has(2) else None
    if isinstance(A, Constant):
        if not isinstance(B, Stream):
            raise node.unsupported("multiplies two constants: fold constants before the export")
        product = _transposed(_emit(call, _transposed(B), _numbers(call, A) * alpha, None, _inner_name(call, C)))
    elif isinstance(A, Stream) and isinstance(B, Constant):
        bias = _bias(call, C, width_of(B.axes[1]), beta)
        if bias is not None:
            return (_emit(call, A, _numbers(call, B).T * alpha, bias, call.output),)
        product = _emit(call, A, _numbers(call, B).T * alpha, None, _inner_name(call, C))
    else:
        raise _two_signals(call)
    if C is None:
        return (product,)
    if beta != 1.0:
        raise node.unsupported(f"has beta = {beta} with a C that is no vector of biases: scale C before")
    return (emit_pair(call, "Add", product, C, call.output),)


def matmul(call: Call) -> Results:
    """MatMul with constant weights on either side."""
    a, b = call.tensor(0), call.tensor(1)
    if isinstance(a, Stream) and isinstance(b, Constant):
        weights = _matrix(call, b, a.rank)
        result = _emit(call, a, weights.T, None, call.output)
        return (result.moved(result.axes[:-1], result.elements[..., 0]) if b.rank == 1 else result,)
    if isinstance(a, Constant) and isinstance(b, Stream):
        if a.rank < 2 or b.rank < 2:
            raise call.node.unsupported("multiplies a constant vector with a signal: write it as Gemm")
        return (_transposed(_emit(call, _transposed(b), _matrix(call, a, b.rank), None, call.output)),)
    raise _two_signals(call)


def _matrix(call: Call, weights: Constant, rank: int) -> Array:
    """Constant weights as a matrix."""
    numbers = _numbers(call, weights)
    if numbers.ndim == 1:
        return numbers[:, np.newaxis]
    if numbers.ndim > max(rank, 2) or any(extent != 1 for extent in numbers.shape[:-2]):
        raise call.node.unsupported(f"has a stack of weight matrices, shape {numbers.shape}: only one is supported")
    return numbers.reshape(numbers.shape[-2:])


def _numbers(call: Call, constant: Constant) -> Array:
    if constant.elements.dtype.kind != "f" or not all(map(is_features, constant.axes)):
        raise call.node.unsupported(f"has weights of type {constant.elements.dtype}: export them as float32")
    return constant.elements


def _bias(call: Call, C: Any, size: int, beta: float | None) -> Array | None:
    """C as a vector of biases, None where it is no such."""
    if not isinstance(C, Constant) or C.elements.ndim > 2 or C.elements.shape[:-1] not in ((), (1,)):
        return None
    if C.elements.shape[-1:] not in ((), (1,), (size,)):
        raise call.node.malformed(f"has C of shape {C.elements.shape} for {size} outputs")
    return np.broadcast_to(_numbers(call, C).ravel(), size) * beta


def _inner_name(call: Call, C: Any) -> str:
    return call.output if C is None else call.builder.unique(f"{call.output}:product")


def _transposed(x: Stream) -> Stream:
    axes = (*x.axes[:-2], x.axes[-1], x.axes[-2])
    return x.moved(axes, x.elements.swapaxes(-1, -2))


def _emit(call: Call, x: Stream, W: Array, B: Array | None, output: str) -> Stream:
    """Dense over the last axis of x; W is (outputs, inputs)."""
    x = settled(call.builder, x)
    if x.rank == 0 or not is_features(x.axes[-1]):
        raise WrongAxisError(
            f"{call.node!r} has weights that span time or the batch, so it needs a window of frames: only weights over "
            "the features of one frame are supported"
        )
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
    return Stream.of(output, (*x.axes[:-1], features(W.shape[0])), x.timing)


def _two_signals(call: Call) -> Exception:
    return call.node.unsupported(
        "multiplies two tensors that both vary, as attention does: only products with constant weights are supported"
    )
