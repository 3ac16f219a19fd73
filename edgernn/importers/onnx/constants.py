"""What a node gives when all that it reads is known: weights prepared in the graph, and chains that compute shapes.

Numbers may be unknown lengths (`Dimension`), so that shapes over dynamic time and batch are computed as well.
Operators that only move numbers are no matter for this module: their rules do the same to constants and streams.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.streams.dimension import Dimension, Extent, is_less
from edgernn.importers.onnx.streams.timing import CountsStepsError
from edgernn.importers.onnx.streams.values import Constant, Tensor, axis_of, check_constant_shape, is_features, width_of

Array = NDArray[Any]


def _divide(a: Array, b: Array) -> Array:
    if object in (a.dtype, b.dtype):
        return np.asarray(a.astype(object) // b.astype(object))
    if a.dtype.kind == "f":
        return np.divide(a, b)
    return np.asarray((a - np.fmod(a, b)) // b)  # ONNX iterations towards zero


def _equal(a: Array, b: Array) -> Array:
    """Whether numbers are equal; a length is known to differ only from what no length can be."""
    lengths = [entry for array in (a, b) if array.dtype == object for entry in array.ravel()]
    if any(isinstance(entry, Dimension) for entry in lengths):
        plain = [entry for array in (a, b) for entry in array.ravel() if not isinstance(entry, Dimension)]
        if any(entry > 0 for entry in plain):
            raise TypeError("compares a dynamic length")
    return np.asarray(a == b, bool)


def _compared(less: Callable[[Any, Any], bool | None]) -> Callable[[Array, Array], Array]:
    """An order of numbers, some of them lengths."""

    def compare(a: Array, b: Array) -> Array:
        pairs = np.broadcast(a, b)
        answers = [less(*map(_extent, pair)) for pair in pairs]
        if None in answers:
            raise TypeError("compares a dynamic length")
        return np.array(answers, bool).reshape(pairs.shape)

    return compare


def _extent(entry: Any) -> Extent:
    return entry if isinstance(entry, Dimension) else int(entry)


def _larger(first: Any, second: Any) -> Extent:
    """The larger of two lengths, as those of a batch that may be 1 in one of two tensors."""
    a: Extent = _extent(first)
    b: Extent = _extent(second)
    if a == b or is_less(b, a + 1):
        return a
    if is_less(a, b + 1):
        return b
    raise TypeError("compares a dynamic length")


# orders of lengths; those of numbers are NumPy's
ORDERS = {
    "Less": _compared(is_less),
    "Greater": _compared(lambda a, b: is_less(b, a)),
    "LessOrEqual": _compared(lambda a, b: is_less(a, b + 1)),
    "GreaterOrEqual": _compared(lambda a, b: is_less(b, a + 1)),
}


# ---- element by element, of one or two tensors

UNARY: dict[str, Callable[[Array], Array]] = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
    "Cos": np.cos,
    "Round": np.rint,
    "Sign": np.sign,
    "Sin": np.sin,
    "Tanh": np.tanh,
}

BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": operator.add,
    "And": np.logical_and,
    "Div": _divide,
    "Equal": _equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "FloorMod": np.mod,
    "Mod": np.fmod,
    "Xor": np.logical_xor,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": operator.mul,
    "Or": np.logical_or,
    "Pow": np.power,
    "Sub": operator.sub,
}
# operators that know what to do with a Dimension
OF_LENGTHS = {"Neg"}
WITH_LENGTHS = {name: BINARY[name] for name in ("Add", "Sub", "Mul", "Div", "Equal")} | ORDERS
WITH_LENGTHS |= {"Max": np.frompyfunc(_larger, 2, 1)}


def fold_pair(node: Node, function: str, a: Constant, b: Constant) -> Constant:
    """One of the functions in `BINARY`, with NumPy's broadcasting."""
    functions = WITH_LENGTHS if object in (a.elements.dtype, b.elements.dtype) else BINARY
    if function not in functions:
        raise node.unsupported("computes with a dynamic length: export the model with a frozen length")
    check_constant_shape(np.broadcast_shapes(a.elements.shape, b.elements.shape), repr(node))
    try:
        elements = np.asarray(functions[function](a.elements, b.elements))
    except TypeError as error:
        raise node.unsupported(f"{error}: export the model with a frozen length") from error
    return _like(elements, a, b)


