"""Patterns of operations, written like the formulas that they stand for, and why one does not match.

``x = ValuePattern("x")`` and ``mean((x - mean(x)) ** 2)`` is a pattern of several operations. `Matcher.match` looks for
it in what computes a value. Sums and products match in any order of their parts, products also however they are put
together (``x * 0.5 * y`` is ``0.5 * (x * y)``); reshapes between the parts do not count. The attempt that got furthest
without matching is kept with its reason.

Source: the idea is that of the rewriter of onnxscript.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import isclose
from typing import NamedTuple, TypeAlias

from edgernn.program.graph import unshaped
from edgernn.program.operations import AnyOperation, Binary, Reduce, Unary, Weights
from edgernn.program.operations import Value as ValueType

CLOSE = 1e-4  # how far constants of a pattern may be off, relative: exporters round them
CLOSE_WIDTH = 1e-5  # the same of the inverse of a width, which is float32


class Found(NamedTuple):
    """What parts of a pattern stand for: names of values, and numbers; and how many operations matched so far."""

    values: Mapping[str, str] = {}
    numbers: Mapping[str, float] = {}
    matched: int = 0

    def with_value(self, name: str, value: str) -> Found:
        return self._replace(values={**self.values, name: value})

    def with_number(self, name: str, number: float) -> Found:
        return self._replace(numbers={**self.numbers, name: number})

    def further(self) -> Found:
        return self._replace(matched=self.matched + 1)


class Miss(NamedTuple):
    """Where a pattern ended: the value that did not match, why, and how many operations had matched before."""

    value: str
    reason: str
    matched: int


Check: TypeAlias = Callable[["Matcher", str, Found], str | None]  # why a value does not do, None if it does


class Pattern:
    """A formula; the operators build larger ones."""

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        """The ways in which the value `name` is this, given what parts stand for already."""
        raise NotImplementedError

    def __add__(self, other: Pattern | float) -> Pattern:
        return Sum(self, other if isinstance(other, Pattern) else Number(value=other))

    def __radd__(self, other: float) -> Pattern:
        return self + other

    def __sub__(self, other: Pattern) -> Pattern:
        return Difference(self, other)

    def __mul__(self, other: Pattern | float) -> Pattern:
        scale, factors = _as_product(self)
        if not isinstance(other, Pattern):
            return ProductPattern(scale * other, factors)
        other_scale, others = _as_product(other)
        return ProductPattern(scale * other_scale, (*factors, *others))

    def __rmul__(self, other: float) -> Pattern:
        return self * other

    def __pow__(self, exponent: float) -> Pattern:
        return Power(self, exponent)

    def __or__(self, other: Pattern) -> Pattern:
        return OneOf(self, other)

    def called(self, name: str) -> Pattern:
        """The same; `Found.values` has the value that it stands for."""
        return Called(self, name)

    def where(self, check: Check) -> Pattern:
        """The same, where `check` finds nothing wrong."""
        return WherePattern(self, check)


def _as_product(pattern: Pattern) -> tuple[float, tuple[Pattern, ...]]:
    return (pattern.scale, pattern.factors) if isinstance(pattern, ProductPattern) else (1.0, (pattern,))


@dataclass(frozen=True)
class ValuePattern(Pattern):
    """Any value, the same wherever the name stands."""

    name: str

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        known = found.values.get(self.name)
        if known is None:
            yield found.with_value(self.name, name)
        elif matcher.unshaped(known) == matcher.unshaped(name):
            yield found
        else:
            matcher.missed(name, f"{self.name} is {known}, here stands {name}", found)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Number(Pattern):
    """A constant number: `value`, or any, of which `Found.numbers` has what it is."""

    name: str = ""
    value: float | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.value:g}"


@dataclass(frozen=True)
class Sum(Pattern):
    """``a + b``, in either order."""

    a: Pattern
    b: Pattern

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        writer = matcher.writer(name)
        if not isinstance(writer, Binary) or writer.function != "Add":
            matcher.expected(self, name, found)
        elif isinstance(self.b, Number):
            for half in self.a.find(matcher, writer.inputs[0], found.further()):
                number = matcher.number(writer)
                if number is None:
                    matcher.missed(name, f"{self.b} is no single constant number", half)
                elif self.b.value is not None and not isclose(number, self.b.value, rel_tol=CLOSE):
                    matcher.missed(name, f"{number:g} is added, not {self.b}", half)
                else:
                    yield half.with_number(self.b.name, number) if self.b.name else half
        elif writer.constant is not None:
            matcher.missed(name, f"a constant is added, not {self.b}", found)
        else:
            for first, second in (writer.inputs, writer.inputs[::-1]):
                for half in self.a.find(matcher, first, found.further()):
                    yield from self.b.find(matcher, second, half)

    def __str__(self) -> str:
        return f"({self.a} + {self.b})"


@dataclass(frozen=True)
class Difference(Pattern):
    """``a - b``."""

    a: Pattern
    b: Pattern

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        writer = matcher.writer(name)
        if not isinstance(writer, Binary) or writer.function != "Sub" or writer.constant is not None:
            matcher.expected(self, name, found)
            return
        for half in self.a.find(matcher, writer.inputs[0], found.further()):
            yield from self.b.find(matcher, writer.inputs[1], half)

    def __str__(self) -> str:
        return f"({self.a} - {self.b})"


@dataclass(frozen=True)
class ProductPattern(Pattern):
    """A number times any number of factors, in any order and however they are put together."""

    scale: float
    factors: tuple[Pattern, ...]

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        scale, leaves = matcher.factors(name, frozenset(map(matcher.unshaped, found.values.values())))
        if len(leaves) != len(self.factors):
            matcher.expected(self, name, found)
            return
        for order in dict.fromkeys(permutations(leaves)):
            for inner in _all(matcher, self.factors, order, found.further()):
                if isclose(scale, self.scale, rel_tol=CLOSE):
                    yield inner
                else:
                    matcher.missed(name, f"its factor is {scale:g}, not {self.scale:g}", inner)

    def __str__(self) -> str:
        scale = [] if self.scale == 1 else [f"{self.scale:g}"]
        return "(" + " * ".join([*scale, *map(str, self.factors)]) + ")"


def _all(matcher: Matcher, patterns: Sequence[Pattern], names: Sequence[str], found: Found) -> Iterator[Found]:
    if not patterns:
        yield found
        return
    for first in patterns[0].find(matcher, names[0], found):
        yield from _all(matcher, patterns[1:], names[1:], first)


@dataclass(frozen=True)
class Power(Pattern):
    """A power: also a root, a reciprocal, a value times itself."""

    base: Pattern
    exponent: float

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        power = matcher.power(matcher.writer(name))
        if power is None or power[1] != self.exponent:
            matcher.expected(self, name, found)
            return
        yield from self.base.find(matcher, power[0], found.further())

    def __str__(self) -> str:
        return f"{self.base}^{self.exponent:g}"


@dataclass(frozen=True)
class FunctionPattern(Pattern):
    """A function of one value, with its constants."""

    name: str
    of: Pattern
    alpha: float | None = None
    beta: float | None = None

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        writer = matcher.writer(name)
        if not isinstance(writer, Unary) or writer.function != self.name:
            matcher.expected(self, name, found)
            return
        for wanted, constant in ((self.alpha, writer.alpha), (self.beta, writer.beta)):
            if wanted is not None and not isclose(constant or 0.0, wanted, rel_tol=CLOSE):
                matcher.missed(name, f"a constant of {self.name} is {constant}, not {wanted:g}", found)
                return
        yield from self.of.find(matcher, writer.inputs[0], found.further())

    def __str__(self) -> str:
        return f"{self.name}({self.of})"


@dataclass(frozen=True)
class Mean(Pattern):
    """The mean of each row; all means of a pattern are of rows of one width, which `Found.numbers` has as "width"."""

    of: Pattern

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        mean = matcher.mean(name)
        if mean is None:
            matcher.expected(self, name, found)
        elif found.numbers.get("width", mean[1]) != mean[1]:
            matcher.missed(name, f"it is the mean of {mean[1]} numbers, others of {found.numbers['width']:g}", found)
        else:
            yield from self.of.find(matcher, mean[0], found.with_number("width", mean[1]).further())

    def __str__(self) -> str:
        return f"mean({self.of})"


@dataclass(frozen=True)
class OneOf(Pattern):
    """The first alternative that matches."""

    first: Pattern
    second: Pattern

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        yield from self.first.find(matcher, name, found)
        yield from self.second.find(matcher, name, found)

    def __str__(self) -> str:
        return f"{self.first} or {self.second}"


@dataclass(frozen=True)
class Called(Pattern):
    """A part whose value is asked for."""

    of: Pattern
    name: str

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        for inner in self.of.find(matcher, name, found):
            yield inner.with_value(self.name, matcher.unshaped(name))

    def __str__(self) -> str:
        return str(self.of)


@dataclass(frozen=True)
class WherePattern(Pattern):
    """A part with a condition beside its form."""

    of: Pattern
    check: Check

    def find(self, matcher: Matcher, name: str, found: Found) -> Iterator[Found]:
        for inner in self.of.find(matcher, name, found):
            reason = self.check(matcher, name, inner)
            if reason is None:
                yield inner
            else:
                matcher.missed(name, reason, inner)

    def __str__(self) -> str:
        return str(self.of)


def mean(of: Pattern) -> Pattern:
    """The mean of each row."""
    return Mean(of)


class Matcher:
    """What computes each value, for patterns to be found in.

    Parameters
    ----------
    weights : mapping of str to ndarray
    values : mapping of str to ValuePattern
        Their types.
    writers : mapping of str to AnyOperation
        By value; may grow while patterns are looked for.
    """

    def __init__(self, weights: Weights, values: Mapping[str, ValueType], writers: Mapping[str, AnyOperation]) -> None:
        self.weights, self.values, self.writers = weights, values, writers
        self.miss: Miss | None = None  # of the last `match`, where it got furthest

    def match(self, pattern: Pattern, name: str) -> Found | None:
        """What the parts of a pattern stand for in the value `name`; None if it is not that, then `miss` says why."""
        self.miss = None
        return next(pattern.find(self, name, Found()), None)

    def missed(self, name: str, reason: str, found: Found) -> None:
        """Note why a pattern does not go on."""
        if self.miss is None or found.matched > self.miss.matched:
            self.miss = Miss(name, reason, found.matched)

    def expected(self, pattern: Pattern, name: str, found: Found) -> None:
        """Note that a value is not what a pattern says."""
        writer = self.writer(name)
        stands = "an input" if writer is None else _described(writer)
        self.missed(name, f"{pattern} was expected, here stands {stands}", found)

    # what values are

    def unshaped(self, name: str) -> str:
        """The value that a value is, apart from reshapes."""
        return unshaped(self.writers, name)

    def writer(self, name: str) -> AnyOperation | None:
        """What computes a value, reshapes seen through."""
        return self.writers.get(self.unshaped(name))

    def number(self, operation: Binary) -> float | None:
        """The constant of an operation, if it is one number."""
        constant = None if operation.constant is None else self.weights[operation.constant]
        return None if constant is None or constant.size != 1 else float(constant.ravel()[0])

    def power(self, operation: AnyOperation | None) -> tuple[str, float] | None:
        """The value that an operation takes to a constant power, and the power."""
        if isinstance(operation, Unary) and operation.function in ("Sqrt", "Reciprocal"):
            return operation.inputs[0], 0.5 if operation.function == "Sqrt" else -1.0
        if isinstance(operation, Binary) and operation.function == "Pow" and operation.constant_side == "right":
            number = self.number(operation)
            return None if number is None else (operation.inputs[0], number)
        if isinstance(operation, Binary) and operation.function == "Mul" and operation.constant is None:
            a, b = operation.inputs
            return (a, 2.0) if self.unshaped(a) == self.unshaped(b) else None
        return None

    def mean(self, name: str) -> tuple[str, int] | None:
        """The value that a value is the mean of along rows, and how many numbers a row has."""
        scaled, factor = self.writer(name), 1.0
        if isinstance(scaled, Binary) and scaled.function in ("Mul", "Div"):
            number = self.number(scaled)
            if not number or (scaled.function == "Div" and scaled.constant_side == "left"):
                return None
            factor = number if scaled.function == "Mul" else 1 / number
            name = scaled.inputs[0]
        reduce = self.writer(name)
        if not isinstance(reduce, Reduce) or reduce.function not in ("Mean", "Sum"):
            return None
        shape = self.values[reduce.inputs[0]].shape
        width = shape[-1]
        wanted = 1.0 if reduce.function == "Mean" else 1.0 / width
        is_mean = reduce.axis == len(shape) - 1 and width > 1 and isclose(factor, wanted, rel_tol=CLOSE_WIDTH)
        return (self.unshaped(reduce.inputs[0]), width) if is_mean else None

    def factors(self, name: str, stops: frozenset[str] = frozenset()) -> tuple[float, list[str]]:
        """A value as a number times other values; values in `stops` are not taken apart."""
        writer = self.writers.get(name)
        if self.unshaped(name) in stops or not isinstance(writer, Binary):
            return 1.0, [name]
        number = self.number(writer)
        if writer.function == "Mul" and writer.constant is None:
            (a, left), (b, right) = (self.factors(side, stops) for side in writer.inputs)
            return a * b, left + right
        if number is None or (writer.constant_side != "right" and writer.function != "Mul"):
            return 1.0, [name]
        scale, leaves = self.factors(writer.inputs[0], stops)
        if writer.function == "Mul":
            return scale * number, leaves
        if writer.function == "Div" and number:
            return scale / number, leaves
        if writer.function == "Pow" and number in (2.0, 3.0):
            return scale ** int(number), leaves * int(number)
        return 1.0, [name]


def _described(operation: AnyOperation) -> str:
    function = getattr(operation, "function", "")
    kind = function if isinstance(function, str) and function else type(operation).__name__
    return f"{kind} ({operation.name})"
