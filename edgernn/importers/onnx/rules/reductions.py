"""Reductions, largest numbers and their positions, and cumulative sums over the features of a frame.

Source: ONNX ReduceSum and its kin, ArgMax, ArgMin, Hardmax, TopK, CumSum. Along time see rules/over_time.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.constants import tidy
from edgernn.importers.onnx.rules import over_time
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import emit_dense
from edgernn.importers.onnx.rules.deviations import squared
from edgernn.importers.onnx.rules.elementwise import emit_pair, emit_unary
from edgernn.importers.onnx.rules.layout import with_axis_from_end, with_last_axis
from edgernn.importers.onnx.rules.number_types import converted, floats, is_integer
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Constant, Role, Signal, features, has_role, is_features, width_of
from edgernn.program.operations import ArgMax, TopK

# operator -> what is done to each number, how they are made one, what is done to the result
REDUCTIONS: dict[str, tuple[str | None, str, str | None]] = {
    "ReduceL1": ("Abs", "Sum", None),
    "ReduceL2": ("Square", "Sum", "Sqrt"),
    "ReduceLogSum": (None, "Sum", "Log"),
    "ReduceMax": (None, "Max", None),
    "ReduceMean": (None, "Mean", None),
    "ReduceMin": (None, "Min", None),
    "ReduceProd": (None, "Prod", None),
    "ReduceSum": (None, "Sum", None),
    "ReduceSumSquare": ("Square", "Sum", None),
}
NUMPY: dict[str, Callable[..., Any]] = {
    "Sum": np.sum, "Mean": np.mean, "Max": np.max, "Min": np.min, "Prod": np.prod,
    "Abs": np.abs, "Square": np.square, "Sqrt": np.sqrt, "Log": np.log,
}  # fmt: skip


def _axes(call: Call) -> tuple[list[int], bool]:
    """The reduced axes, from 0, and whether they stay as axes of 1."""
    axes, x = call.axes(1), call.tensor(0)
    keep_axes = bool(call.node.integer("keepdims", 1))
    if not axes:
        axes = [] if call.node.integer("noop_with_empty_axes", 0) else list(range(x.rank))
    else:
        call.node.ignore("noop_with_empty_axes")
    places = sorted({x.reversed_axis(axis) for axis in axes})
    if len(places) != len(axes):
        raise call.node.malformed(f"names an axis twice: {axes}")
    return places, keep_axes


def reduce_(call: Call) -> Results:
    """ReduceSum and its kin over any axes."""
    before, function, after = REDUCTIONS[call.node.operator]
    axes, keep_axes = _axes(call)
    if isinstance(call.tensor(0), Constant):
        return (_folded(call, axes, keep_axes),)
    x = call.sequence(0)
    if not axes:
        if before or after:
            raise call.node.unsupported("reduces no axis: leave it out of the exported model")
        return (x,)
    over_all = any(has_role(x.axes[axis], Role.TIME) for axis in axes)
    if over_all and function == "Prod":
        raise NeedsWindowError(f"{call.node!r} multiplies all frames of the sequence")
    whole_number = is_integer(call.builder, x)
    x = floats(call, x) if whole_number else x
    inner = call if after is None and not whole_number else call.renamed(call.inner("sum"))
    if before is not None:
        x = _each(call, before, x)
    y = over_time.reduced(inner, x, axes, function, keep_axes)  # type: ignore[arg-type]
    if after is not None:
        y = emit_unary(call, y, call.inner("float") if whole_number else call.output, after)
    return (converted(call, y, "int32", call.output) if whole_number else y,)


def _each(call: Call, function: str, x: Signal) -> Signal:
    if function == "Square":
        return square(call, x)
    return emit_unary(call, x, call.inner("each"), function)


def square(call: Call, x: Signal) -> Signal:
    """``x * x``."""
    deviating = squared(x, x)
    if deviating is not None:
        return deviating
    y = emit_pair(call, "Mul", x, x, call.inner("square"))
    assert isinstance(y, Signal)
    return y


def _folded(call: Call, axes: list[int], keep_axes: bool) -> Constant:
    """The reduction of a constant; shapes with unknown lengths can be multiplied and added."""
    x = call.constant(0, "data")
    before, function, after = REDUCTIONS[call.node.operator]
    if not all(is_features(x.axes[axis]) for axis in axes):
        raise call.node.unsupported("reduces a constant over time or the batch")
    numbers: NDArray[Any] = x.elements
    if numbers.dtype == object and (before or after or function not in ("Sum", "Prod")):
        raise call.node.unsupported("computes with a dynamic length: export the model with a frozen length")
    for name in (before, function, after):
        if name == function:
            numbers = np.asarray(NUMPY[name](numbers, axis=tuple(axes), keepdims=keep_axes), x.elements.dtype)
        elif name is not None:
            numbers = np.asarray(NUMPY[name](numbers))
    kept = [axis if i not in axes else () for i, axis in enumerate(x.axes) if keep_axes or i not in axes]
    return Constant(tuple(kept), tidy(numbers))


def log_sum_exp(call: Call) -> Results:
    """ReduceLogSumExp: the largest number is taken out first, so that nothing overflows."""
    x = call.stream(0)
    axes, keep_axes = _axes(call)
    if any(not is_features(x.axes[axis]) for axis in axes):
        raise NeedsWindowError(f"{call.node!r} runs over time or the batch")
    largest = over_time.over_features(call, x, axes, "Max", call.inner("largest"))
    shifted = emit_pair(call, "Sub", x, largest, call.inner("shifted"))
    powers = emit_unary(call, shifted, call.inner("powers"), "Exp")
    total = over_time.over_features(call, powers, axes, "Sum", call.inner("total"))
    y = emit_pair(call, "Add", emit_unary(call, total, call.inner("log"), "Log"), largest, call.output)
    assert isinstance(y, Signal)
    return (y if keep_axes else _without(y, axes),)


def _without(x: Signal, axes: list[int]) -> Signal:
    kept = tuple(axis for i, axis in enumerate(x.axes) if i not in axes)
    return x.moved(kept, x.elements.squeeze(tuple(axes)))


# ---- positions


def _last(call: Call, x: Signal, default: int) -> tuple[Signal, int]:
    """The stream with the axis that a node runs over at the end, and that axis."""
    axis = x.reversed_axis(call.node.integer("axis", default))
    require_features(call, x, [axis])
    return with_last_axis(x, axis), axis


def require_features(call: Call, x: Signal, axes: list[int]) -> None:
    """Refuse to run over time or the batch."""
    for axis in axes:
        if has_role(x.axes[axis], Role.TIME):
            raise NeedsWindowError(f"{call.node!r} runs over time, so it needs the whole sequence")
        if not is_features(x.axes[axis]):
            raise WrongAxisError(f"{call.node!r} runs over the batch: export the model so that samples stay apart")


def rows_of(x: Signal) -> tuple[int, int]:
    """The shape of a value in which each row is a run along the last axis."""
    width = width_of(x.axes[-1])
    return x.elements.size // width, width


def arg_max(call: Call) -> Results:
    """ArgMax and ArgMin: positions as int32."""
    x, node = call.stream(0), call.node
    last, axis = _last(call, floats(call, x), 0)
    y = emit_arg_max(call, last, call.output, bool(node.integer("select_last_index", 0)), node.operator == "ArgMin")
    y = with_axis_from_end(y, axis)
    return (y if node.integer("keepdims", 1) else _without(y, [axis]),)


def emit_arg_max(call: Call, x: Signal, output: str, last: bool = False, smallest: bool = False) -> Signal:
    """Positions along the last axis, which stays as one of 1."""
    builder = call.builder
    builder.emit(
        ArgMax(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value(x, rows_of(x)),),
            outputs=(output,),
            sources=builder.sources,
            last=last,
            smallest=smallest,
        ),
        x.timing,
    )
    return Signal.of(output, (*x.axes[:-1], ()), x.timing)


def hardmax(call: Call) -> Results:
    """Hardmax: 1 at the first of the largest numbers, else 0."""
    if call.node.opset < 13:
        raise call.node.unsupported("is of an operator set before 13: export the model with a newer opset_version")
    last, axis = _last(call, call.stream(0), -1)
    index = floats(call, emit_arg_max(call, last, call.inner("index")))
    places = Constant.of(np.arange(width_of(last.axes[-1]), dtype=np.float32))
    y = emit_pair(call, "Equal", index, places, call.output)
    assert isinstance(y, Signal)
    return (with_axis_from_end(y, axis),)


def top_k(call: Call) -> Results:
    """TopK: the k largest numbers in order, and their positions as int32."""
    x, node, builder = call.stream(0), call.node, call.builder
    k = node.integer("k", 0) if node.opset < 10 else (call.integers(1, "K") or [0])[0]
    node.ignore("sorted")  # unsorted ones may come in any order
    last, axis = _last(call, x, -1)
    if not 1 <= k <= width_of(last.axes[-1]):
        raise node.malformed(f"takes {k} of {width_of(last.axes[-1])} numbers")
    values, indices = ([*node.outputs, "", ""])[:2]
    outputs = (values or call.inner("values"), indices or call.inner("indices"))
    builder.emit(
        TopK(
            name=builder.unique_operation(node.name),
            inputs=(builder.value(last, rows_of(last)),),
            outputs=outputs,
            sources=builder.sources,
            k=k,
            largest=bool(node.integer("largest", 1)),
        ),
        x.timing,
    )
    axes = (*last.axes[:-1], features(k))
    return tuple(with_axis_from_end(Signal.of(name, axes, x.timing), axis) for name in outputs)


def cum_sum(call: Call) -> Results:
    """CumSum: over features a product with a triangular matrix."""
    x, node = call.stream(0), call.node
    axis = x.reversed_axis((call.integers(1, "axis") or [0])[0])
    if not is_features(x.axes[axis]):
        return over_time.cumulative_sum(call, axis)
    last, width = with_last_axis(floats(call, x), axis), width_of(x.axes[axis])
    sums = np.tri(width, k=-1 if node.integer("exclusive", 0) else 0, dtype=np.float32)
    sums = sums[::-1, ::-1] if node.integer("reverse", 0) else sums
    whole_number = is_integer(call.builder, x)
    y = emit_dense(call, last, sums, None, call.inner("float") if whole_number else call.output)
    return (with_axis_from_end(converted(call, y, "int32", call.output) if whole_number else y, axis),)
