"""Recognises layer normalisation and root-mean-square normalisation that a graph spells out.

Exporters write ``(x - mean) / deviation * scale + bias`` in many orders: with a root and a quotient, with the
reciprocal of a root that the scale joins first, or as ``x * inverse + (bias - mean * inverse)``. So a value is followed
as the sum of products that it is, of x, its mean, and one over its deviation; the factors are numbers for each element
of a row. Whatever comes to the terms of a normalisation is one.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.fusions.log import MIN_MATCHED, FusionLog
from edgernn.importers.onnx.fusions.patterns import Found, Matcher, Number, ValuePattern, mean
from edgernn.program.graph import ProgramGraph, is_reshape
from edgernn.program.operations import AnyOperation, Binary, LayerNorm, Schedule, Shape, Unary

Row: TypeAlias = NDArray[np.float64]  # (1,) or (width,)
Terms: TypeAlias = dict[str, Row]  # factors of products of the letters below, in their order; "" is a constant
X, MEAN, INVERSE = "x", "m", "r"  # r is one over the deviation
MAX_TERMS = 8
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


def _meets_its_row(matcher: Matcher, difference: str, found: Found) -> str | None:
    """What is subtracted from each number of x must be the mean of its own row."""
    writer, width = matcher.writer(difference), int(found.numbers["width"])
    assert writer is not None
    rows = matcher.values[found.values["x"]].size // width
    if _spread(matcher.values[writer.inputs[1]].shape, matcher.values[difference].shape, rows, width):
        return None
    return "the mean of a row is subtracted from other rows"


x, epsilon = ValuePattern("x"), Number("epsilon")
row_mean = mean(x).called("mean")
variance = mean((x - row_mean).where(_meets_its_row) ** 2) | mean(x**2) - row_mean**2
mean_square = mean(x**2)
SPREAD = variance + epsilon | variance | mean_square + epsilon | mean_square  # its root is the deviation
NAME = "layer normalisation"


class NormFinder:
    """Looks at operations in their order, and says which of them end a normalisation."""

    def __init__(
        self, weights: MutableMapping[str, NDArray[Any]], graph: ProgramGraph, matcher: Matcher, log: FusionLog
    ) -> None:
        self.weights, self.values, self.graph, self.matcher, self.log = weights, matcher.values, graph, matcher, log
        self.writers = matcher.writers
        self.deviations: dict[str, Norm] = {}
        self.parts: dict[str, Part] = {}
        self._last: dict[Norm, AnyOperation] = {}  # the newest operation that each deviation is in
        self._reasons: dict[Norm, str] = {}  # why that is no normalisation
        self._fused: dict[str, LayerNorm] = {}  # by what is normalised, the newest

    def seen(self, operation: AnyOperation) -> LayerNorm | None:
        """The normalisation that an operation ends, with those before it."""
        if len(operation.outputs) != 1:
            return None
        output = operation.outputs[0]
        deviation = self._deviation(operation)
        if deviation is not None:
            self.deviations[output] = deviation
            self._last[deviation] = operation
            return None
        part = self._part(operation)
        if part is None or part.norm.when != operation.when or len(part.terms) > MAX_TERMS:
            return None
        found = None if isinstance(operation, LayerNorm) else self._as_layer_norm(operation, part)
        if found is not None:
            self._fused[part.norm.x] = found
        if part.norm in self._last:
            self._last[part.norm] = operation
        if self.graph.is_read_once(output) or (found is None and not isinstance(operation, LayerNorm)):
            self.parts[output] = part  # a normalisation that others read too is not computed twice
        return found

    def report(self) -> None:
        """Log the normalisations, and the deviations that none has become of."""
        for found in self._fused.values():
            self.log.fuse(NAME, found)
        for norm, operation in self._last.items():
            if norm.x not in self._fused:
                reason = self._reasons.get(norm, f"nothing of {norm.x} is divided by this deviation")
                self.log.miss(NAME, operation, reason)

    # ---- the deviation

    def _deviation(self, operation: AnyOperation) -> Norm | None:
        """The norm whose deviation an operation computes, as the root of a variance or a mean square."""
        power = self.matcher.power(operation)
        return None if power is None or power[1] != 0.5 else self._norm_below(power[0], operation)

    def _norm_below(self, spread: str, operation: AnyOperation) -> Norm | None:
        """The norm of which a value is the variance or the mean square."""
        found = self.matcher.match(SPREAD, spread)
        if found is None:
            miss = self.matcher.miss
            if miss is not None and miss.matched >= MIN_MATCHED:
                self.log.miss(NAME, operation, miss.reason)
            return None
        constant, width = found.numbers.get("epsilon", 0.0), int(found.numbers["width"])
        if not 0.0 <= constant < 1e30:
            self.log.miss(NAME, operation, f"{constant:g} is added to the variance")
            return None
        name = self.matcher.unshaped(found.values["x"])
        rows = self.values[name].size // width
        return Norm(name, found.values.get("mean"), constant, rows, width, operation.when)

    def _runs_along_rows(self, difference: Binary, name: str, width: int) -> bool:
        """Whether what is subtracted from each number of x is that of its own row."""
        rows = self.values[name].size // width
        shape = self.values[difference.outputs[0]].shape
        return _spread(self.values[difference.inputs[1]].shape, shape, rows, width)

    # ---- sums of products

    def _part(self, operation: AnyOperation) -> Part | None:
        """An operation as a sum of products, if a deviation is in it."""
        if isinstance(operation, LayerNorm):
            return self._part_of_norm(operation)
        if is_reshape(operation):
            return self.parts.get(operation.inputs[0])
        power = self.matcher.power(operation)
        if power is not None and power[1] == -1.0 and (norm := self._norm_of(power[0])) is not None:
            return Part(norm, {INVERSE: np.ones(1)})
        if power is not None and power[1] == -0.5:
            norm = self._norm_below(power[0], operation)
            if norm is None:
                return None
            self._last[norm] = operation
            return Part(norm, {INVERSE: np.ones(1)})
        if isinstance(operation, Unary) and operation.function == "Neg":
            part = self.parts.get(operation.inputs[0])
            return None if part is None else Part(part.norm, {key: -row for key, row in part.terms.items()})
        return self._of_two(operation) if isinstance(operation, Binary) else None

    def _norm_of(self, name: str) -> Norm | None:
        return self.deviations.get(self.matcher.unshaped(name))

    def _part_of_norm(self, operation: LayerNorm) -> Part:
        x = operation.inputs[0]
        value, one = self.values[x], np.ones(1)
        width = value.shape[-1]
        mean = f"mean of {x}" if operation.centred else None
        norm = Norm(self.matcher.unshaped(x), mean, operation.epsilon, value.size // width, width, operation.when)
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
        unshaped = self.matcher.unshaped(name)
        if unshaped in (norm.x, norm.mean):
            return {X if unshaped == norm.x else MEAN: np.full(1, sign)}
        if name in self.parts:
            part = self.parts[name]
            return {key: sign * row for key, row in part.terms.items()} if part.norm == norm else None
        writer = self.writers.get(unshaped)
        if isinstance(writer, Unary) and writer.function == "Neg" and sign > 0:
            return self._terms(writer.inputs[0], norm, -1.0)
        if isinstance(writer, Binary) and writer.function == "Sub" and writer.constant is None:
            x, mean = map(self.matcher.unshaped, writer.inputs)
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
        reason = self._refuted(norm, terms, self.values[output].shape)
        if reason is not None:
            self._reasons[norm] = reason
            return None
        scale = terms[X + INVERSE]
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

    def _refuted(self, norm: Norm, terms: Terms, shape: Shape) -> str | None:
        """Why a sum of products is no normalisation of x; None if it is one."""
        scale, mean_scale = terms.get(X + INVERSE), terms.get(MEAN + INVERSE)
        wanted = {X + INVERSE, ""} | (set() if norm.mean is None else {MEAN + INVERSE})
        if scale is None:
            return f"nothing of {norm.x} is divided by this deviation"
        if self.values[norm.x].shape != shape or shape[-1:] != (norm.width,):
            return f"its shape {list(shape)} is not that of {norm.x}, {list(self.values[norm.x].shape)}"
        if set(terms) - wanted:
            return f"the sum has other terms beside x and its mean over the deviation, and a bias: {len(terms)}"
        if norm.mean is not None and mean_scale is None:
            return "the mean is a part of the deviation, but is not subtracted from x"
        if mean_scale is not None and not np.allclose(mean_scale, -scale, rtol=EXACT, atol=0):
            return "x and its mean have different factors"
        return None

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
