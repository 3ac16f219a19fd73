"""Extents of tensors while the lengths of time and batch are unknown: polynomials with integer coefficients.

The unknowns are the batch size and lengths of time: the number of steps T, and what strides leave of it,
``(T + extra) // period``.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd, prod
from typing import Any, NamedTuple, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import UnsupportedModelError

MAX_TERMS = 32
MAX_POWER = 8


class Unknown(NamedTuple):
    """The batch size, where `period` is 0, or ``(T + extra) // period`` with extra from 0 to period - 1.

    A period of -1 stands for the iteration of a loop.
    """

    period: int
    extra: int = 0

    def __str__(self) -> str:
        if self.period < 2:
            return {-1: "round", 0: "batch", 1: "time"}[self.period]
        return f"((time + {self.extra}) // {self.period})"


Monomial: TypeAlias = tuple[tuple[Unknown, int], ...]  # unknowns in order, each with its power


class Dimension:
    """An extent that is not a plain number, such as the number of time steps, or 16 times the batch size.

    Arithmetic gives an `int` wherever the unknown lengths cancel.

    Examples
    --------
    >>> TIME * 6 // 6 == TIME
    True
    >>> TIME + 3 - TIME
    3
    >>> (TIME + 1) // 2 * 2 + 3
    2*((time + 1) // 2) + 3
    """

    __slots__ = ("_terms",)

    def __init__(self, terms: dict[Monomial, int]) -> None:
        self._terms = terms

    def __add__(self, other: Extent) -> Extent:
        return _sum(_terms_of(self).items(), _terms_of(other).items())

    def __sub__(self, other: Extent) -> Extent:
        return self + other * -1

    def __rsub__(self, other: Extent) -> Extent:
        return self * -1 + other

    def __mul__(self, other: Extent) -> Extent:
        return _sum((_times(a, b), m * n) for a, m in _terms_of(self).items() for b, n in _terms_of(other).items())

    def __neg__(self) -> Extent:
        return self * -1

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Extent) -> Extent:
        quotient = divide(self, other)
        if quotient is None and isinstance(other, int) and other > 0:
            quotient = _floor(self, other)
        if quotient is None:
            raise UnsupportedModelError(
                f"the model divides the length {self} by {other}, which leaves a remainder for some lengths: export it "
                "with a frozen length"
            )
        return quotient

    def __mod__(self, other: Extent) -> Extent:
        return self - self // other * other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dimension) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(frozenset(self._terms.items()))

    def __repr__(self) -> str:
        parts = []
        for monomial, coefficient in self._terms.items():
            factors = [str(unknown) for unknown, power in monomial for _ in range(power)]
            parts.append("*".join([str(coefficient), *factors] if coefficient != 1 or not factors else factors))
        return " + ".join(parts)

    @property
    def content(self) -> int:
        """The largest number that divides every coefficient."""
        return gcd(*self._terms.values())

    @property
    def is_time(self) -> bool:
        """Whether it depends on the length of time, and on nothing else."""
        return all(unknown.period > 0 for monomial in self._terms for unknown, _ in monomial)

    @property
    def counted(self) -> tuple[Unknown, int, int] | None:
        """The one length of time that it is so many times of, and so much more; None where it is something else."""
        terms = dict(self._terms)
        more = terms.pop((), 0)
        ((monomial, coefficient), *others) = terms.items()
        ((unknown, power), *rest) = monomial
        return None if others or rest or power > 1 or unknown.period < 1 else (unknown, coefficient, more)

    @property
    def is_of_iteration(self) -> bool:
        """Whether it depends on the iteration of a loop."""
        return any(unknown.period < 0 for monomial in self._terms for unknown, _ in monomial)


# typing.Union, because the other spelling does not take the name of a class that is not there yet
Extent: TypeAlias = Union[int, Dimension]  # noqa: UP007

TIME = Dimension({((Unknown(1), 1),): 1})
BATCH = Dimension({((Unknown(0), 1),): 1})
INDEX = Dimension({((Unknown(-1), 1),): 1})  # the iteration of a loop


def _terms_of(extent: Any) -> dict[Monomial, int]:
    if isinstance(extent, Dimension):
        return extent._terms
    if extent != int(extent):
        raise UnsupportedModelError(f"the model computes a length with {extent}: export it with a frozen length")
    return {(): int(extent)}


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for unknown, power in b:
        powers[unknown] = powers.get(unknown, 0) + power
    if max(powers.values(), default=0) > MAX_POWER:
        raise UnsupportedModelError("the model multiplies lengths with each other too often")
    return tuple(sorted(powers.items()))


def _sum(*groups: Iterable[tuple[Monomial, int]]) -> Extent:
    terms: dict[Monomial, int] = {}
    for group in groups:
        for monomial, coefficient in group:
            terms[monomial] = terms.get(monomial, 0) + coefficient
    terms = {monomial: terms[monomial] for monomial in sorted(terms, reverse=True) if terms[monomial]}
    if len(terms) > MAX_TERMS:
        raise UnsupportedModelError(f"the model computes a length with more than {MAX_TERMS} terms")
    if set(terms) <= {()}:
        return terms.get((), 0)
    return Dimension(terms)


def _floor(extent: Dimension, by: int) -> Extent | None:
    """``extent // by`` where it is one length of time plus a number: again such a length."""
    terms = dict(extent._terms)
    plain = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((monomial, coefficient),) = terms.items()
    if coefficient % by == 0:
        return Dimension({monomial: coefficient // by}) + plain // by
    if coefficient != 1 or len(monomial) != 1 or monomial[0][1] != 1 or monomial[0][0].period < 1:
        return None
    unknown = monomial[0][0]
    period = unknown.period * by
    whole, extra = divmod(unknown.extra + unknown.period * plain, period)
    return Dimension({((Unknown(period, extra), 1),): 1}) + whole


def divide(extent: Extent, by: Extent) -> Extent | None:
    """The quotient, None where there is a remainder for some lengths."""
    if extent == by:
        return 1
    if by == 0:
        return None
    divisor = _terms_of(by)
    leading, leading_coefficient = next(iter(divisor.items()))
    quotient: Extent = 0
    rest = extent
    for _ in range(MAX_TERMS):
        if rest == 0:
            return quotient
        monomial, coefficient = next(iter(_terms_of(rest).items()))
        left = _without(monomial, leading)
        if left is None or coefficient % leading_coefficient:
            return None
        part = _sum([(left, coefficient // leading_coefficient)])
        quotient, rest = part + quotient, rest - part * by
    return None


def is_less(a: Extent, b: Extent) -> bool | None:
    """Whether a < b for every batch and sequence that is not empty; None where it depends on their lengths.

    Examples
    --------
    >>> is_less(0, TIME), is_less(2 * TIME, TIME), is_less(TIME, 5)
    (True, False, None)
    """
    lowest, highest = _bounds(b - a)
    if lowest is not None and lowest > 0:
        return True
    return False if highest is not None and highest <= 0 else None


def _bounds(extent: Extent) -> tuple[int | None, int | None]:
    """The least and the largest that an extent can be; None for no bound."""
    terms = _terms_of(extent)
    least = sum(
        coefficient * prod((_shortest(unknown) ** power for unknown, power in monomial), start=1)
        for monomial, coefficient in terms.items()
    )
    signs = {coefficient > 0 for monomial, coefficient in terms.items() if monomial}
    return (None if False in signs else least), (None if True in signs else least)


def _shortest(unknown: Unknown) -> int:
    """The unknown of one step, one sample, or the first round."""
    return {-1: 0, 0: 1}.get(unknown.period, (1 + unknown.extra) // max(unknown.period, 1))


def _without(monomial: Monomial, other: Monomial) -> Monomial | None:
    """The monomial divided by another, None where that is impossible."""
    powers = dict(monomial)
    for unknown, power in other:
        powers[unknown] = powers.get(unknown, 0) - power
        if powers[unknown] < 0:
            return None
    return tuple(sorted((unknown, power) for unknown, power in powers.items() if power))


def product(extents: Iterable[Extent]) -> Extent:
    """All extents multiplied; 1 for none."""
    return prod(extents, start=1)


def extents_array(extents: Iterable[Extent]) -> NDArray[Any]:
    """A vector of extents: int64 where all are numbers, else of objects."""
    listed = list(extents)
    if all(isinstance(extent, int) for extent in listed):
        return np.array(listed, np.int64)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array
