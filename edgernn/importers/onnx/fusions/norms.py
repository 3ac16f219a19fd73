"""Recognises layer normalisation and root-mean-square normalisation that a graph spells out.

Exporters write ``(x - mean) / deviation * scale + bias`` in many orders: with a root and a quotient, with the
reciprocal of a root that the scale joins first, or as ``x * inverse + (bias - mean * inverse)``. So a value is followed
as the sum of products that it is, of x, its mean, and one over its deviation; the factors are numbers for each element
of a row. Whatever comes to the terms of a normalisation is one.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from math import isclose
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.program.graph import ProgramGraph, is_reshape, unshaped
from edgernn.program.operations import AnyOperation, Binary, LayerNorm, Reduce, Schedule, Shape, Unary, Value

Row: TypeAlias = NDArray[np.float64]  # (1,) or (width,)
Terms: TypeAlias = dict[str, Row]  # factors of products of the letters below, in their order; "" is a constant
X, MEAN, INVERSE = "x", "m", "r"  # r is one over the deviation
MAX_TERMS = 8
CLOSE = 1e-5  # how far the inverse of a width may be off, relative: it is float32
EXACT = 1e-6  # how far factors that cancel may be off


class Norm(NamedTuple):
    """What is normalised: rows of x. Without the name of a mean it is the mean square that divides."""

    x: str
    mean: str | None
    epsilon: float
    rows: int
    width: int
    when: Schedule


class Part(NamedTuple):
    """A value that the deviation of a norm is a factor of."""

    norm: Norm
    terms: Terms


class NormFinder:
    """Looks at operations in their order, and says which of them end a normalisation.

    `readers` tells how many read a value, `writers` who wrote it.
    """

    def __init__(
        self,
        weights: MutableMapping[str, NDArray[Any]],
        values: Mapping[str, Value],
        graph: ProgramGraph,
        writers: Mapping[str, AnyOperation],
    ) -> None:
        self.weights, self.values, self.graph, self.writers = weights, values, graph, writers
        self.deviations: dict[str, Norm] = {}
        self.parts: dict[str, Part] = {}

    def seen(self, operation: AnyOperation) -> LayerNorm | None:
        """The normalisation that an operation ends, with those before it."""
        if len(operation.outputs) != 1:
            return None
        output = operation.outputs[0]
        deviation = self._deviation(operation)
        if deviation is not None:
            self.deviations[output] = deviation
            return None
        part = self._part(operation)
        if part is None or part.norm.when != operation.when or len(part.terms) > MAX_TERMS:
            return None
        found = None if isinstance(operation, LayerNorm) else self._as_layer_norm(operation, part)
        if self.graph.is_read_once(output) or (found is None and not isinstance(operation, LayerNorm)):
            self.parts[output] = part  # a normalisation that others read too is not computed twice
        return found

    # ---- what values are made of

    def _unshaped(self, name: str) -> str:
        return unshaped(self.writers, name)

    def _writer(self, name: str) -> AnyOperation | None:
        return self.writers.get(self._unshaped(name))

    def _number(self, operation: Binary) -> float | None:
        """The constant of an operation, if it is one number."""
        constant = None if operation.constant is None else self.weights[operation.constant]
        return None if constant is None or constant.size != 1 else float(constant.ravel()[0])

    def _power(self, operation: AnyOperation | None) -> tuple[str, float] | None:
        """What an operation takes to which constant power."""
        if isinstance(operation, Unary) and operation.function in ("Sqrt", "Reciprocal"):
            return operation.inputs[0], 0.5 if operation.function == "Sqrt" else -1.0
        if isinstance(operation, Binary) and operation.function == "Pow" and operation.constant_side == "right":
            number = self._number(operation)
            return None if number is None else (operation.inputs[0], number)
        if isinstance(operation, Binary) and operation.function == "Mul" and operation.constant is None:
            a, b = operation.inputs
            return (a, 2.0) if self._unshaped(a) == self._unshaped(b) else None
        return None

    def _square(self, name: str) -> str | None:
        """What a value is the square of."""
        power = self._power(self._writer(name))
        return None if power is None or power[1] != 2.0 else self._unshaped(power[0])

    def _mean(self, name: str) -> tuple[str, int] | None:
        """What a value is the mean of along rows, and how many numbers a row has."""
        scaled, factor = self._writer(name), 1.0
        if isinstance(scaled, Binary) and scaled.function in ("Mul", "Div"):
            number = self._number(scaled)
            if not number or (scaled.function == "Div" and scaled.constant_side == "left"):
                return None
            factor = number if scaled.function == "Mul" else 1 / number
            name = scaled.inputs[0]
        reduce = self._writer(name)
        if not isinstance(reduce, Reduce) or reduce.function not in ("Mean", "Sum"):
            return None
        shape = self.values[reduce.inputs[0]].shape
        width = shape[-1]
        wanted = 1.0 if reduce.function == "Mean" else 1.0 / width
        is_mean = reduce.axis == len(shape) - 1 and width > 1 and isclose(factor, wanted, rel_tol=CLOSE)
        return (self._unshaped(reduce.inputs[0]), width) if is_mean else None

    def _deviation(self, operation: AnyOperation) -> Norm | None:
        """The norm whose deviation an operation computes, as the root of a mean of squares."""
        power = self._power(operation)
        if power is None or power[1] != 0.5:
            return None
        name, epsilon = power[0], 0.0
        writer = self._writer(name)
        if isinstance(writer, Binary) and writer.function == "Add" and (number := self._number(writer)) is not None:
            name, epsilon = writer.inputs[0], number
        if not 0.0 <= epsilon < 1e30:
            return None
        x, mean, width = self._moments(name)
        if not x:
            return None
        size = self.values[x].size
        return Norm(x, mean, epsilon, size // width, width, operation.when)

    def _moments(self, variance: str) -> tuple[str, str | None, int]:
        """Of what a value is the mean square or the variance, with the mean and how many numbers a row has."""
        of_squares = self._mean(variance)
        if of_squares is not None:
            centred = self._square(of_squares[0])
            if centred is None:
                return "", None, 0
            difference = self.writers.get(centred)
            if isinstance(difference, Binary) and difference.function == "Sub" and difference.constant is None:
                x, mean = map(self._unshaped, difference.inputs)
                if self._mean(mean) == (x, of_squares[1]) and self._runs_along_rows(difference, x, of_squares[1]):
                    return x, mean, of_squares[1]
            return centred, None, of_squares[1]
        difference = self._writer(variance)  # the mean square less the square of the mean
        if isinstance(difference, Binary) and difference.function == "Sub" and difference.constant is None:
            of_squares, root = self._mean(difference.inputs[0]), self._square(difference.inputs[1])
            squared = None if of_squares is None else self._square(of_squares[0])
            if of_squares is not None and squared and root and self._mean(root) == (squared, of_squares[1]):
                return squared, root, of_squares[1]
        return "", None, 0

    def _runs_along_rows(self, difference: Binary, x: str, width: int) -> bool:
        """Whether what is subtracted from each number of x is that of its own row."""
        rows = self.values[x].size // width
        shape = self.values[difference.outputs[0]].shape
        return _spread(self.values[difference.inputs[1]].shape, shape, rows, width)

    # ---- sums of products

    def _part(self, operation: AnyOperation) -> Part | None:
        """An operation as a sum of products, if a deviation is in it."""
        if isinstance(operation, LayerNorm):
            return self._part_of_norm(operation)
        if is_reshape(operation):
            return self.parts.get(operation.inputs[0])
        power = self._power(operation)
        if power is not None and power[1] == -1.0 and (norm := self._norm_of(power[0])) is not None:
            return Part(norm, {INVERSE: np.ones(1)})
        if power is not None and power[1] == -0.5:
            root = Unary(name="", inputs=(power[0],), outputs=operation.outputs, function="Sqrt", when=operation.when)
            norm = self._deviation(root)
            return None if norm is None else Part(norm, {INVERSE: np.ones(1)})
        if isinstance(operation, Unary) and operation.function == "Neg":
            part = self.parts.get(operation.inputs[0])
            return None if part is None else Part(part.norm, {key: -row for key, row in part.terms.items()})
        return self._of_two(operation) if isinstance(operation, Binary) else None

    def _norm_of(self, name: str) -> Norm | None:
        return self.deviations.get(self._unshaped(name))

    def _part_of_norm(self, operation: LayerNorm) -> Part:
        x = operation.inputs[0]
        value, one = self.values[x], np.ones(1)
        width = value.shape[-1]
        mean = f"mean of {x}" if operation.centred else None
        norm = Norm(self._unshaped(x), mean, operation.epsilon, value.size // width, width, operation.when)
        scale = one if operation.scale is None else self.weights[operation.scale].astype(np.float64)
        terms = {X + INVERSE: scale} if mean is None else {X + INVERSE: scale, MEAN + INVERSE: -scale}
        if operation.bias is not None:
            terms[""] = self.weights[operation.bias].astype(np.float64)
        return Part(norm, terms)

    def _of_two(self, operation: Binary) -> Part | None:
        """Arithmetic of two values, or of a value and a constant."""
        function, shape = operation.function, self.values[operation.outputs[0]].shape
        if function not in ("Add", "Sub", "Mul", "Div"):
            return None
        sides: list[str | None] = [*operation.inputs]
        if operation.constant is not None:
            sides.insert(0 if operation.constant_side == "left" else 1, None)
        divisor = sides[1] if function == "Div" else None
        norm = divided = None if divisor is None else self._norm_of(divisor)
        if norm is None:
            norm = next((self.parts[name].norm for name in operation.inputs if name in self.parts), None)
        if norm is None or not all(self._fits(name, shape, norm) for name in operation.inputs):
            return None
        a = self._side(operation, sides[0], norm)
        b = {INVERSE: np.ones(1)} if divided is not None else self._side(operation, sides[1], norm)
        if a is None or b is None:
            return None
        if function == "Div" and divided is None:
            if set(b) != {""} or (b[""] == 0).any():
                return None
            b = {"": 1 / b[""]}
        return Part(norm, _product(a, b) if function in ("Mul", "Div") else _sum(a, b, -1 if function == "Sub" else 1))

    def _side(self, operation: Binary, name: str | None, norm: Norm) -> Terms | None:
        """One side of an operation; without a name its constant."""
        if name is not None:
            return self._terms(name, norm)
        assert operation.constant is not None
        row = self._row(self.weights[operation.constant], self.values[operation.outputs[0]].shape, norm)
        return None if row is None else {"": row}

    def _terms(self, name: str, norm: Norm, sign: float = 1.0) -> Terms | None:
        """A value as a sum of products; None if it is made of something else, too."""
        unshaped = self._unshaped(name)
        if unshaped in (norm.x, norm.mean):
            return {X if unshaped == norm.x else MEAN: np.full(1, sign)}
        if name in self.parts:
            part = self.parts[name]
            return {key: sign * row for key, row in part.terms.items()} if part.norm == norm else None
        writer = self.writers.get(unshaped)
        if isinstance(writer, Unary) and writer.function == "Neg" and sign > 0:
            return self._terms(writer.inputs[0], norm, -1.0)
        if isinstance(writer, Binary) and writer.function == "Sub" and writer.constant is None:
            x, mean = map(self._unshaped, writer.inputs)
            if (x, mean) == (norm.x, norm.mean) and self._runs_along_rows(writer, x, norm.width):
                return {X: np.full(1, sign), MEAN: np.full(1, -sign)}
        return None

    def _row(self, constant: NDArray[Any], shape: Shape, norm: Norm) -> Row | None:
        """A constant as numbers of a row, the same for every row."""
        numbers = constant.astype(np.float64)
        if constant.size == 1:
            return numbers.reshape(1)
        if np.prod(shape, dtype=int) != norm.rows * norm.width:
            return None
        rows = np.broadcast_to(numbers, shape).reshape(norm.rows, norm.width)
        return rows[0].copy() if (rows == rows[0]).all() else None

    def _fits(self, name: str, shape: Shape, norm: Norm) -> bool:
        """Whether each number of a value meets its own row in a result of a shape."""
        own, size = self.values[name], int(np.prod(shape))
        if own.size == size:
            return True
        return own.size == norm.rows and _spread(own.shape, shape, norm.rows, norm.width)

    def _as_layer_norm(self, operation: AnyOperation, part: Part) -> LayerNorm | None:
        """The operation as a normalisation of rows, if that is what its terms are."""
        norm, terms, output = part.norm, part.terms, operation.outputs[0]
        shape = self.values[norm.x].shape
        scale = terms.get(X + INVERSE)
        wanted = {X + INVERSE, ""} | (set() if norm.mean is None else {MEAN + INVERSE})
        if scale is None or shape[-1:] != (norm.width,) or self.values[output].shape != shape or set(terms) - wanted:
            return None
        if norm.mean is not None:
            mean = terms.get(MEAN + INVERSE)
            if mean is None or not np.allclose(mean, -scale, rtol=EXACT, atol=0):
                return None
        return LayerNorm(
            name=operation.name,
            inputs=(norm.x,),
            outputs=operation.outputs,
            sources=operation.sources,
            when=operation.when,
            epsilon=norm.epsilon,
            centred=norm.mean is not None,
            scale=self._weight(operation, "scale", None if (scale == 1).all() else scale, norm.width),
            bias=self._weight(operation, "bias", terms.get(""), norm.width),
        )

    def _weight(self, operation: AnyOperation, field: str, row: Row | None, width: int) -> str | None:
        if row is None:
            return None
        name = f"{operation.name}.{field}"
        while name in self.weights:
            name += "'"
        self.weights[name] = np.broadcast_to(row, width).astype(np.float32)
        return name


def _spread(own: Shape, shape: Shape, rows: int, width: int) -> bool:
    """Whether numbers of rows, shaped `own`, meet the numbers of their rows in a result of a shape."""
    if np.prod(own, dtype=int) != rows or np.prod(shape, dtype=int) != rows * width:
        return False
    numbers = np.broadcast_to(np.arange(rows).reshape(own), shape).reshape(rows, width)
    return bool((numbers == np.arange(rows)[:, None]).all())


def _sum(a: Terms, b: Terms, sign: int) -> Terms:
    result = dict(a)
    for key, row in b.items():
        result[key] = result[key] + sign * row if key in result else sign * row
    return {key: row for key, row in result.items() if row.any()}


def _product(a: Terms, b: Terms) -> Terms:
    result: Terms = {}
    for first, row in a.items():
        for second, other in b.items():
            key = "".join(sorted(first + second, key=(X + MEAN + INVERSE).index))
            product = row * other
            result[key] = result[key] + product if key in result else product
    return result
