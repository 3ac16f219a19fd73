"""Products of two signals, as attention makes them, and of a signal with a stack of weight matrices.

Source: ONNX MatMul, Einsum.
"""

from __future__ import annotations

from math import prod

import numpy as np

from edgernn.importers.onnx.rules.attention_scores import scores_of
from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.rules.elementwise import broadcast, emit_pair, number, one_frame
from edgernn.importers.onnx.rules.number_types import floats
from edgernn.importers.onnx.rules.over_time import weighted_product
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.sequence import is_time
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Axis,
    Constant,
    Role,
    Signal,
    Tensor,
    TimeSoftmax,
    features,
    has_role,
    is_features,
    width_of,
)
from edgernn.program.operations import GroupedDense, MatMul


def of_streams(call: Call, a: Signal, b: Signal, alpha: float, output: str) -> Tensor:
    """``alpha * a @ b`` of a (..., n, k) and b (..., k, m), the axes in front broadcast."""
    if isinstance(a, TimeSoftmax) and is_time(a.axes[-1]) and alpha == 1.0:
        return weighted_product(call, a, b)
    first, second = aligned(call.builder, (floats(call, a), floats(call, b)), repr(call.node))
    check_contraction(call, first.axes[-1], second.axes[-2])
    stack = stack_of(call, first, second)
    axes = (*stack, first.axes[-2], second.axes[-1])
    if is_time(first.axes[-2]) and is_time(second.axes[-1]):
        return scores_of(_spread(first, stack), _spread(second, stack), alpha)
    if sum(has_role(axis, Role.TIME) for axis in axes) > 1:
        raise NeedsWindowError(f"{call.node!r} multiplies frames with each other, as attention does")
    count = prod(map(width_of, stack))
    left, right = _spread(first, stack), _spread(second, stack)
    builder = call.builder
    turned = right.moved((*stack, second.axes[-1], second.axes[-2]), right.elements.swapaxes(-1, -2))
    transposed = not _is_in_order(right) and _is_in_order(turned)
    right = turned if transposed else right
    name = output if alpha == 1.0 else call.inner("product")
    shapes = [x.elements.shape[-2:] if count == 1 else (count, *x.elements.shape[-2:]) for x in (left, right)]
    builder.emit(
        MatMul(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(left, shapes[0]), builder.value(right, shapes[1])),
            outputs=(name,),
            sources=builder.sources,
            transposed=transposed,
        ),
        first.timing,
    )
    y = Signal.of(name, axes, first.timing)
    return y if alpha == 1.0 else emit_pair(call, "Mul", y, number(alpha), output)


def check_contraction(call: Call, own: Axis, other: Axis) -> None:
    if has_role(own, Role.TIME) or has_role(other, Role.TIME):
        raise NeedsWindowError(f"{call.node!r} sums over time, as attention does")
    if not is_features(own) or not is_features(other):
        raise WrongAxisError(f"{call.node!r} sums over the batch: export the model so that samples stay apart")
    if width_of(own) != width_of(other):
        raise call.node.malformed(f"multiplies rows of {width_of(own)} with columns of {width_of(other)} numbers")


def stack_of(call: Call, a: Tensor, b: Tensor) -> tuple[Axis, ...]:
    """The axes in front of the matrices, broadcast."""
    fronts = [Constant(x.axes[:-2], np.zeros(x.elements.shape[:-2], np.int8)) for x in (a, b)]
    return broadcast(call, fronts[0], fronts[1])


def _spread(x: Signal, stack: tuple[Axis, ...]) -> Signal:
    """The matrices repeated over a stack."""
    shape = (*map(width_of, stack), *x.elements.shape[-2:])
    elements = x.elements.reshape((1,) * (len(shape) - x.rank) + x.elements.shape)
    return x.moved((*stack, *x.axes[-2:]), np.broadcast_to(elements, shape))


def _is_in_order(x: Signal) -> bool:
    return len(x.bases) == 1 and bool((np.diff(x.elements.ravel()) == 1).all())


def of_stack(call: Call, a: Signal, b: Constant, output: str) -> Signal:
    """``a @ b`` where b holds a matrix for each group: a (..., n, k), b (groups..., k, m)."""
    (first,) = aligned(call.builder, (a,), repr(call.node))
    check_contraction(call, first.axes[-1], b.axes[-2])
    stack = stack_of(call, first, b)
    groups, (k, m) = prod(map(width_of, stack)), b.elements.shape[-2:]
    weights = one_frame(call, b, (*stack, *b.axes[-2:]))
    weights = np.broadcast_to(weights, (*map(width_of, stack), k, m)).reshape(groups, k, m)
    left = _spread(first, stack)
    rows = left.elements.reshape(groups, -1, k).transpose(1, 2, 0)  # rows, inputs, groups
    builder = call.builder
    value = builder.value(left.moved(tuple(map(features, rows.shape)), rows), rows.shape)
    builder.emit(
        GroupedDense(
            name=builder.unique_operation(call.node.name),
            inputs=(value,),
            outputs=(output,),
            sources=builder.sources,
            W=builder.weight(f"{call.node.name}.W", weights.transpose(2, 1, 0)),  # outputs, inputs, groups
        ),
        first.timing,
    )
    y = np.arange(groups * rows.shape[0] * m).reshape(rows.shape[0], m, groups).transpose(2, 0, 1)
    axes = (*stack, first.axes[-2], features(m))
    return Signal(axes, y.reshape(tuple(map(width_of, axes))), bases=(output,), timing=first.timing)