def _like(elements: Array, *sources: Constant) -> Constant:
    """A constant with the axes of the sources broadcast; those of time and batch stay what they are."""
    rank = elements.ndim
    axes = list(Constant.of(elements).axes)
    for source in sources:
        for i, axis in enumerate(source.axes, start=rank - source.rank):
            if not is_features(axis) and width_of(axis) == elements.shape[i]:
                axes[i] = axis
    return Constant(tuple(axes), tidy(elements))


def tidy(elements: Array) -> Array:
    """Lengths that have cancelled become plain numbers."""
    if elements.dtype == object and not any(isinstance(entry, Dimension) for entry in elements.ravel()):
        return elements.astype(np.int64)
    return elements


def tidied(tensor: Tensor) -> Tensor:
    """A constant with `tidy` numbers; any other tensor as it is."""
    if isinstance(tensor, Constant) and tensor.elements.dtype == object:
        return replace(tensor, elements=tidy(tensor.elements))
    return tensor


def _unary(node: Node, x: Constant) -> Constant:
    if x.elements.dtype == object and node.operator not in OF_LENGTHS:
        raise node.unsupported("computes with a dynamic length: export the model with a frozen length")
    return Constant(x.axes, np.asarray(UNARY[node.operator](x.elements)))


def _binary(node: Node, *inputs: Constant) -> Constant:
    return reduce(lambda a, b: fold_pair(node, node.operator, a, b), inputs)


def _where(node: Node, condition: Constant, a: Constant, b: Constant) -> Constant:
    shape = np.broadcast_shapes(condition.elements.shape, a.elements.shape, b.elements.shape)
    check_constant_shape(shape, repr(node))
    if condition.elements.dtype != bool:
        raise node.malformed("has a condition that is not true or false")
    return _like(np.where(condition.elements, a.elements, b.elements), condition, a, b)


# ---- tensors from nothing


def _constant(node: Node) -> Constant:
    value = node.tensor("value")
    for found, dtype in (
        (node.numbers("value_floats"), np.float32),
        (node.integers("value_ints"), np.int64),
        ([node.number("value_float", 0.0)] if node.has("value_float") else None, np.float32),
        ([node.integer("value_int", 0)] if node.has("value_int") else None, np.int64),
    ):
        if value is None and found is not None:
            value = np.array(found, dtype)
            if node.has("value_float") or node.has("value_int"):
                value = value.reshape(())
    if value is None:
        raise node.unsupported("holds no dense numbers: export its value as a tensor")
    return Constant.of(value)


def _constant_of_shape(node: Node, shape: Constant) -> Constant:
    fill = node.tensor("value")
    fill = np.zeros(1, np.float32) if fill is None else fill
    if fill.size != 1 or shape.elements.ndim != 1:
        raise node.malformed("needs a vector as shape and one number as value")
    axes = tuple(axis_of(entry if isinstance(entry, Dimension) else int(entry)) for entry in shape.elements)
    widths = tuple(width_of(axis) for axis in axes)
    check_constant_shape(widths, repr(node))
    return Constant(axes, np.full(widths, fill.ravel()[0], fill.dtype))


def _range(node: Node, start: Constant, limit: Constant, delta: Constant) -> Constant:
    bounds = [constant.elements.ravel() for constant in (start, limit, delta)]
    lengths = [entry for bound in bounds for entry in bound if isinstance(entry, Dimension)]
    if not all(length.is_time for length in lengths):
        raise node.unsupported("counts the samples of the batch: export the model with a batch of 1")
    if lengths:
        raise CountsStepsError(f"{node!r} counts the time steps, and a stream has no position in time")
    if any(bound.size != 1 for bound in bounds):
        raise node.malformed("needs one number each as start, limit and delta")
    first, stop, step = (bound[0].item() for bound in bounds)
    count = np.ceil((stop - first) / step) if step else np.inf
    if not np.isfinite(count):
        raise node.malformed("counts without end")
    check_constant_shape((max(int(count), 0),), repr(node))
    return Constant.of((first + np.arange(max(int(count), 0)) * step).astype(bounds[0].dtype))


CONSTANT_FOLDING: dict[str, Callable[..., Constant]] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "Where": _where,
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(set(BINARY) - {"Mod", "FloorMod"}, _binary),  # Mod has a rule, because of its attribute
}
